/**
 * For how long nodes have been seen to be gone: while the board could be read, and no longer than that, but over restarts of this weft too. What was not
 * looked at is not counted, and takes nothing back: else the entries of a node that is gone for good would stay for ever where this weft restarts daily.
 */
export class GoneTimes {
  /** Clock.monotonic. */
  readonly #now: () => number;
  /** Milliseconds, without what is being counted. */
  readonly #before = new Map<string, number>();
  /** Of those that are being counted: since when. */
  readonly #since = new Map<string, number>();

  constructor(now: () => number) {
    this.#now = now;
  }

  /** As `all` said before this weft started. */
  recall(name: string, milliseconds: number): void {
    this.#before.set(name, milliseconds);
  }

  /** It is not on a board that can be read. */
  gone(name: string): void {
    if (!this.#since.has(name)) this.#since.set(name, this.#now());
  }

  there(name: string): void {
    this.#before.delete(name);
    this.#since.delete(name);
  }

  /** The board cannot be read: who is gone is not known until the next `gone`. */
  pause(): void {
    for (const name of this.#since.keys()) this.#before.set(name, this.ms(name));
    this.#since.clear();
  }

  /** Milliseconds; 0 of one that was not seen to be gone. */
  ms(name: string): number {
    const since = this.#since.get(name);
    return (this.#before.get(name) ?? 0) + (since === undefined ? 0 : this.#now() - since);
  }

  /** Those that have been gone for a while, in milliseconds. */
  all(): ReadonlyMap<string, number> {
    const names = new Set([...this.#before.keys(), ...this.#since.keys()]);
    return new Map([...names].map((name) => [name, this.ms(name)] as const).filter(([, milliseconds]) => milliseconds > 0));
  }
}
