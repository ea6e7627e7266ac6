/**
 * A weft whose clock, from SIGUSR2 on, runs 60 times as fast: JWT-SVIDs of 5 minutes are renewed every 2.5 seconds. What it signs is good at the real
 * moment too, for some time: X.509-SVIDs, begun 2 minutes before they are signed, are not replaced in the first 25 seconds.
 * sixty-fold-weft.ts --data DIR --ads ADDR:PORT --admin ADDR:PORT
 */
import { parseArgs } from "node:util";
import { startWeft } from "../../src/control/start.ts";
import { type Clock, systemClock } from "../../src/lib/clock.ts";
import { configureLogging } from "../../src/telemetry/log.ts";

const SPEED = 60;
/** How long a wait may miss that the clock began to run fast. */
const LOOK_EVERY_MS = 200;

let fastSince: number | undefined;
process.once("SIGUSR2", () => {
  fastSince = systemClock.monotonic();
});
const gained = () => (fastSince === undefined ? 0 : (systemClock.monotonic() - fastSince) * (SPEED - 1));
const passed = () => systemClock.monotonic() + gained();
const clock: Clock = {
  now: () => systemClock.now() + gained(),
  monotonic: systemClock.monotonic,
  after(milliseconds, callback) {
    const end = passed() + milliseconds;
    let cancel = () => {};
    const wait = (): void => {
      const left = Math.max(0, end - passed());
      cancel =
        left === 0 ? systemClock.after(0, callback) : systemClock.after(Math.min(left / (fastSince ? SPEED : 1), LOOK_EVERY_MS), wait);
    };
    wait();
    return () => cancel();
  },
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
  version: "sixty-fold",
  clock,
  env: {},
});
process.once("SIGTERM", () => void weft.close().then(() => process.exit(0)));
