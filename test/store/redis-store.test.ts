/** The contract of every store, kept by a node whose log is in a real Redis. */
import { afterAll, beforeAll } from "bun:test";
import { describeWhere } from "../skip.ts";
import { storeContract } from "./contract.ts";
import { installRedis, openLogOn, RedisServer } from "./redis-server.ts";
import { replicaOver } from "./replica-harness.ts";

const programs = installRedis();

describeWhere(programs !== undefined, "a redis-server (scripts/lib/install-redis)", "with a log in Redis", () => {
  let server: RedisServer;
  beforeAll(async () => {
    // What is on its disk matters to none of these tests.
    server = await RedisServer.start(programs?.current ?? "", { save: "" });
  });
  afterAll(() => server.dispose());
  storeContract(
    "replica over Redis",
    replicaOver(() => openLogOn(server)),
  );
});
