/**
 * A weft whose clock is 55 minutes late and, from SIGUSR2 on, runs 300 times as fast until it has caught up: SVIDs of an hour are due for
 * renewal within seconds of the signal, and are valid at every real moment. From the sources, because no user has a use for such a clock.
 * hurried-weft.ts --data DIR --ads ADDR:PORT --admin ADDR:PORT
 */
import { parseArgs } from "node:util";
import { startWeft } from "../../src/control/start.ts";
import { systemClock } from "../../src/lib/clock.ts";
import { configureLogging } from "../../src/telemetry/log.ts";
import { gainingClock } from "./gaining-clock.ts";

const LATE_MS = 55 * 60_000;
const SPEED = 300;

let hurriedSince: number | undefined;
process.once("SIGUSR2", () => {
  hurriedSince = systemClock.monotonic();
});
const gained = () => (hurriedSince === undefined ? 0 : (systemClock.monotonic() - hurriedSince) * (SPEED - 1));
const clock = gainingClock(() => -Math.max(0, LATE_MS - gained()));

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
