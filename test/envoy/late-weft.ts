/**
 * A weft whose clock is 58 and a half minutes late: an SVID of an hour ends 90 seconds after it was signed, and weft, by its own clock, has no cause to renew it.
 * late-weft.ts --data DIR --ads ADDR:PORT --admin ADDR:PORT
 */
import { parseArgs } from "node:util";
import { startWeft } from "../../src/control/start.ts";
import { configureLogging } from "../../src/telemetry/log.ts";
import { gainingClock } from "./gaining-clock.ts";

const LATE_MS = 58.5 * 60_000;

const { values } = parseArgs({ options: { data: { type: "string" }, ads: { type: "string" }, admin: { type: "string" } } });
const hostPort = (text = "") => ({ host: text.slice(0, text.lastIndexOf(":")), port: Number(text.slice(text.lastIndexOf(":") + 1)) });
configureLogging({ level: "info", stream: process.stderr, env: {} });
const weft = await startWeft({
  data: values.data ?? "",
  ads: hostPort(values.ads),
  admin: hostPort(values.admin),
  trustDomain: "mesh.local",
  store: "sqlite",
  adminHosts: () => [],
  version: "late",
  clock: gainingClock(() => -LATE_MS),
  env: {},
});
process.once("SIGTERM", () => void weft.close().then(() => process.exit(0)));
