/** What this etcd cannot promise: members of a version that loses watch events, and space that runs out. */
import type { StatusResponse } from "../../gen/etcd/rpc_pb.ts";
import type { EtcdClient } from "./client.ts";
import { type Keys, utf8 } from "./keys.ts";

/** The first patch release of each line whose watches lose no events. Later lines have the mend from their start. */
const MENDED: Readonly<Record<string, number>> = { "3.5": 33, "3.6": 14 };
/** Of the quota. */
const NEARLY_FULL = 0.8;
/** etcd's default where it does not tell its quota (before 3.6): https://etcd.io/docs/v3.5/op-guide/maintenance/#space-quota */
const DEFAULT_QUOTA = 2 * 1024 * 1024 * 1024;
/** Whoever still has a revision so far back compacts seldom or never. */
const LONG_HISTORY = 100_000n;

/** SharedLog.warnings: of the members that answer. */
export async function etcdWarnings(client: EtcdClient, keys: Keys): Promise<readonly string[]> {
  const states = await Promise.all(
    client.members.map(async (member) => {
      const status = await client.attempt(({ maintenance }, options) => maintenance.status({}, options), {}, member).catch(() => undefined);
      return status ? memberWarnings(member.name, status) : [];
    }),
  );
  return [...states.flat(), ...(await historyWarnings(client, keys))];
}

export function memberWarnings(
  name: string,
  { version, errors, dbSize, dbSizeQuota }: Pick<StatusResponse, "version" | "errors" | "dbSize" | "dbSizeQuota">,
): string[] {
  const warnings: string[] = [];
  if (losesEvents(version)) {
    warnings.push(
      `etcd ${version} at ${name} can lose watch events (mended in 3.5.33 and 3.6.14): a change may reach this node up to 5 s late; upgrade etcd`,
    );
  }
  const quota = Number(dbSizeQuota) || DEFAULT_QUOTA;
  if (errors.length === 0 && Number(dbSize) > quota * NEARLY_FULL) {
    const share = Math.round((Number(dbSize) / quota) * 100);
    warnings.push(`etcd at ${name} has used ${share} % of its space quota: compact, defragment, or raise --quota-backend-bytes`);
  }
  for (const error of errors) warnings.push(`etcd at ${name} raises an alarm: ${error}`);
  return warnings;
}

function losesEvents(version: string): boolean {
  const [, major, minor, patch] = /^(\d+)\.(\d+)\.(\d+)/.exec(version) ?? [];
  if (major === undefined) return false;
  const mended = MENDED[`${major}.${minor}`];
  if (mended !== undefined) return Number(patch) < mended;
  return Number(major) < 3 || (Number(major) === 3 && Number(minor) < 5);
}

async function historyWarnings(client: EtcdClient, keys: Keys): Promise<string[]> {
  const key = utf8(keys.head);
  try {
    const { header } = await client.attempt(({ kv }, options) => kv.range({ key }, options));
    const old = (header?.revision ?? 0n) - LONG_HISTORY;
    if (old <= 0n) return [];
    await client.attempt(({ kv }, options) => kv.range({ key, revision: old }, options));
  } catch {
    // Compacted, as it should be, or not to be reached, which follow() tells.
    return [];
  }
  return [
    `etcd keeps the history of more than ${LONG_HISTORY} revisions, and grows: start it with --auto-compaction-mode=periodic --auto-compaction-retention=1h`,
  ];
}
