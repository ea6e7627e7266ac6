/**
 * ServiceEntry: a service, in the mesh or outside. istio/api networking/v1alpha3/service_entry.proto, checked as Istio's
 * ValidateServiceEntry does.
 */
import type * as v from "valibot";
import { checkHost, checkIpBlock, fqdnError, isIpAddress } from "./check.ts";
import { checkSelector } from "./check-label.ts";
import { port, portOrNone } from "./common.ts";
import { choice, list, map, needed, object, type Report, text } from "./schema.ts";
import { exportTo } from "./visibility.ts";
import { checkPortName, isUnix, workloadEntry } from "./workload-entry.ts";

export const PROTOCOLS = ["HTTP", "HTTP2", "GRPC", "GRPC-WEB", "TCP", "TLS", "HTTPS", "MONGO", "MYSQL", "REDIS"];
const LATER: Readonly<Record<string, string>> = { UDP: "Envoy's sidecars take TCP only", HTTP_PROXY: "write HTTP" };

/** Istio's protocol.Parse ignores case. */
export function checkProtocol(protocol: string, report: Report): void {
  const name = protocol.toUpperCase();
  if (name === "" || PROTOCOLS.includes(name)) return;
  if (Object.hasOwn(LATER, name)) report("notYet", `${protocol} is not translated yet`, { help: LATER[name] });
  else report("notOneOf", `must be one of ${PROTOCOLS.join(", ")}, not ${JSON.stringify(protocol)}`);
}

const servicePort = object(
  {
    number: needed(port()),
    protocol: text(checkProtocol),
    name: needed(text((name, report) => checkPortName(name, report))),
    targetPort: portOrNone(),
  },
  (value, report) => {
    if (value.protocol) return;
    report("surprising", "has no protocol, and weft does not detect protocols: it goes by the port's name, else TCP", {
      severity: "warning",
      help: "write protocol: HTTP, or what it is",
    });
  },
);

const endpoint = workloadEntry();

export type ServiceEntryPort = v.InferOutput<typeof servicePort>;
export type ServiceEntryEndpoint = v.InferOutput<typeof endpoint>;

function checkPorts(ports: readonly ServiceEntryPort[], report: Report): void {
  const names = new Set<string>();
  const numbers = new Set<number>();
  for (const [index, { name, number }] of ports.entries()) {
    if (names.has(name)) report("duplicateItem", `port name ${JSON.stringify(name)} occurs twice`, { path: [index, "name"] });
    if (numbers.has(number)) report("duplicateItem", `port number ${number} occurs twice`, { path: [index, "number"] });
    names.add(name);
    numbers.add(number);
  }
}

export const ServiceEntrySchema = object(
  {
    hosts: needed(list(text())),
    addresses: list(text(), (addresses, report) => {
      for (const [index, address] of addresses.entries()) checkIpBlock(address, report, [index]);
    }),
    ports: list(servicePort, checkPorts),
    location: choice(["MESH_EXTERNAL", "MESH_INTERNAL"]),
    resolution: choice(["NONE", "STATIC", "DNS", "DNS_ROUND_ROBIN", "DYNAMIC_DNS"]),
    endpoints: list(endpoint),
    workloadSelector: object({ labels: map(text(), checkSelector) }),
    exportTo: exportTo({ none: true }),
    subjectAltNames: list(text()),
  },
  checkServiceEntry,
);

export type ServiceEntrySpec = v.InferOutput<typeof ServiceEntrySchema>;

/**
 * NONE, or left out: a call goes on to where its client meant it to go (Istio's PASSTHROUGH). No proxy of weft's intercepts connections,
 * so that place is read from the entry: clients of a service with addresses connect to one of these, and the others resolve its name.
 */
export const isPassthrough = ({ resolution }: Pick<Spec, "resolution">) => resolution === undefined || resolution === "NONE";

/** The addresses of a service that are one place each; a block is many. */
export const singleAddresses = ({ addresses = [] }: Pick<Spec, "addresses">) => addresses.filter((address) => !address.includes("/"));

