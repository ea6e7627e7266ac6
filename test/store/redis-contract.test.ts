/** The contract of a shared log and a board (log-contract.ts), on a real Redis. That the oldest version does the same: redis-access.test.ts. */
import { afterAll, beforeAll } from "bun:test";
import { describeWhere } from "../skip.ts";
import { logContract } from "./log-contract.ts";
import { installRedis, openLogOn, RedisServer } from "./redis-server.ts";

const programs = installRedis();

describeWhere(programs !== undefined, "a redis-server (scripts/lib/install-redis)", "with all that it writes on its disk", () => {
  let server: RedisServer;
  beforeAll(async () => {
    server = await RedisServer.start(programs?.current ?? "");
  });
  afterAll(() => server.dispose());
  logContract("Redis", () => openLogOn(server));
});
