/** A shared log and a board in an etcd cluster; docs/stores.md says what is stored where. */
import type { Clock } from "../../lib/clock.ts";
import type { Board } from "../shared/board.ts";
import type { SharedLog } from "../shared/log.ts";
import { append } from "./append.ts";
import { EtcdBoard } from "./board.ts";
import { ChunkStore } from "./chunks.ts";
import { EtcdClient } from "./client.ts";
import { EntryReader } from "./entries.ts";
import { Fence } from "./fence.ts";
import { followLog } from "./follow.ts";
import { Keys, utf8 } from "./keys.ts";
import { tlsOptions } from "./member.ts";
import { Snapshots } from "./snapshot.ts";
import { parseEtcdUrl } from "./url.ts";
import { etcdWarnings } from "./warnings.ts";

export interface EtcdOptions {
  readonly clock: Clock;
  /** From 0 to 1: which member is asked first, and how long is waited after failures. */
  readonly random: () => number;
  /** Where WEFT_STORE_PASSWORD is looked for: process.env. */
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** For how long a call is tried on one member after the other before it is "unavailable", milliseconds. Default: 10,000. */
  readonly patienceMs?: number;
}

/**
 * Opens the etcd that `url` names (url.ts says how): nothing is asked of it yet, for it may be away.
 * @throws WeftError "invalid" (the URL), "unavailable" (a file that it names cannot be read)
 */
export async function openEtcd(
  url: string,
  { clock, random, environment, patienceMs }: EtcdOptions,
): Promise<{ log: SharedLog; board: Board }> {
  const address = parseEtcdUrl(url, environment);
  if (address.tls) tlsOptions(address);
  const client = new EtcdClient(address, { clock, random, patienceMs });
  const keys = new Keys(address.prefix);
  const chunks = new ChunkStore(client, keys);
  const fence = new Fence(client, keys);
  const reader = new EntryReader(client, keys, chunks, fence);
  const snapshots = new Snapshots(client, keys, chunks, reader);
  const parts = { client, keys, chunks, fence, reader };
  const log: SharedLog = {
    name: address.name,
    snapshot: (signal) => snapshots.read(signal),
    follow: (after, signal) => followLog(parts, after, signal),
    append: (after, entry) => append(parts, after, entry),
    putSnapshot: (snapshot, trimThrough) => snapshots.put(snapshot, trimThrough),
    async checkWritable() {
      await client.call(({ kv }, options) => kv.put({ key: utf8(keys.probe) }, options));
    },
    warnings: () => etcdWarnings(client, keys),
    async close() {
      client.close();
    },
  };
  return { log, board: new EtcdBoard(client, keys) };
}
