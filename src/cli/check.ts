import { buildCommand } from "@stricli/core";
import type { CaAnswer } from "../admin/ca-schemas.ts";
import type { ControlPlane, Health, ProxyStatus } from "../admin/control-plane.ts";
import type { OtherNodes } from "../admin/nodes.ts";
import { BRIEF } from "./briefs.ts";
import { type AdminClient, connect, connectFlags } from "./client.ts";
import { nackLines } from "./nacks.ts";
import { otherNodesLines } from "./other-nodes.ts";
import { clean, json } from "./output.ts";
import { type ReportFlags, reportFormat } from "./services.ts";
import { verb } from "./verb.ts";

type Level = "ok" | "warning" | "error";

interface Finding {
  readonly check: string;
  readonly level: Level;
  readonly message: string;
  readonly help?: string;
}

const SHOWN: Readonly<Record<Level, string>> = { ok: "ok  ", warning: "warn", error: "FAIL" };

/** What the operator can do about a part that does not work. */
const MENDS: Readonly<Record<string, string>> = {
  store: "free space on the disk of the data directory, or check that weft's user may write there",
  xds: "look at weft's log for the cause; restarting weft disturbs no traffic",
  ca: "check that the key files in the data directory are there and readable by weft's user; a node that was removed: stop it, and join again with a new token and an empty data directory",
};

export const checkCommand = buildCommand({
  docs: {
    brief: BRIEF.check,
    fullDescription:
      "Asks the store, ADS and the CA to do their work, and looks at every proxy, certificate and resource. Exit 1 where something is wrong;\n" +
      "findings across resources are warnings, and so is a proxy that is away, because it may have been stopped on purpose.",
  },
  parameters: { flags: { output: reportFormat, ...connectFlags }, aliases: { o: "output" } },
  func: verb<ReportFlags, []>(async (cli, flags) => {
    const client = await connect(cli.io, flags);
    const findings = [
      ...(await parts(client)),
      ...(await proxies(client, flags.output === "json", cli.io.clock.now())),
      ...(await authorities(client)),
      ...(await keySets(client)),
      ...(await resources(client)),
    ];
    const ok = findings.every((finding) => finding.level !== "error");
    if (flags.output === "json") cli.print(json({ ok, findings }));
    else {
      for (const { level, check, message, help } of findings) {
        cli.print(clean(`${SHOWN[level]}  ${check}: ${message}`));
        if (help) cli.print(clean(`      help: ${help}`));
      }
    }
    return ok ? 0 : 1;
  }),
});

async function parts(client: AdminClient): Promise<Finding[]> {
  const health = await client.call<Health>("/healthz");
  return health.parts.flatMap(({ part, ok, message, warnings = [] }): Finding[] => {
    const found = warnings.map((warning): Finding => ({ check: part, level: "warning", message: warning }));
    if (ok && warnings.includes(message)) return found;
    return [{ check: part, level: ok ? "ok" : "error", message, ...(ok ? {} : { help: MENDS[part] }) }, ...found];
  });
}

async function proxies(client: AdminClient, whole: boolean, now: number): Promise<Finding[]> {
  const { items, ...others } = await client.call<{ items: ProxyStatus[] } & OtherNodes>("/v1/proxies");
  const unheard = otherNodesLines(others, now).map((message): Finding => ({ check: "other nodes", level: "warning", message }));
  if (items.length === 0) return [...unheard, { check: "proxies", level: "ok", message: "none is connected" }];
  const findings = items.flatMap((proxy) => problemOf(proxy, whole));
  const waiting = items.filter((proxy) => proxy.connected && proxy.status === "PENDING").length;
  const well = items.length - new Set(findings.map(({ check }) => check)).size;
  const message = `${well} of ${items.length} well${waiting > 0 ? `, ${waiting} of them about to answer` : ""}`;
  const level = (["error", "warning"] as const).find((worst) => findings.some((finding) => finding.level === worst)) ?? "ok";
  return [...unheard, ...findings, { check: "proxies", level, message }];
}

