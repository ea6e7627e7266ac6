/**
 * Sidecar: which services a workload's proxy knows, and what its ports that take calls do. istio/api networking/v1alpha3/sidecar.proto,
 * checked as Istio's ValidateSidecar does.
 */
import type * as v from "valibot";
import { isDnsLabel, isIpAddress, wildcardDomainError } from "./check.ts";
import { checkSelector } from "./check-label.ts";
import { port } from "./common.ts";
import { choice, list, map, needed, notYet, object, type Report, text } from "./schema.ts";
import { checkProtocol } from "./service-entry.ts";
import { inboundConnectionPool } from "./traffic-policy.ts";
import { checkPortName } from "./workload-entry.ts";

const NO_CAPTURE = "nothing intercepts connections: the application calls the outbound listener, or an address that weft.dev/listen opens";

const listenerPort = object({
  number: needed(port()),
  protocol: needed(
    text((protocol, report) => {
      if (protocol === "") report("missing", "needs a protocol");
      else checkProtocol(protocol, report);
    }),
  ),
  name: text((name, report) => {
    if (name !== "") checkPortName(name, report);
  }),
  targetPort: notYet("it means nothing for Istio either: write defaultEndpoint"),
});

const LOCAL = new Set(["127.0.0.1", "::1"]);
const INSTANCE = new Set(["0.0.0.0", "::"]);

export interface DefaultEndpoint {
  /** An IP address, or the absolute path of a Unix socket; undefined for the workload's own address. */
  readonly address?: string;
  /** 0 with a Unix socket. */
  readonly port: number;
}

/** "127.0.0.1:9001", "[::1]:9001", "0.0.0.0:9001" and "[::]:9001" for the workload's own address, or "unix:///path"; else undefined. */
export function parseDefaultEndpoint(written: string): DefaultEndpoint | undefined {
  if (written.startsWith("unix://")) {
    const path = written.slice("unix://".length);
    return path.startsWith("/") ? { address: path, port: 0 } : undefined;
  }
  const [, bracketed, plain, digits = ""] = /^(?:\[([0-9a-fA-F:]+)\]|([0-9.]+)):(\d{1,5})$/.exec(written) ?? [];
  const host = bracketed ?? plain ?? "";
  const number = Number(digits);
  if (number < 1 || number > 65535 || !isIpAddress(host)) return undefined;
  if (LOCAL.has(host)) return { address: host, port: number };
  return INSTANCE.has(host) ? { port: number } : undefined;
}

function checkDefaultEndpoint(written: string, report: Report): void {
  if (written === "" || parseDefaultEndpoint(written)) return;
  const help = "write 127.0.0.1:PORT, [::1]:PORT, 0.0.0.0:PORT, [::]:PORT or unix:///path";
  if (written.startsWith("unix://@")) report("notYet", "abstract Unix sockets are not translated yet", { help });
  else if (/^:\d+$/.test(written)) report("notYet", "a port without an address is not translated yet", { help });
  else report("badAddress", `${JSON.stringify(written)} is no place on this machine`, { help });
}

const ingressListener = object(
  {
    port: needed(listenerPort),
    bind: notYet("a sidecar takes calls at its WorkloadEntry's address"),
    captureMode: choice(["DEFAULT", "NONE"], { IPTABLES: NO_CAPTURE }),
    defaultEndpoint: text(checkDefaultEndpoint),
    tls: notYet("a Gateway ends the TLS of callers outside the mesh"),
    connectionPool: inboundConnectionPool,
  },
  ({ port: { number, protocol }, defaultEndpoint = "", connectionPool: pool }, report) => {
    const place = parseDefaultEndpoint(defaultEndpoint);
    if (place && place.address === undefined && place.port === number) {
      report("selfForward", `the sidecar itself listens on port ${number} of the workload's address`, { path: ["defaultEndpoint"] });
    }
    if (pool?.http && !["HTTP", "HTTP2", "GRPC", "GRPC-WEB"].includes(protocol.toUpperCase())) {
      report("noEffect", `${protocol} is not HTTP: only the pool's tcp settings hold`, {
        path: ["connectionPool", "http"],
        atKey: true,
        severity: "warning",
      });
    }
  },
);

