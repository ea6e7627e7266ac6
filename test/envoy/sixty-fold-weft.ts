/**
 * A weft whose clock, from SIGUSR2 on, runs 60 times as fast: JWT-SVIDs of 5 minutes are renewed every 2.5 seconds. What it signs is good at the real
 * moment too, for some time: X.509-SVIDs, begun 2 minutes before they are signed, are not replaced in the first 25 seconds.
 * sixty-fold-weft.ts --data DIR --ads ADDR:PORT --admin ADDR:PORT
 */
import { parseArgs } from "node:util";
import { startWeft } from "../../src/control/start.ts";
import { systemClock } from "../../src/lib/clock.ts";
import { configureLogging } from "../../src/telemetry/log.ts";
import { gainingClock } from "./gaining-clock.ts";

const SPEED = 60;
let fastSince: number | undefined;
process.once("SIGUSR2", () => {
  fastSince = systemClock.monotonic();
});
const gained = () => (fastSince === undefined ? 0 : (systemClock.monotonic() - fastSince) * (SPEED - 1));
const clock = gainingClock(gained);

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
  version: "sixty-fold",
  clock,
  env: {},
});
process.once("SIGTERM", () => void weft.close().then(() => process.exit(0)));
