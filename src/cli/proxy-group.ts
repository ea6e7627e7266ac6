/** `weft proxy run --group`: an instance of a WorkloadGroup registers itself, and tells weft whether its application is ready. */
import { randomUUID } from "node:crypto";
import type { RegistrationAnswer } from "../admin/registration.ts";
import { type Clock, sleep } from "../lib/clock.ts";
import type { ProbePlan } from "../lib/probe.ts";
import {
  authorizationOf,
  checkApplication,
  findEnvoy,
  isEnvoyReady,
  processSignals,
  type Readiness,
  ReadinessReporter,
  runProbe,
  superviseEnvoy,
} from "../proxy/index.ts";
import { type ConnectFlags, connect } from "./client.ts";
import { parseText, parseWorkload } from "./names.ts";
import { clean } from "./output.ts";
import { followRoots } from "./roots.ts";
import { type Cli, UsageError } from "./verb.ts";

const JSON_BODY = { "content-type": "application/json" };
/** How long ending waits for weft to take the instance out: its calls must go elsewhere before its Envoy ends, but weft may be away. */
const LAST_WORD_MS = 2_000;
/** How often a starting Envoy is asked whether it serves: a second or two until then are usual. */
const ENVOY_POLL_MS = 250;

export interface GroupFlags {
  readonly ads?: string;
  readonly group?: string;
  readonly address?: string;
  readonly label?: readonly string[];
  readonly locality?: string;
}

const optional = { kind: "parsed", parse: parseText, optional: true } as const;

export const groupFlags = {
  group: { ...optional, brief: "Register as an instance of this WorkloadGroup: NAME or NAMESPACE/NAME", placeholder: "GROUP" },
  address: { ...optional, brief: "With --group: the IP address by which callers reach this machine", placeholder: "IP" },
  label: { ...optional, variadic: true, brief: "With --group: a label of this instance; may be repeated", placeholder: "KEY=VALUE" },
  locality: { ...optional, brief: "With --group: where this machine is", placeholder: "REGION/ZONE/SUBZONE" },
} as const;

/** The labels of --label. @throws UsageError */
function labelsOf(pairs: readonly string[] = []): Record<string, string> {
  const labels: Record<string, string> = {};
  for (const pair of pairs) {
    const equals = pair.indexOf("=");
    const key = pair.slice(0, Math.max(0, equals));
    if (key === "") throw new UsageError(`"${pair}" is no label: write KEY=VALUE`);
    if (Object.hasOwn(labels, key)) throw new UsageError(`The label ${key} is given twice`);
    labels[key] = pair.slice(equals + 1);
  }
  return labels;
}

/** Runs the instance's Envoy until a signal ends it. @throws WeftError with weft's reason, where it may not register */
export async function runInstance(cli: Cli, flags: ConnectFlags & GroupFlags, args: readonly string[]): Promise<void> {
  const { group, address, label, locality } = flags;
  if (group === undefined || address === undefined) {
    throw new UsageError("--group and --address go together", "name the IP address by which callers reach this machine");
  }
  const { namespace, name } = parseWorkload(group);
  const request = {
    group: `${namespace}/${name}`,
    address,
    instance: randomUUID(),
    labels: labelsOf(label),
    ...(locality ? { locality } : {}),
  };
  const { clock, env } = cli.io;
  const envoyPath = findEnvoy(env);
  const client = await connect(cli.io, flags);
  const ads = flags.ads ?? client.adsHost;
  let registered: RegistrationAnswer | undefined;
  const log = (level: "info" | "warn" | "error", message: string) =>
    cli.complain(clean(`weft proxy ${registered?.workload ?? request.group}: ${level === "info" ? "" : `${level}: `}${message}`));

  const reporter = new ReadinessReporter({
    clock,
    log,
    async send(readiness) {
      if (!registered) return;
      // The instance's own token, which says less than the group's, and is renewed.
      const headers = { ...JSON_BODY, authorization: authorizationOf(registered.bootstrap) ?? "" };
      const path = `/v1/proxies/${registered.workload.split("/").map(encodeURIComponent).join("/")}/health`;
      await client.call(path, { method: "PUT", headers, body: JSON.stringify(shortened(readiness)) });
    },
  });
  const ending = new AbortController();
  const leave = () => {
    if (ending.signal.aborted) return;
    ending.abort();
    // Before Envoy drains: what still comes is served, and nothing new comes.
    void reporter.finish({ ready: false, message: "it is shutting down" });
  };
  const unsubscribe = (["SIGTERM", "SIGINT"] as const).map((signal) => processSignals.on(signal, leave));
  let probing: Promise<void> | undefined;
  try {
    await superviseEnvoy({
      envoyPath,
      async bootstrap() {
        const isFirst = registered === undefined;
        registered = await client.call<RegistrationAnswer>("/v1/registrations", {
          method: "POST",
          headers: JSON_BODY,
          body: JSON.stringify(ads === undefined ? request : { ...request, ads }),
        });
        if (isFirst) log("info", `registers with WorkloadGroup ${request.group}, at ${address}`);
        return registered.bootstrap;
      },
      onStart({ adminAddressFile }) {
        const plan = registered?.probe;
        probing ??=
          plan &&
          probe(plan, adminAddressFile, clock, ending.signal, (readiness) => {
            log(
              readiness.ready ? "info" : "warn",
              readiness.ready ? "its application is ready" : `its application is not ready: ${readiness.message}`,
            );
            reporter.report(readiness);
          });
      },
      roots: followRoots(client, (message) => log("warn", message)),
      args,
      clock,
      signals: processSignals,
      log,
    });
  } finally {
    for (const stop of unsubscribe) stop();
    ending.abort();
    const late = new Promise<void>((resolve) => clock.after(LAST_WORD_MS, resolve));
    await Promise.race([reporter.finish({ ready: false, message: "it has ended" }), late]);
    await probing;
  }
}

/** An application behind an Envoy that does not serve yet cannot be called. */
async function probe(
  plan: ProbePlan,
  adminAddressFile: string,
  clock: Clock,
  signal: AbortSignal,
  onChange: (readiness: Readiness) => void,
): Promise<void> {
  const check = async () =>
    (await isEnvoyReady(adminAddressFile, clock)) ? checkApplication(plan.method, plan.timeoutMs, clock) : "its Envoy does not serve";
  while (!signal.aborted && !(await isEnvoyReady(adminAddressFile, clock))) await sleep(clock, ENVOY_POLL_MS);
  return runProbe({ plan, check, clock, signal, onChange });
}

/** As much as weft takes. */
const shortened = ({ ready, message }: Readiness): Readiness =>
  message === undefined ? { ready } : { ready, message: message.slice(0, 1024) };
