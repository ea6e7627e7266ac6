/** What this Redis, as it is set up, cannot promise: said at start and by `weft check`. docs/stores.md says the same at length. */
import type { WeftError } from "../../lib/errors.ts";
import type { Connection } from "./connection.ts";
import { configOf, infoOf } from "./replication.ts";

/** The first with XTRIM MINID, by which the log is trimmed. */
const OLDEST = [6, 2] as const;

export const unreachableWarning = (reason: WeftError): string => `what it promises cannot be told while it is away: ${reason.message}`;

export async function warningsOf(connection: Connection, { confirmed }: { readonly confirmed: boolean }): Promise<readonly string[]> {
  const config = await configOf(connection, ["appendfsync", "save", "min-replicas-to-write"]);
  const server = await infoOf(connection, "server");
  const replication = await infoOf(connection, "replication");
  return [
    ...serverWarnings(server),
    ...diskWarnings(await infoOf(connection, "persistence"), config),
    ...memoryWarnings(await infoOf(connection, "memory")),
    ...replicationWarnings(replication, config?.get("min-replicas-to-write")),
    ...(confirmed ? [] : ["no replica has confirmed the last write in time: a failover now would lose it"]),
    ...(config === undefined
      ? [
          "its user may not ask for its settings (CONFIG GET), so appendfsync, save and min-replicas-to-write are unknown: allow it with +config|get",
        ]
      : []),
  ];
}

function serverWarnings(info: ReadonlyMap<string, string>): readonly string[] {
  const version = info.get("redis_version") ?? "0.0";
  const [major = 0, minor = 0] = version.split(".").map(Number);
  const old = major < OLDEST[0] || (major === OLDEST[0] && minor < OLDEST[1]);
  return [
    ...(old ? [`Redis ${version} is too old: the log cannot be trimmed (XTRIM MINID); use ${OLDEST.join(".")} or later`] : []),
    ...(info.get("redis_mode") === "cluster"
      ? ["it is a Redis Cluster: weft needs all of its keys on one master, so use one shard at most"]
      : []),
  ];
}

function diskWarnings(info: ReadonlyMap<string, string>, config: ReadonlyMap<string, string> | undefined): readonly string[] {
  if (info.get("aof_enabled") !== "1") {
    const saves = config?.get("save");
    return saves === ""
      ? ["it keeps nothing on disk (appendonly no, no save): a restart loses the log; set appendonly yes and appendfsync always"]
      : ["appendonly is off: a crash loses all acknowledged writes since the last save; set appendonly yes and appendfsync always"];
  }
  const sync = config?.get("appendfsync") ?? "always";
  return [
    ...(sync === "always"
      ? []
      : [
          `appendfsync is ${sync}: a crash of its machine loses acknowledged writes (of about a second, with everysec); set appendfsync always`,
        ]),
    ...(info.get("aof_last_write_status") === "err" ? ["it could not write its append-only file: look into its log"] : []),
  ];
}

function memoryWarnings(info: ReadonlyMap<string, string>): readonly string[] {
  const policy = info.get("maxmemory_policy") ?? "noeviction";
  if (policy === "noeviction" || (info.get("maxmemory") ?? "0") === "0") return [];
  const what = policy.startsWith("allkeys") ? "the log itself" : "large writes under way and the nodes' cards";
  return [`maxmemory-policy is ${policy}: when memory runs short it throws away ${what}; set maxmemory-policy noeviction`];
}

function replicationWarnings(info: ReadonlyMap<string, string>, least: string | undefined): readonly string[] {
  if (info.get("role") !== "master")
    return [`it is a replica of ${info.get("master_host")}:${info.get("master_port")}: let --store name the master`];
  const replicas = Number(info.get("connected_slaves") ?? 0);
  if (replicas === 0) return [];
  return [
    "its replicas get a write after it was acknowledged, so a failover can lose some; weft notices, takes the log as it is then, and says so",
    ...(least === "0"
      ? [
          "min-replicas-to-write is 0: a master that is cut off from its replicas goes on taking writes, which a failover throws away; set it to 1",
        ]
      : []),
  ];
}
