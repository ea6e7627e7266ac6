/**
 * Finds out which resources of a refused response are at fault where the client's words name none: it sends them again in halves, each half
 * by itself, until what is refused is one resource. So one resource that a client cannot read holds back no other of its type. Pure.
 */

/** How many refusals one search may cost. What is refused after that is refused whole: a client that can read nothing is not asked for ever. */
export const MAX_SPLITS = 200;

export class Suspects {
  /** Disjoint; the first is the next to be sent. */
  private groups: ReadonlySet<string>[] = [];
  private splits = 0;
  private searching = false;

  copy(): Suspects {
    const copy = new Suspects();
    copy.groups = [...this.groups];
    copy.splits = this.splits;
    copy.searching = this.searching;
    return copy;
  }

  /** Whether a search is under way: something was refused, and it is not known yet what. */
  get active(): boolean {
    return this.searching;
  }

  /** Whether `name` may be part of the next response. While there are groups, only the first one's names may: else its refusal would tell nothing. */
  maySend(name: string): boolean {
    return this.groups[0]?.has(name) ?? true;
  }

  /** `names` were refused together, and nothing says which of them is bad. Returns whether they are to be sent again; else none is. */
  split(names: readonly string[]): boolean {
    if (names.length < 2 || this.splits >= MAX_SPLITS) return false;
    this.splits += 1;
    this.searching = true;
    const middle = Math.ceil(names.length / 2);
    this.groups.unshift(new Set(names.slice(0, middle)), new Set(names.slice(middle)));
    return true;
  }

  /** Others of `names` were refused by name: these are still under suspicion together, and have cost nothing. */
  keep(names: readonly string[]): void {
    if (this.searching && names.length > 0) this.groups.unshift(new Set(names));
  }

  /** The first group is sent, or has nothing to send any more. Returns whether there was one. */
  next(): boolean {
    return this.groups.shift() !== undefined;
  }

  /** The client accepted a response. */
  accepted(): void {
    if (this.groups.length === 0) this.end();
  }

  /** There is nothing left to send. */
  end(): void {
    this.groups = [];
    this.splits = 0;
    this.searching = false;
  }
}
