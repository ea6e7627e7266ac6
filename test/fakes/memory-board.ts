import type { Clock } from "../../src/lib/clock.ts";
import { WeftError } from "../../src/lib/errors.ts";
import type { Board } from "../../src/store/shared/board.ts";

/**
 * A board in this process, on a clock that is moved by hand, and away whenever a test wants it to be. The real ones are etcd's and Redis', which keep
 * time themselves: rules that count seconds cannot be tested to the millisecond on them. They are held to the same contract by test/store.
 */
export class MemoryBoard {
  readonly #clock: Clock;
  readonly #cards = new Map<string, { readonly text: string; readonly cancel: () => void }>();
  readonly #watchers = new Set<() => void>();
  /** Names of the nodes that cannot reach it. */
  readonly #cut = new Set<string>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** The board as a node sees it. */
  as(node: string): Board {
    return {
      post: async (name, text, ttlMs) => {
        this.#reach(node);
        this.#cards.get(name)?.cancel();
        const cancel = this.#clock.after(ttlMs, () => this.#remove(name));
        const isNew = this.#cards.get(name)?.text !== text;
        this.#cards.set(name, { text, cancel });
        if (isNew) this.#tell();
      },
      withdraw: async (name) => {
        this.#reach(node);
        this.#remove(name);
      },
      watch: (signal) => this.#watch(node, signal),
    };
  }

  /** From now on the node cannot reach it, or can again. */
  cut(node: string, isCut: boolean): void {
    if (isCut) this.#cut.add(node);
    else this.#cut.delete(node);
    this.#tell();
  }

  /** All cards are gone, as after an engine that came back without its leases. */
  flush(): void {
    for (const name of [...this.#cards.keys()]) this.#remove(name);
  }

  #reach(node: string): void {
    if (this.#cut.has(node)) throw new WeftError("unavailable", "the board cannot be reached");
  }

  #remove(name: string): void {
    this.#cards.get(name)?.cancel();
    if (this.#cards.delete(name)) this.#tell();
  }

  #tell(): void {
    for (const tell of [...this.#watchers]) tell();
  }

  async *#watch(node: string, signal: AbortSignal): AsyncGenerator<ReadonlyMap<string, string>> {
    let changed = Promise.withResolvers<void>();
    const tell = () => changed.resolve();
    this.#watchers.add(tell);
    signal.addEventListener("abort", tell, { once: true });
    try {
      while (!signal.aborted) {
        this.#reach(node);
        yield new Map([...this.#cards].map(([name, { text }]) => [name, text]));
        await changed.promise;
        changed = Promise.withResolvers<void>();
      }
    } finally {
      this.#watchers.delete(tell);
    }
  }
}