function checkEgressHost(written: string, report: Report): void {
  const slash = written.indexOf("/");
  const help = 'write NAMESPACE/DNSNAME: "./*", "*/orders.default.mesh.local", "shop/*.example.com", "~/*" for none';
  if (slash < 0) {
    report("badHost", `${JSON.stringify(written)} names no namespace`, { help });
    return;
  }
  const namespace = written.slice(0, slash).replace(/^~/, "");
  const name = written.slice(slash + 1);
  if (slash === 0 || (namespace !== "" && namespace !== "*" && namespace !== "." && !isDnsLabel(namespace))) {
    report("badHost", `${JSON.stringify(written.slice(0, slash))} is no namespace`, { help });
  }
  if (name !== "*" && !name.includes(".")) report("badHost", `${JSON.stringify(name)} is a short name; a whole one is needed`, { help });
  else if (/^\*[^.]/.test(name)) report("badHost", `${JSON.stringify(name)}: a wildcard stands for a whole label`, { help });
  else {
    const error = wildcardDomainError(name);
    if (error) report("badHost", `${JSON.stringify(name)} is no host: ${error}`, { help });
  }
}

function checkEgressHosts(hosts: readonly string[], report: Report): void {
  if (hosts.length === 0) report("missing", "must have at least one host");
  const imported = hosts.filter((host) => !host.startsWith("~"));
  for (const [index, host] of hosts.entries()) {
    const namespace = host.split("/")[0] ?? "";
    const covering = ["*/*", `${namespace}/*`].find((all) => all !== host && !host.startsWith("~") && imported.includes(all));
    if (hosts.indexOf(host) < index) report("duplicateItem", `${host} occurs twice`, { path: [index], severity: "warning" });
    else if (covering) report("noEffect", `${covering} has it already`, { path: [index], severity: "warning" });
  }
}

const egressListener = object({
  port: notYet("the outbound listener takes HTTP calls to every port; annotation weft.dev/listen opens one for a TCP service"),
  bind: notYet("annotations weft.dev/outbound and weft.dev/listen say where calls out are taken"),
  captureMode: choice(["DEFAULT"], {
    IPTABLES: NO_CAPTURE,
    NONE: "listeners are where annotations weft.dev/outbound and weft.dev/listen say",
  }),
  hosts: needed(list(text(checkEgressHost), checkEgressHosts)),
});

export const SidecarSchema = object(
  {
    workloadSelector: object({ labels: map(text(), checkSelector) }, ({ labels }, report) => {
      if (Object.keys(labels ?? {}).length > 0) return;
      report("surprising", "has no labels, so it selects every workload of the namespace", { severity: "warning" });
    }),
    ingress: list(ingressListener, (listeners, report) => {
      const numbers = listeners.map((listener) => listener.port.number);
      for (const [index, number] of numbers.entries()) {
        if (numbers.indexOf(number) < index) report("duplicateItem", `port ${number} occurs twice`, { path: [index, "port", "number"] });
      }
    }),
    egress: list(egressListener, (listeners, report) => {
      // Without ports each of them would be the listener for everything.
      if (listeners.length > 1) report("exclusive", "only one egress listener may be without a port", { path: [1] });
    }),
    inboundConnectionPool,
    outboundTrafficPolicy: object({
      mode: choice(["REGISTRY_ONLY"], { ALLOW_ANY: "nothing intercepts connections, so none has an original destination to go on to" }),
      egressProxy: notYet("it belongs to ALLOW_ANY"),
    }),
  },
  ({ ingress, egress, inboundConnectionPool, outboundTrafficPolicy }, report) => {
    if (ingress?.length || egress?.length || inboundConnectionPool || outboundTrafficPolicy) return;
    report("missing", "needs one of egress, ingress, inboundConnectionPool, outboundTrafficPolicy");
  },
);

export type SidecarSpec = v.InferOutput<typeof SidecarSchema>;
export type IngressListener = NonNullable<SidecarSpec["ingress"]>[number];
