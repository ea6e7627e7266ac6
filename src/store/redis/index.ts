/** A shared log and a board in Redis 6.2 or later (also Valkey): --store redis://... and rediss://... */
import type { Clock } from "../../lib/clock.ts";
import type { Board } from "../shared/board.ts";
import type { SharedLog } from "../shared/log.ts";
import { RedisBoard } from "./board.ts";
import { keysOf } from "./keys.ts";
import { RedisLog } from "./log.ts";
import { SharedConnection } from "./shared-connection.ts";
import { parseTarget } from "./target.ts";

export interface RedisOptions {
  readonly clock: Clock;
  /** WEFT_STORE_PASSWORD is the password where the URL names none and no password-file: it stands in no process list. Default: none. */
  readonly environment?: Readonly<Record<string, string | undefined>>;
  /** 0 to below 1. */
  readonly random?: () => number;
  /** UUIDs. */
  readonly newId?: () => string;
}

/**
 * @param url "redis://[USER[:PASSWORD]@]HOST[:PORT][/DATABASE][?prefix=NAME&password-file=PATH]", or "rediss://", with ca=, cert= and key= (PEM files) too
 * Connects when it is first used: a weft whose Redis is away starts all the same.
 * @throws WeftError "invalid" for a URL that is none; "unavailable" where a file that it names cannot be read
 */
export async function openRedis(url: string, options: RedisOptions): Promise<{ readonly log: SharedLog; readonly board: Board }> {
  const { clock, environment = {}, random = Math.random, newId = () => crypto.randomUUID() } = options;
  const target = parseTarget(url, environment);
  const shared = { name: target.name, keys: keysOf(target, newId()), connections: new SharedConnection(target, clock), clock };
  return { log: new RedisLog({ ...shared, random, newId }), board: new RedisBoard(shared) };
}
