/** The contract of a shared log and a board (log-contract.ts), on real Redis: the version that most have, and the oldest that weft supports. */
import { afterAll, beforeAll, describe } from "bun:test";
import { describeWhere } from "../skip.ts";
import { logContract } from "./log-contract.ts";
import { installRedis, openLogOn, RedisServer } from "./redis-server.ts";

const programs = installRedis();

for (const version of ["current", "oldest"] as const) {
  describeWhere(programs !== undefined, "a redis-server (scripts/lib/install-redis)", `Redis, the ${version} version`, () => {
    let server: RedisServer;
    beforeAll(async () => {
      server = await RedisServer.start(programs?.[version] ?? "");
    });
    afterAll(() => server.dispose());
    describe("with all that it writes on its disk", () => logContract(`Redis (${version})`, () => openLogOn(server)));
  });
}