/** How the endpoints of `spec` are found for one of its hosts. A wildcard has no address of its own: the name that is called has (DYNAMIC_DNS). */
export function resolutionOf(
  spec: Pick<Spec, "resolution" | "addresses">,
  host: string,
): "STATIC" | "DNS" | "DNS_ROUND_ROBIN" | "DYNAMIC_DNS" {
  const { resolution } = spec;
  if (resolution !== undefined && resolution !== "NONE") return resolution;
  if (singleAddresses(spec).length > 0) return "STATIC";
  return host.startsWith("*") ? "DYNAMIC_DNS" : "DNS";
}

interface Spec {
  readonly hosts: readonly string[];
  readonly addresses?: readonly string[];
  readonly ports?: readonly ServiceEntryPort[];
  readonly resolution?: "NONE" | "STATIC" | "DNS" | "DNS_ROUND_ROBIN" | "DYNAMIC_DNS";
  readonly endpoints?: readonly ServiceEntryEndpoint[];
  readonly workloadSelector?: { readonly labels?: Readonly<Record<string, string>> };
}

function checkServiceEntry(spec: Spec, report: Report): void {
  const { hosts, addresses = [], ports = [], resolution = "NONE", endpoints, workloadSelector } = spec;
  checkHosts(hosts, report);
  if (isPassthrough(spec)) checkPassthrough(spec, report);
  if (resolution === "DYNAMIC_DNS") checkDynamic(spec, report);
  if (resolution === "DNS_ROUND_ROBIN" && (endpoints?.length ?? 0) > 1) {
    report("exclusive", "resolution DNS_ROUND_ROBIN takes one endpoint", {
      path: ["endpoints"],
      atKey: true,
      help: "write resolution: DNS",
    });
  }
  if (
    resolution !== "STATIC" &&
    resolution !== "NONE" &&
    resolution !== "DYNAMIC_DNS" &&
    addresses.some((address) => address.includes("/"))
  ) {
    report("exclusive", "CIDR blocks go with resolutions NONE and STATIC only", { path: ["addresses"], atKey: true });
  }
  if (workloadSelector && endpoints?.length) report("exclusive", "may have only one of workloadSelector and endpoints");
  if (workloadSelector && Object.keys(workloadSelector.labels ?? {}).length === 0) {
    const message = "has no labels, so it selects every workload of the namespace";
    report("surprising", message, { path: ["workloadSelector"], severity: "warning" });
  }
  if (resolution === "STATIC" && !endpoints?.length && !workloadSelector) {
    report("noEffect", "resolution STATIC without endpoints and workloadSelector: every call to it fails", {
      path: ["resolution"],
      severity: "warning",
    });
  }
  if (resolution !== "STATIC" && resolution !== "NONE" && resolution !== "DYNAMIC_DNS" && !endpoints?.length) {
    for (const [index, host] of hosts.entries()) {
      if (host !== "*" && fqdnError(host)) {
        report("badHost", `without endpoints, resolution ${resolution} needs a full DNS name`, { path: ["hosts", index] });
      }
    }
  }
  if (resolution !== "NONE" && resolution !== "DYNAMIC_DNS")
    for (const [index, part] of (endpoints ?? []).entries()) checkEndpoint(part, index, spec, report);
  const opaque = ports.findIndex(({ protocol = "" }) => !/^(?:http|http2|http_proxy|grpc|grpc-web|https|tls)$/i.test(protocol));
  if (hosts.length > 1 && opaque >= 0 && resolution !== "NONE") {
    report("exclusive", "plain TCP cannot tell hosts apart: with several hosts, every port must be HTTP or TLS", {
      path: ["ports", opaque],
    });
  }
}

function checkPassthrough(spec: Spec, report: Report): void {
  const { resolution, endpoints, workloadSelector } = spec;
  const help = "write resolution: STATIC, or DNS where the addresses are names";
  if (endpoints?.length) {
    const why = resolution ? "resolution NONE takes no endpoints" : "resolution is left out, which means NONE, and that takes no endpoints";
    report("exclusive", why, { path: ["endpoints"], atKey: true, help });
  }
  if (workloadSelector) {
    const message = "selects nothing: with resolution NONE, calls go to where their clients mean them to go";
    report("noEffect", message, { path: ["workloadSelector"], atKey: true, severity: "warning", help });
  }
  if (singleAddresses(spec).length > 0) return;
  if (spec.hosts.some((host) => host.startsWith("*") && host !== "*")) checkNamed(spec, report);
}