function problemOf(proxy: ProxyStatus, whole: boolean): readonly Finding[] {
  const check = `proxy ${proxy.id}`;
  if (!proxy.connected) {
    const help = `if it was not stopped on purpose, start it again: weft proxy run ${proxy.id}`;
    return [{ check, level: "warning", message: `not connected since ${proxy.disconnected_at}`, help }];
  }
  const found: Finding[] = [];
  if (proxy.needs_restart) {
    const help = `at a convenient time start it again: weft proxy run ${proxy.id}`;
    found.push({ check, level: "warning", message: `it was started otherwise than it would be now: ${proxy.needs_restart}`, help });
  }
  if (proxy.unready !== undefined) {
    const help = "look at its application, and at the probe of its WorkloadGroup";
    found.push({ check, level: "warning", message: `it gets no calls: ${proxy.unready}`, help });
  }
  if (proxy.uncertified !== undefined) {
    found.push({ check, level: "error", message: `it has no certificate, and gets no configuration before it has: ${proxy.uncertified}` });
  }
  if (proxy.too_old) {
    found.push({ check, level: "warning", message: proxy.too_old, help: "give this workload a newer Envoy" });
  }
  if (proxy.unknown_because !== undefined) {
    found.push({ check, level: "warning", message: `what it has is not known: ${proxy.unknown_because}` });
  }
  if (proxy.status === "NACKED") {
    const help = "mend the resource that is named and apply it again; what the proxy had before stays in force";
    found.push({ check, level: "error", message: nackLines(proxy, { whole }).join("\n      "), help });
  }
  return found;
}

/** Keys that could not be fetched: tokens are refused, or will be when the issuer changes its keys. */
async function keySets(client: AdminClient): Promise<Finding[]> {
  const { items } = await client.call<{ items: ReturnType<ControlPlane["jwks"]> }>("/v1/jwks");
  return items.map(({ uri, issuers, state, error, fetched_at }): Finding => {
    const check = `keys of ${issuers.filter(Boolean).join(", ") || uri}`;
    if (state === "ok") return { check, level: "ok", message: `fetched from ${uri} at ${fetched_at}` };
    const message = state === "stale" ? `those of ${fetched_at} are in use, new ones cannot be fetched` : "none, so tokens are refused";
    const cause = error ?? `${uri} has not answered yet`;
    return { check, level: "error", message: `${message}: ${cause}`, help: "check jwksUri and that it can be reached from this machine" };
  });
}

/** Findings across documents: warnings, which say where to look. */
async function resources(client: AdminClient): Promise<Finding[]> {
  const { problems } = await client.call<Awaited<ReturnType<ControlPlane["check"]>>>("/v1/check");
  const count = problems.length === 1 ? "1 finding" : `${problems.length} findings`;
  return [
    ...problems.map(({ file, line, code, message, help, resource }): Finding => {
      const name = resource ? `${resource.kind} ${resource.namespace}/${resource.name}` : "resources";
      return { check: name, level: "warning", message: `${message} (${code}, ${file}:${line})`, ...(help ? { help } : {}) };
    }),
    { check: "resources", level: "ok", message: problems.length === 0 ? "nothing found" : `${count}; weft explain CODE tells more` },
  ];
}

/** What about the CA must be looked at: long before it stops anything. */
async function authorities(client: AdminClient): Promise<Finding[]> {
  const { warnings, x509 } = await client.call<CaAnswer>("/v1/ca");
  const check = "ca authorities";
  if (warnings.length > 0) return warnings.map(({ message, help }): Finding => ({ check, level: "error", message, help }));
  const active = x509.find(({ state }) => state === "active");
  return [{ check, level: "ok", message: `the X.509 authority ends at ${active?.notAfter ?? "no time"}, and is replaced before` }];
}
