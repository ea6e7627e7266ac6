/** `weft run`: the control plane as a process, with its signals, its log and its configuration file. */
// Before anything that uses decorators' metadata (@peculiar/x509), in whatever order the bundler puts modules.
import "reflect-metadata";
import packageJson from "../package.json" with { type: "json" };
import { BUNDLE_VARIABLES, bundleEndpointOf } from "./cli/bundle-settings.ts";
import { CA_VARIABLES, caOf } from "./cli/ca-settings.ts";
import type { RunSettings } from "./cli/config.ts";
import { NODE_REMOVED_EXIT } from "./cli/verb.ts";
import { type Listening, startWeft } from "./control/start.ts";
import { systemClock } from "./lib/clock.ts";
import { WeftError } from "./lib/errors.ts";
import { configureLogging, logger } from "./telemetry/log.ts";

const { version } = packageJson;

/** What cannot change while weft runs. The operator's files behind the paths can: they are read again by themselves. */
const FIXED = [
  "data",
  "ads",
  "adsTls",
  "adsSocket",
  "admin",
  "adminTls",
  "trustDomain",
  "store",
  "carryOver",
  "workloadApi",
  "inMesh",
  "node",
  "cluster",
  "clusterAddress",
  "takeOver",
  ...(Object.keys(CA_VARIABLES) as (keyof typeof CA_VARIABLES)[]),
  "presenceGrace",
  "nodeGrace",
  ...(Object.keys(BUNDLE_VARIABLES) as (keyof typeof BUNDLE_VARIABLES)[]),
] as const;

/** Runs until SIGTERM or SIGINT (ends well; a second one ends at once), or until this node is removed from its mesh; SIGHUP reads the configuration file again. */
export async function startServer(settings: RunSettings, reload: () => Promise<RunSettings>): Promise<number> {
  let current = settings;
  const logging = () => configureLogging({ level: current.logLevel, stream: process.stderr, env: process.env });
  logging();
  const log = logger("run");
  const ended = new Promise<string>((resolve) => {
    for (const signal of ["SIGTERM", "SIGINT"] as const) process.on(signal, () => resolve(signal));
  });
  process.on("SIGHUP", () => {
    reload().then(
      (next) => {
        const fixed = FIXED.filter((key) => JSON.stringify(next[key]) !== JSON.stringify(current[key]));
        const { logLevel, adminHosts, adminPrincipals, jwksAllow } = next;
        current = { ...current, logLevel, adminHosts, adminPrincipals, jwksAllow };
        logging();
        log.info("the configuration was read again: logLevel, adminHosts, adminPrincipals and jwksAllow are in force");
        if (fixed.length > 0)
          log.warning("restart weft for the changed settings {settings}: they cannot change while it runs", { settings: fixed });
      },
      (reason) => log.error("the configuration file is wrong, and nothing of it was taken: {reason}", { reason: WeftError.from(reason) }),
    );
  });

  const weft = await startWeft({
    ...settings,
    adminHosts: () => current.adminHosts,
    adminPrincipals: () => current.adminPrincipals,
    jwksAllow: () => current.jwksAllow,
    ca: caOf(settings),
    ...bundleEndpointOf(settings),
    version,
    clock: systemClock,
    env: process.env,
  });
  const { listening } = weft;
  process.stdout.write(
    `weft ${version} is ready\n  ADS    ${listening.ads} and ${listening.ads_socket}\n${more(listening)}  admin  http://${listening.admin} and ${listening.admin_socket}\n` +
      `  next   weft apply -f FILE --data ${settings.data}\n`,
  );
  // What starting has left behind: weft may do nothing for a long while, and would keep it.
  Bun.gc(true);
  log.info("ready", { ...listening, trustDomain: settings.trustDomain, store: settings.store });
  const why = await Promise.race([ended, weft.removed]);
  if (typeof why === "string") log.info("ending on {signal}: proxies keep their configuration and reconnect", { signal: why });
  else log.error("ending: {message}; {help}", { message: why.message, help: why.help });
  process.once("SIGINT", () => process.exit(130));
  await weft.close();
  // What is still open (a trace's last try, say) must not keep the process; what was written must be out.
  await Promise.all([process.stdout, process.stderr].map((stream) => new Promise<void>((resolve) => stream.write("", () => resolve()))));
  process.exit(typeof why === "string" ? 0 : NODE_REMOVED_EXIT);
}

/** The doors that were asked for besides. */
function more({ ads_tls: adsTls, ads_public_socket: socket, admin_tls: adminTls, bundle_endpoint: bundle, cluster }: Listening): string {
  const lines = [
    adsTls && `  ADS    ${adsTls} with TLS`,
    socket && `  ADS    ${socket}`,
    adminTls && `  admin  https://${adminTls}`,
    bundle && `  bundle https://${bundle}/`,
    cluster && `  nodes  ${cluster}`,
  ];
  return lines.map((line) => (line ? `${line}\n` : "")).join("");
}