/** Protocols in which a call says which host it means: by its Host header, or by the name that TLS asks for. */
const NAMING = /^(?:http|http2|grpc|grpc-web|https|tls)$/i;

/** Where the name that is called is resolved, the call has to say it. */
function checkNamed({ ports = [] }: Spec, report: Report): void {
  for (const [index, { protocol = "", name }] of ports.entries()) {
    if (NAMING.test(protocol || (name.split("-")[0] ?? ""))) continue;
    const message = "nothing says which host of the wildcard a connection is for: plain TCP names none, and nothing intercepts connections";
    report("notYet", message, { path: ["ports", index], help: "write the names that you call, or protocol: TLS" });
  }
}

/** Istio, pkg/config/validation/validation.go, case ServiceEntry_DYNAMIC_DNS. */
function checkDynamic(spec: Spec, report: Report): void {
  const { hosts, addresses = [], ports = [], endpoints = [], workloadSelector } = spec;
  for (const [index, host] of hosts.entries()) {
    if (host.startsWith("*")) continue;
    report("badHost", "resolution DYNAMIC_DNS takes wildcards", { path: ["hosts", index], help: "write resolution: DNS" });
  }
  if (addresses.length > 0) report("exclusive", "resolution DYNAMIC_DNS takes no addresses", { path: ["addresses"], atKey: true });
  if (endpoints.length > 0) report("exclusive", "resolution DYNAMIC_DNS takes no endpoints", { path: ["endpoints"], atKey: true });
  if (workloadSelector) {
    const message = "selects nothing: with resolution DYNAMIC_DNS the name that is called is resolved";
    report("noEffect", message, { path: ["workloadSelector"], atKey: true, severity: "warning" });
  }
  for (const [index, { protocol = "" }] of ports.entries()) {
    if (/^(?:http|http2|grpc|tls)$/i.test(protocol)) continue;
    report("badValue", "resolution DYNAMIC_DNS takes the protocols HTTP, HTTP2, GRPC and TLS", { path: ["ports", index] });
  }
}

function checkHosts(hosts: readonly string[], report: Report): void {
  if (hosts.length === 0) report("missing", "must have at least one host", { path: ["hosts"] });
  for (const [index, host] of hosts.entries()) {
    const path = ["hosts", index];
    if (host === "*") report("badHost", "a service may not stand for every host", { path });
    else {
      checkHost(host, report, path);
      if (host.startsWith("*") && !host.startsWith("*."))
        report("surprising", "a wildcard usually is a whole label: *.example.com", { path, severity: "warning" });
    }
  }
}

function checkEndpoint(part: ServiceEntryEndpoint, index: number, spec: Spec, report: Report): void {
  const { ports = [], resolution } = spec;
  const path = ["endpoints", index];
  const { address } = part;
  if (resolution === "STATIC" && address && !isUnix(address) && !isIpAddress(address)) {
    report("badAddress", "resolution STATIC takes IP addresses", {
      path: [...path, "address"],
      help: "write an IP address, or resolution: DNS",
    });
  }
  if (resolution === "STATIC" && isUnix(address) && ports.length !== 1) {
    report("together", "a Unix socket needs a service with exactly one port", { path: [...path, "address"] });
  }
  if (resolution !== "STATIC" && isUnix(address)) {
    report("badAddress", `resolution ${resolution} takes DNS names and IP addresses`, { path: [...path, "address"] });
  }
  for (const name of Object.keys(part.ports ?? {})) {
    if (!ports.some((known) => known.name === name)) {
      report("badValue", `the service has no port named ${JSON.stringify(name)}`, { path: [...path, "ports", name], atKey: true });
    }
  }
}
