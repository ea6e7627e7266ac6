/**
 * A weft whose clock starts 55 minutes late and runs 300 times as fast until it has caught up: SVIDs of an hour are due for renewal
 * within seconds, and are valid at every real moment. From the sources, because no user has a use for such a clock.
 * hurried-weft.ts --data DIR --ads ADDR:PORT --admin ADDR:PORT
 */
import { parseArgs } from "node:util";
import { startWeft } from "../../src/control/start.ts";
import { type Clock, systemClock } from "../../src/lib/clock.ts";
import { configureLogging } from "../../src/telemetry/log.ts";

const LATE_MS = 55 * 60_000;
const SPEED = 300;
/** No wait is longer, so that what waits for a time of day sees the clock in time; a peer on loopback answers sooner. */
const LONGEST_WAIT_MS = 1_000;

const began = systemClock.monotonic();
const start = systemClock.now() - LATE_MS;
const clock: Clock = {
  now: () => Math.min(systemClock.now(), start + (systemClock.monotonic() - began) * SPEED),
  monotonic: systemClock.monotonic,
  after: (milliseconds, callback) => systemClock.after(Math.min(milliseconds, LONGEST_WAIT_MS), callback),
};

const { values } = parseArgs({ options: { data: { type: "string" }, ads: { type: "string" }, admin: { type: "string" } } });
const hostPort = (text = "") => ({ host: text.slice(0, text.lastIndexOf(":")), port: Number(text.slice(text.lastIndexOf(":") + 1)) });
configureLogging({ level: "debug", stream: process.stderr, env: {} });
const weft = await startWeft({
  data: values.data ?? "",
  ads: hostPort(values.ads),
  admin: hostPort(values.admin),
  trustDomain: "mesh.local",
  store: "sqlite",
  adminHosts: () => [],
  version: "hurried",
  clock,
  env: {},
});
process.once("SIGTERM", () => void weft.close().then(() => process.exit(0)));
