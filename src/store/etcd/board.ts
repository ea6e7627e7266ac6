/** The board: a key for each card, with a lease that its node renews. */
import { Event_EventType } from "../../gen/etcd/kv_pb.ts";
import { backoff, jittered } from "../shared/backoff.ts";
import type { Board } from "../shared/board.ts";
import type { EtcdClient } from "./client.ts";
import { EtcdFailure, says } from "./failure.ts";
import { endOf, type Keys, range, textOf, utf8 } from "./keys.ts";
import { Watching } from "./watching.ts";

/** A card of this node's, as it was put up last. */
interface Posted {
  readonly text: string;
  readonly ttlMs: number;
  readonly lease: bigint;
  /** Where the key has another now, somebody else has changed it. */
  readonly revision: bigint;
}

/** By a quorum, so that a member that is cut off is found out. */
const ASK_EVERY_MS = 4_000;
const CARDS_A_READ = 100n;
const CARD_DEADLINE_MS = 6_000;

export class EtcdBoard implements Board {
  readonly #client: EtcdClient;
  readonly #keys: Keys;
  readonly #posted = new Map<string, Posted>();

  constructor(client: EtcdClient, keys: Keys) {
    this.#client = client;
    this.#keys = keys;
  }

  async post(name: string, text: string, ttlMs: number): Promise<void> {
    const posted = this.#posted.get(name);
    if (posted?.ttlMs === ttlMs && (await this.#renewed(posted.lease))) {
      if (posted.text === text && (await this.#stands(name, posted))) return;
      const revision = await this.#put(name, text, posted.lease);
      if (revision !== undefined) return void this.#posted.set(name, { ...posted, text, revision });
    }
    const { ID: lease } = await this.#client.call(({ lease: leases }, options) =>
      leases.leaseGrant({ TTL: BigInt(Math.ceil(ttlMs / 1_000)) }, options),
    );
    const revision = await this.#put(name, text, lease);
    if (revision === undefined)
      throw new EtcdFailure("etcd lost a lease that it had just granted", {
        cure: "member",
        maybeDone: false,
        broken: false,
      }).unavailable();
    this.#posted.set(name, { text, ttlMs, lease, revision });
    if (posted) await this.#revoke(posted.lease);
  }

  async withdraw(name: string): Promise<void> {
    const posted = this.#posted.get(name);
    await this.#client.call(({ kv }, options) => kv.deleteRange({ key: utf8(this.#keys.card(name)) }, options));
    this.#posted.delete(name);
    if (posted) await this.#revoke(posted.lease);
  }

  async *watch(signal: AbortSignal): AsyncGenerator<ReadonlyMap<string, string>> {
    const client = this.#client;
    let watching: Watching | undefined;
    let failures = 0;
    try {
      while (!signal.aborted) {
        const { cards, revision } = await this.#all(signal);
        if (signal.aborted) return;
        yield new Map(cards);
        const create = { ...range(this.#keys.cards), startRevision: revision + 1n, fragment: true };
        try {
          watching = await Watching.open(client, create, signal);
        } catch (reason) {
          if (!(reason instanceof EtcdFailure)) throw reason;
          if (reason.cure !== "member") throw reason.unavailable();
          // Listing again finds another member, or says that there is none.
          failures += 1;
          await client.pause(backoff(failures, client.random), signal);
          continue;
        }
        failures = (yield* this.#changes(cards, revision, watching, signal)) ? 0 : failures + 1;
        watching.close();
        await client.pause(failures === 0 ? jittered(100, client.random) : backoff(failures, client.random), signal);
      }
    } catch (reason) {
      if (!signal.aborted && !client.closed.aborted) throw reason;
    } finally {
      watching?.close();
    }
  }

  /** Until the watch ends: then all cards are read again. @returns whether it stood for a while */
  async *#changes(
    cards: Map<string, string>,
    revision: bigint,
    watching: Watching,
    signal: AbortSignal,
  ): AsyncGenerator<ReadonlyMap<string, string>, boolean> {
    const client = this.#client;
    let asked = revision;
    let stood = false;
    while (!signal.aborted) {
      const watched = await watching.next(jittered(ASK_EVERY_MS, client.random));
      if (signal.aborted) break;
      if (watched === undefined) {
        stood = true;
        const { header } = await client.call(({ kv }, options) => kv.range({ key: utf8(this.#keys.head) }, options), { signal });
        const now = header?.revision ?? 0n;
        // Another member answers, or a backup was restored: the watch may say nothing for long.
        if (client.preferred !== watching.member || now < asked) break;
        asked = now;
        continue;
      }
      if (watched.type === "ended") {
        if (watched.reason?.cure === "never") throw watched.reason.unavailable();
        break;
      }
      stood = true;
      for (const { type, kv } of watched.response.events) {
        const name = textOf(kv?.key ?? new Uint8Array(0)).slice(this.#keys.cards.length);
        if (type === Event_EventType.PUT) cards.set(name, textOf(kv?.value ?? new Uint8Array(0)));
        else cards.delete(name);
      }
      yield new Map(cards);
    }
    return stood;
  }

  /** All cards at one revision. */
  async #all(signal: AbortSignal): Promise<{ cards: Map<string, string>; revision: bigint }> {
    const cards = new Map<string, string>();
    const rangeEnd = endOf(this.#keys.cards);
    let key: Uint8Array<ArrayBuffer> = utf8(this.#keys.cards);
    let revision = 0n;
    for (;;) {
      const request = { key, rangeEnd, limit: CARDS_A_READ, revision };
      const page = await this.#client.call(({ kv }, options) => kv.range(request, options), { signal, deadlineMs: CARD_DEADLINE_MS });
      revision ||= page.header?.revision ?? 0n;
      for (const card of page.kvs) cards.set(textOf(card.key).slice(this.#keys.cards.length), textOf(card.value));
      const last = page.kvs.at(-1);
      if (!page.more || last === undefined) return { cards, revision };
      key = new Uint8Array([...last.key, 0]);
    }
  }

  /** @returns the key's new revision; undefined where the lease is gone */
  async #put(name: string, text: string, lease: bigint): Promise<bigint | undefined> {
    const request = { key: utf8(this.#keys.card(name)), value: utf8(text), lease };
    try {
      const { header } = await this.#client.call(({ kv }, options) => kv.put(request, options), { deadlineMs: CARD_DEADLINE_MS });
      return header?.revision ?? 0n;
    } catch (reason) {
      if (says(reason, "requested lease not found")) return undefined;
      throw reason;
    }
  }

  /** @returns false where the lease is gone */
  #renewed(lease: bigint): Promise<boolean> {
    return this.#client.call(async ({ lease: leases }, options) => {
      const requests = (async function* () {
        yield { ID: lease };
      })();
      for await (const { TTL } of leases.leaseKeepAlive(requests, options)) return TTL > 0n;
      throw new Error("no answer to the renewal of a lease");
    });
  }

  /** Whether the card is as it was put up. What a member that lags answers is good enough: at worst it is put up again. */
  async #stands(name: string, { revision, lease }: Posted): Promise<boolean> {
    const request = { key: utf8(this.#keys.card(name)), keysOnly: true, serializable: true };
    const { kvs } = await this.#client.call(({ kv }, options) => kv.range(request, options));
    return kvs[0]?.modRevision === revision && kvs[0].lease === lease;
  }

  /** With it goes a card that is still on it; a failure is no matter, it runs out. */
  async #revoke(lease: bigint): Promise<void> {
    await this.#client.call(({ lease: leases }, options) => leases.leaseRevoke({ ID: lease }, options)).catch(() => {});
  }
}
