/** What Redis tells of its part in a replication: whether what it says of the log can be the last word. */
import type { Connection } from "./connection.ts";
import { Refused } from "./errors.ts";

export interface Replication {
  /** Why what this server says may not be the last word; undefined where nothing speaks against it. */
  readonly doubt: string | undefined;
  /** Replicas that are connected. */
  readonly replicas: number;
  /** Redis's replication ID: another one after each change of the master, and after most restarts. */
  readonly history: string;
}

/** INFO as a map. */
export async function infoOf(connection: Connection, section: string): Promise<ReadonlyMap<string, string>> {
  const text = String(await connection.send("INFO", [section]));
  return new Map(
    text.split(/\r?\n/).flatMap((line): [string, string][] => {
      const colon = line.indexOf(":");
      return colon > 0 && !line.startsWith("#") ? [[line.slice(0, colon), line.slice(colon + 1)]] : [];
    }),
  );
}

/**
 * @param least min-replicas-to-write, where it is known: a master with fewer good replicas was cut off, or they were; writes may go on at another one
 */
export async function replicationOf(connection: Connection, least = 0): Promise<Replication> {
  const info = await infoOf(connection, "replication");
  const known = { replicas: Number(info.get("connected_slaves") ?? 0), history: info.get("master_replid") ?? "" };
  if (info.get("role") !== "master") {
    return { ...known, doubt: `it is a replica of ${info.get("master_host")}:${info.get("master_port")}, and may lag behind it` };
  }
  // Redis tells of good replicas only where min-replicas-to-write is set.
  const good = Number(info.get("min_slaves_good_slaves") ?? Number.POSITIVE_INFINITY);
  if (good < least)
    return { ...known, doubt: `of its replicas ${good} are in touch, of ${least} (min-replicas-to-write): it may have been cut off` };
  return { ...known, doubt: undefined };
}

/** min-replicas-to-write; undefined where the user may not ask. */
export async function leastReplicas(connection: Connection): Promise<number | undefined> {
  const value = (await configOf(connection, ["min-replicas-to-write"]))?.get("min-replicas-to-write");
  return value === undefined ? undefined : Number(value);
}

/** Undefined where the user may not ask (an ACL, or a host that hides CONFIG). */
export async function configOf(connection: Connection, names: readonly string[]): Promise<ReadonlyMap<string, string> | undefined> {
  const values = new Map<string, string>();
  for (const name of names) {
    try {
      const answer = (await connection.send("CONFIG", ["GET", name])) as Readonly<Record<string, unknown>>;
      const value = answer[name];
      if (value !== undefined) values.set(name, String(value));
    } catch (reason) {
      if (reason instanceof Refused) return undefined;
      throw reason;
    }
  }
  return values;
}
