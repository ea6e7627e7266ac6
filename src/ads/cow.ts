/** Collections that cost nothing to copy until one of the copies changes, for what many streams have in common. */

/** A set whose copies share its content. */
export class CowSet {
  private content: Set<string>;
  private own: boolean;

  constructor(content?: Set<string>) {
    this.content = content ?? new Set();
    this.own = content === undefined;
  }

  copy(): CowSet {
    this.own = false;
    return new CowSet(this.content);
  }

  get size(): number {
    return this.content.size;
  }

  has(name: string): boolean {
    return this.content.has(name);
  }

  add(name: string): void {
    if (!this.content.has(name)) this.mine().add(name);
  }

  /** Returns whether it was there. */
  delete(name: string): boolean {
    return this.content.has(name) && this.mine().delete(name);
  }

  [Symbol.iterator](): Iterator<string> {
    return this.content.values();
  }

  private mine(): Set<string> {
    if (!this.own) {
      this.content = new Set(this.content);
      this.own = true;
    }
    return this.content;
  }
}

/** Differences to be kept apart, before one new content is made of all; and that as a part of the content's size. */
const FEW = 32;
const PART = 4;

/** A map whose copies share its content, but for a few differences that each has of its own. */
export class CowMap<V> {
  private content: ReadonlyMap<string, V>;
  /** What is not as in `content`; undefined: it is not there. */
  private readonly differences: Map<string, V | undefined>;
  private count: number;

  constructor(content: ReadonlyMap<string, V> = new Map(), differences = new Map<string, V | undefined>(), count = content.size) {
    this.content = content;
    this.differences = differences;
    this.count = count;
  }

  copy(): CowMap<V> {
    if (this.differences.size > Math.max(FEW, this.content.size / PART)) {
      this.content = new Map(this.entries());
      this.differences.clear();
    }
    return new CowMap(this.content, new Map(this.differences), this.count);
  }

  get size(): number {
    return this.count;
  }

  get(name: string): V | undefined {
    const different = this.differences.get(name);
    return different === undefined && !this.differences.has(name) ? this.content.get(name) : different;
  }

  has(name: string): boolean {
    return this.get(name) !== undefined;
  }

  set(name: string, value: V): void {
    const before = this.get(name);
    if (before === value) return;
    if (before === undefined) this.count += 1;
    this.differences.set(name, value);
  }

  delete(name: string): void {
    if (!this.has(name)) return;
    this.count -= 1;
    if (this.content.has(name)) this.differences.set(name, undefined);
    else this.differences.delete(name);
  }

  *entries(): Generator<[string, V]> {
    for (const [name, value] of this.content) {
      if (!this.differences.has(name)) yield [name, value];
    }
    for (const [name, value] of this.differences) if (value !== undefined) yield [name, value];
  }

  *keys(): Generator<string> {
    for (const [name] of this.entries()) yield name;
  }

  [Symbol.iterator](): Iterator<[string, V]> {
    return this.entries();
  }
}
