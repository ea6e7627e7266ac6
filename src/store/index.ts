/** The public face of the store: the contract is store.ts, the backends are chosen by URL. */
import { join } from "node:path";
import type { Clock } from "../lib/clock.ts";
import { WeftError } from "../lib/errors.ts";
import { openEtcd } from "./etcd/index.ts";
import type { Compactable } from "./history-limit.ts";
import { openMemoryStore } from "./memory/index.ts";
import { openRedis } from "./redis/index.ts";
import { openReplica } from "./replica/index.ts";
import type { Board } from "./shared/board.ts";
import type { SharedLog } from "./shared/log.ts";
import { openSqliteStore } from "./sqlite/index.ts";
import type { Store } from "./store.ts";

export type { Compactable, HistoryLimit } from "./history-limit.ts";
export { openMemoryStore } from "./memory/index.ts";
export { openSqliteStore } from "./sqlite/index.ts";
export type * from "./store.ts";

export interface OpenedStore {
  readonly store: Store & Compactable;
  /** Where the store is shared with other nodes; who opened it closes the store alone. */
  readonly board?: Board;
}

export interface OpenStoreOptions {
  readonly dataDir: string;
  readonly clock: Clock;
  /**
   * Whether the database, where it holds what another store was followed or written for, is to be gone on with: an empty log is filled with it; SQLite
   * alone forgets the log that it has followed. Default: no, and opening is refused then.
   */
  readonly carryOver?: boolean;
  /** Where WEFT_STORE_PASSWORD is looked for; nowhere where absent. */
  readonly environment?: Readonly<Record<string, string | undefined>>;
}

/**
 * @param url the words that --store takes: "sqlite" (DATA/weft.db), "sqlite:PATH", "memory:", "etcd://..." and "etcds://..." (etcd/url.ts),
 * "redis://..." and "rediss://..." (redis/target.ts). With the last four each node serves from DATA/weft.db.
 * @throws WeftError "invalid" for another scheme; "unavailable" where the store cannot be opened, naming the file or engine and the mend; "conflict"
 * where the database belongs to another store
 */
export async function openStore(url: string, { dataDir, clock, carryOver, environment = {} }: OpenStoreOptions): Promise<OpenedStore> {
  const [scheme = "", ...rest] = url.split(":");
  const path = rest.join(":");
  const database = join(dataDir, "weft.db");
  switch (scheme) {
    case "sqlite":
      return { store: await openSqliteStore({ path: path === "" ? database : path, clock, carryOver }) };
    case "memory":
      if (path === "") return { store: openMemoryStore({ clock }) };
      break;
    case "etcd":
    case "etcds":
      return shared(await openEtcd(url, { clock, random: Math.random, environment }));
    case "redis":
    case "rediss":
      return shared(await openRedis(url, { clock, environment }));
  }
  // Only the scheme is repeated: the rest of a URL may hold a password.
  throw new WeftError("invalid", `store "${scheme}:..." is not supported`, {
    help: 'use "sqlite", "sqlite:PATH", "memory:", "etcd://HOST:2379,..." or "redis://HOST:6379"',
  });

  async function shared({ log, board }: { readonly log: SharedLog; readonly board: Board }): Promise<OpenedStore> {
    return { store: await openReplica({ path: database, clock, log, carryOver }), board };
  }
}
