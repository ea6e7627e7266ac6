/** The public face of the store: the contract is store.ts, the backends are chosen by URL. */
import { join } from "node:path";
import type { Clock } from "../lib/clock.ts";
import { WeftError } from "../lib/errors.ts";
import type { Compactable } from "./history-limit.ts";
import { openMemoryStore } from "./memory/index.ts";
import type { Board } from "./shared/board.ts";
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

/**
 * @param url "sqlite" (DATA/weft.db), "sqlite:PATH", or "memory:"; the words that --store takes
 * @throws WeftError "invalid" for another scheme; "unavailable" where the store cannot be opened, naming the file and the mend
 */
export async function openStore(
  url: string,
  { dataDir, clock }: { readonly dataDir: string; readonly clock: Clock },
): Promise<OpenedStore> {
  const [scheme = "", ...rest] = url.split(":");
  const path = rest.join(":");
  if (scheme === "sqlite") return { store: await openSqliteStore({ path: path === "" ? join(dataDir, "weft.db") : path, clock }) };
  if (scheme === "memory" && path === "") return { store: openMemoryStore({ clock }) };
  // Only the scheme is repeated: the rest of a URL may hold a password.
  throw new WeftError("invalid", `store "${scheme}:..." is not supported`, { help: 'use "sqlite", "sqlite:PATH" or "memory:"' });
}
