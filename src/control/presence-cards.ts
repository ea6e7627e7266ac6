/** The cards of the other nodes, as they were read last: which workloads have a proxy there, and what their nodes say of them. */
import type { NodeCard } from "./node-card.ts";

export type Cards = ReadonlyMap<string, Pick<NodeCard, "proxies" | "notReady">>;

export class CardIndex {
  #cards: Cards = new Map();
  /** Of each node, also of those whose card is gone. */
  readonly #notReady = new Map<string, NodeCard["notReady"]>();
  /** By workload key: on how many cards it stands. */
  readonly #listed = new Map<string, number>();

  /** By name of the node, without this one's. A card that is the same object as before has not changed. @returns the workloads with which something changed */
  update(cards: Cards): ReadonlySet<string> {
    const changed = new Set<string>();
    const count = (keys: Iterable<string>, one: 1 | -1) => {
      for (const key of keys) {
        const sum = (this.#listed.get(key) ?? 0) + one;
        if (sum > 0) this.#listed.set(key, sum);
        else this.#listed.delete(key);
        changed.add(key);
      }
    };
    for (const [node, before] of this.#cards) {
      if (cards.get(node) !== before) count(new Set(before.proxies), -1);
    }
    for (const [node, now] of cards) {
      if (this.#cards.get(node) === now) continue;
      count(new Set(now.proxies), 1);
      for (const key of Object.keys({ ...this.#notReady.get(node), ...now.notReady })) changed.add(key);
      this.#notReady.set(node, now.notReady);
    }
    this.#cards = cards;
    return changed;
  }

  /** What was known before weft started. */
  remember(node: string, notReady: NodeCard["notReady"]): void {
    if (!this.#notReady.has(node)) this.#notReady.set(node, notReady);
  }

  /** By node; without those that have nothing to say. */
  allNotReady(): Readonly<Record<string, NodeCard["notReady"]>> {
    return Object.fromEntries([...this.#notReady].filter(([, said]) => Object.keys(said).length > 0));
  }

  isListed(key: string): boolean {
    return this.#listed.has(key);
  }

  has(node: string): boolean {
    return this.#cards.has(node);
  }

  get names(): ReadonlySet<string> {
    return new Set(this.#cards.keys());
  }

  /** Why the workload's application is not ready, by the word of its node; undefined where it is. */
  notReady(node: string, key: string): string | undefined {
    const said = this.#notReady.get(node);
    return said && Object.hasOwn(said, key) ? said[key] : undefined;
  }
}
