import { buildCommand, buildRouteMap } from "@stricli/core";
import { findEnvoy, processSignals, superviseEnvoy } from "../proxy/index.ts";
import { BRIEF } from "./briefs.ts";
import { type AdminClient, type ConnectFlags, connect, connectFlags } from "./client.ts";
import { parseText, parseWorkload } from "./names.ts";
import { clean } from "./output.ts";
import { type GroupFlags, groupFlags, runInstance } from "./proxy-group.ts";
import { followRoots } from "./roots.ts";
import { UsageError, verb } from "./verb.ts";

const workload = { parse: parseText, placeholder: "WORKLOAD", brief: "A WorkloadEntry: NAME or NAMESPACE/NAME" };

interface PlaceFlags {
  readonly ads?: string;
  readonly unix: boolean;
}

const placeFlags = {
  ads: {
    kind: "parsed",
    parse: parseText,
    optional: true,
    brief: "Where the proxy reaches weft's ADS over TLS: HOST:PORT; the host of --server https:// where absent",
    placeholder: "HOST:PORT",
  },
  unix: {
    kind: "boolean",
    default: false,
    withNegated: false,
    brief: "Over weft's Unix socket, without a token: the WorkloadEntry's annotation weft.dev/unix-user names who runs it",
  },
} as const;

type BootstrapFlags = PlaceFlags & { readonly ttl?: string };

async function bootstrapOf(client: AdminClient, text: string, flags: BootstrapFlags): Promise<Readonly<Record<string, unknown>>> {
  const { namespace, name } = parseWorkload(text);
  const headers = { "content-type": "application/json" };
  const { ttl, unix } = flags;
  const ads = unix ? undefined : (flags.ads ?? client.adsHost);
  const body = JSON.stringify({ workload: `${namespace}/${name}`, ttl, ads, ...(unix ? { unix } : {}) });
  return client.call("/v1/bootstrap", { method: "POST", headers, body });
}

const bootstrapCommand = buildCommand({
  docs: {
    brief: "Print an Envoy bootstrap for a workload",
    fullDescription:
      "For `envoy -c`: JSON, which is YAML too. It holds a token by which the proxy proves who it is: keep it as you would keep a key.",
  },
  parameters: { flags: { ...placeFlags, ...connectFlags }, positional: { kind: "tuple", parameters: [workload] } },
  func: verb<ConnectFlags & PlaceFlags, [string]>(async (cli, flags, text) => {
    // JSON, which is YAML too: Envoy takes what has no file name of its own (`-c <(weft proxy bootstrap NAME)`) for JSON.
    cli.print(JSON.stringify(await bootstrapOf(await connect(cli.io, flags), text, flags), null, 2));
    return 0;
  }),
});

interface RunFlags extends ConnectFlags, GroupFlags, PlaceFlags {
  readonly tokenTtl: string;
}

const runCommand = buildCommand({
  docs: {
    brief: "Run and supervise a workload's Envoy",
    fullDescription:
      "Starts the Envoy of $WEFT_ENVOY or of PATH, restarts it when it crashes, and drains it on SIGTERM. What follows -- goes to Envoy.\n" +
      "With --group: registers as an instance of that WorkloadGroup, runs the group's probe, and tells weft whether the application is ready.",
    customUsage: ["WORKLOAD [-- ENVOY-ARGS...]", "--group GROUP --address IP [-- ENVOY-ARGS...]"],
  },
  parameters: {
    flags: {
      tokenTtl: {
        kind: "parsed",
        parse: parseText,
        default: "1h",
        brief: "Life of its workload token, which is renewed half-way",
        placeholder: "TIME",
      },
      ...placeFlags,
      ...groupFlags,
      ...connectFlags,
    },
    positional: {
      kind: "array",
      parameter: { parse: parseText, placeholder: "WORKLOAD [-- ENVOY-ARGS]", brief: workload.brief },
    },
  },
  func: verb<RunFlags, string[]>(async (cli, flags, text, ...args) => {
    const { io } = cli;
    const { group, address, label, locality } = flags;
    if (group !== undefined && flags.unix)
      throw new UsageError("--unix is for a WorkloadEntry: instances of a group prove themselves by a token");
    if (group !== undefined) {
      await runInstance(cli, flags, text === undefined ? args : [text, ...args]);
      return 0;
    }
    if (address !== undefined || label !== undefined || locality !== undefined) {
      throw new UsageError("--address, --label and --locality go with --group: a WorkloadEntry has its own");
    }
    if (text === undefined) throw new UsageError("Name a WORKLOAD, or a WorkloadGroup with --group and --address");
    const envoyPath = findEnvoy(io.env);
    const client = await connect(io, flags);
    const log = (level: "info" | "warn" | "error", message: string) =>
      cli.complain(clean(`weft proxy ${text}: ${level === "info" ? "" : `${level}: `}${message}`));
    await superviseEnvoy({
      envoyPath,
      bootstrap: () => bootstrapOf(client, text, { ...flags, ttl: flags.tokenTtl }),
      roots: followRoots(client, (message) => log("warn", message)),
      args,
      clock: io.clock,
      signals: processSignals,
      log,
    });
    return 0;
  }),
});

export const proxyRoutes = buildRouteMap({
  routes: { bootstrap: bootstrapCommand, run: runCommand },
  docs: { brief: BRIEF.proxy },
});
