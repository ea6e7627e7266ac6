/**
 * A weft whose CA is 49 minutes old, of an hour: the next authority takes over in a minute. Its clock is seven minutes late and, from SIGUSR2 on, runs 30
 * times as fast until it has caught up: then the SVIDs, of ten minutes, have been renewed in their time, and each was valid at every real moment.
 * aged-weft.ts --data DIR --ads ADDR:PORT --admin ADDR:PORT
 */
import { parseArgs } from "node:util";
import { openAuthority } from "../../src/ca/index.ts";
import { startWeft } from "../../src/control/start.ts";
import { systemClock } from "../../src/lib/clock.ts";
import { configureLogging } from "../../src/telemetry/log.ts";
import { gainingClock } from "./gaining-clock.ts";

const MINUTE = 60_000;
const LATE_MS = 7 * MINUTE;
const AGE_MS = 49 * MINUTE;
const SPEED = 30;
const lifetimes = { x509SvidMs: 10 * MINUTE, jwtSvidMs: 5 * MINUTE, authorityMs: 60 * MINUTE };

let hurriedSince: number | undefined;
process.once("SIGUSR2", () => {
  hurriedSince = systemClock.monotonic();
});
const gained = () => (hurriedSince === undefined ? 0 : (systemClock.monotonic() - hurriedSince) * (SPEED - 1));
const lag = () => -Math.max(0, LATE_MS - gained());
// Proxies may come back for a minute after a restart: by this clock too.
const clock = { ...gainingClock(lag), monotonic: () => systemClock.monotonic() + lag() };

const { values } = parseArgs({ options: { data: { type: "string" }, ads: { type: "string" }, admin: { type: "string" } } });
const { data = "" } = values;
const hostPort = (text = "") => ({ host: text.slice(0, text.lastIndexOf(":")), port: Number(text.slice(text.lastIndexOf(":") + 1)) });
configureLogging({ level: "debug", stream: process.stderr, env: {} });
const then = { ...clock, now: () => clock.now() - AGE_MS };
(await openAuthority({ dir: data, trustDomain: "mesh.local", clock: then, lifetimes })).close();
const weft = await startWeft({
  data,
  ads: hostPort(values.ads),
  admin: hostPort(values.admin),
  trustDomain: "mesh.local",
  store: "sqlite",
  adminHosts: () => [],
  ca: { lifetimes },
  version: "aged",
  clock,
  env: {},
});
process.once("SIGTERM", () => void weft.close().then(() => process.exit(0)));
