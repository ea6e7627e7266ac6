/** weft's own annotations, which wire a WorkloadEntry's sidecar. */
import { isNodeName } from "../lib/node-name.ts";
import { isIpAddress, wildcardDomainError } from "./check.ts";
import { labelKeyError } from "./check-label.ts";
import { parseProbeAnnotation } from "./probe-annotation.ts";
import type { Report } from "./schema.ts";
import { suggestion } from "./schema.ts";

export const ANNOTATION = {
  /** Where the application listens, by port name: "http=127.0.0.1:9001,tcp-db=unix:///run/db.sock". */
  app: "weft.dev/app",
  /** Where the sidecar takes HTTP calls out: "127.0.0.1:15101". */
  outbound: "weft.dev/outbound",
  /** Local listeners for TCP services: "db.default.mesh.local:5432=127.0.0.1:15432". */
  listen: "weft.dev/listen",
  /** Envoy's admin address: "127.0.0.1:15000". */
  envoyAdmin: "weft.dev/envoy-admin",
  /** Where Prometheus may scrape Envoy: "127.0.0.1:15090". */
  prometheus: "weft.dev/prometheus",
  /** What its Envoy is: "sidecar", or "gateway" for one that serves the Gateways which select it. */
  type: "weft.dev/type",
  /** Who runs its Envoy on weft's own machine, by number or name: "1001". That user needs no token at ads.sock. */
  unixUser: "weft.dev/unix-user",
  /** The node that it belongs to, by name: "edge-3". Its proxy's presence is asked for; one without it is static. */
  node: "weft.dev/node",
  /** How that node asks its application whether it is ready: a ReadinessProbe of Istio's, as YAML or JSON. */
  probe: "weft.dev/probe",
} as const;

/** On a WorkloadGroup: the keys of labels that its instances may set themselves, "version,track". */
export const INSTANCE_LABELS = "weft.dev/instance-labels";

/** Set by Istio's users on an AuthorizationPolicy that is to be counted only. */
export const DRY_RUN = "istio.io/dry-run";

export interface AddressPort {
  /** IP address, without brackets; of an application also the path of a Unix socket. */
  readonly address: string;
  /** 0 with a Unix socket. */
  readonly port: number;
}

export interface ListenEntry {
  /** The service's host, as written. */
  readonly host: string;
  readonly port: number;
  readonly address: string;
  readonly localPort: number;
}

export type Parsed<T> = { readonly value: T } | { readonly error: string };

function parsePort(text: string): number | undefined {
  const port = /^[1-9][0-9]{0,4}$/.test(text) ? Number(text) : 0;
  return port >= 1 && port <= 65535 ? port : undefined;
}

/** "127.0.0.1:9001" or "[::1]:9001". */
export function parseAddressPort(text: string): Parsed<AddressPort> {
  const match = /^(?:\[([^\]]*)\]|([^:]*)):(.*)$/.exec(text.trim());
  const address = match?.[1] ?? match?.[2] ?? "";
  const port = parsePort(match?.[3] ?? "");
  const bracketsFit = address.includes(":") === (match?.[1] !== undefined);
  if (!isIpAddress(address) || !bracketsFit)
    return { error: `${JSON.stringify(text)} is no ADDRESS:PORT such as 127.0.0.1:9001 or [::1]:9001` };
  if (port === undefined) return { error: `the port of ${JSON.stringify(text)} must be from 1 to 65535` };
  return { value: { address, port } };
}

function parseItems<T>(text: string, parse: (item: string) => Parsed<T>): Parsed<T[]> {
  const values: T[] = [];
  for (const item of text.split(",")) {
    const parsed = parse(item.trim());
    if ("error" in parsed) return parsed;
    values.push(parsed.value);
  }
  return { value: values };
}

/** A place of the application: ADDRESS:PORT, or a Unix socket, "unix:///run/app.sock", which is its path and port 0. */
function parseApp(text: string): Parsed<AddressPort> {
  if (!text.startsWith("unix://")) return parseAddressPort(text);
  const path = text.slice("unix://".length);
  if (/^\/[^\s=,]*[^\s=,/]$/.test(path)) return { value: { address: path, port: 0 } };
  return { error: `${JSON.stringify(text)} is no Unix socket such as unix:///run/app.sock` };
}

/** "http=127.0.0.1:9001,tcp-db=unix:///run/db.sock": where the application listens, by port name. */
export function parseAppAnnotation(text: string): Parsed<ReadonlyMap<string, AddressPort>> {
  const items = parseItems(text, (item): Parsed<readonly [string, AddressPort]> => {
    const equals = item.indexOf("=");
    if (equals < 1) return { error: `${JSON.stringify(item)} is no PORTNAME=ADDRESS:PORT such as http=127.0.0.1:9001` };
    const target = parseApp(item.slice(equals + 1).trim());
    return "error" in target ? target : { value: [item.slice(0, equals).trim(), target.value] };
  });
  if ("error" in items) return items;
  const value = new Map(items.value);
  const twice = items.value.find(([name], index) => items.value.findIndex(([other]) => other === name) !== index);
  return twice ? { error: `port ${twice[0]} occurs twice` } : { value };
}

/** "db.default.mesh.local:5432=127.0.0.1:15432,...": which local address stands for which port of which TCP service. */
export function parseListenAnnotation(text: string): Parsed<readonly ListenEntry[]> {
  const items = parseItems(text, (item): Parsed<ListenEntry> => {
    const form = `${JSON.stringify(item)} is no HOST:PORT=ADDRESS:PORT such as db:5432=127.0.0.1:15432`;
    const [service = "", local] = item.split("=");
    const colon = service.lastIndexOf(":");
    const host = service.slice(0, Math.max(0, colon)).trim();
    const port = parsePort(service.slice(colon + 1).trim());
    if (local === undefined || wildcardDomainError(host) || port === undefined) return { error: form };
    const target = parseAddressPort(local);
    return "error" in target ? target : { value: { host, port, address: target.value.address, localPort: target.value.port } };
  });
  if ("error" in items) return items;
  const twice = items.value.find(({ address, localPort }, index) => {
    return items.value.findIndex((other) => other.address === address && other.localPort === localPort) !== index;
  });
  return twice ? { error: `${twice.address}:${twice.localPort} occurs twice` } : items;
}

export type ProxyType = "sidecar" | "gateway";

export function parseTypeAnnotation(text: string): Parsed<ProxyType> {
  if (text === "sidecar" || text === "gateway") return { value: text };
  return { error: `must be sidecar or gateway, not ${JSON.stringify(text)}` };
}

/**
 * A user's number, or a name (useradd(8)). Root is none: what runs as root can take any workload's part anyhow, and so many things do that it says
 * nothing of which one it is.
 */
export function parseUnixUser(text: string): Parsed<string> {
  if (text === "root" || /^0+$/.test(text))
    return { error: "root is no user of a workload's own: run its Envoy as another, or with a token" };
  if (text === "nobody" || text === "65534")
    return { error: `${text} is whoever has no number of their own here, so no one workload: run its Envoy as a user of its own` };
  // user_namespaces(7) for 65534, above; 2^32 - 1 means "no user" (chown(2)).
  if (/^[1-9]\d{0,9}$/.test(text)) return Number(text) < 0xffff_ffff ? { value: text } : { error: `${text} is no user's number` };
  if (/^[a-z_][a-z0-9_-]{0,31}$/.test(text)) return { value: text };
  return { error: `${JSON.stringify(text)} is no user: write a number, such as "1001", or a name in lower case` };
}

/** As `weft run --node` takes it: mostly a host's name. */
export function parseNodeName(text: string): Parsed<string> {
  if (isNodeName(text)) return { value: text };
  return { error: `${JSON.stringify(text.slice(0, 80))} is no node's name: use lower-case letters, digits, '-' and '.', at most 63` };
}

/** "version,track": keys of labels. */
function parseLabelKeys(text: string): Parsed<readonly string[]> {
  return parseItems(text, (key): Parsed<string> => {
    const error = labelKeyError(key);
    return error ? { error: `${JSON.stringify(key)}: ${error}` } : { value: key };
  });
}

const PARSERS: Readonly<Record<string, (text: string) => Parsed<unknown>>> = {
  [ANNOTATION.app]: parseAppAnnotation,
  [ANNOTATION.outbound]: parseAddressPort,
  [ANNOTATION.listen]: parseListenAnnotation,
  [ANNOTATION.envoyAdmin]: parseAddressPort,
  [ANNOTATION.prometheus]: parseAddressPort,
  [ANNOTATION.type]: parseTypeAnnotation,
  [ANNOTATION.unixUser]: parseUnixUser,
  [ANNOTATION.node]: parseNodeName,
  [ANNOTATION.probe]: parseProbeAnnotation,
};

/** Checks the annotations that mean something to weft; others are anybody's. */
export function checkAnnotations(kind: string, annotations: Readonly<Record<string, string>>, report: Report): void {
  if (Object.hasOwn(annotations, ANNOTATION.prometheus) && !Object.hasOwn(annotations, ANNOTATION.envoyAdmin)) {
    report("badAnnotation", `${ANNOTATION.prometheus} needs ${ANNOTATION.envoyAdmin} too, where Envoy's statistics are`, {
      path: ["metadata", "annotations", ANNOTATION.prometheus],
      help: `add ${ANNOTATION.envoyAdmin}: "127.0.0.1:9901", or another port`,
    });
  }
  for (const [key, value] of Object.entries(annotations)) {
    const at = { path: ["metadata", "annotations", key] };
    if (key === DRY_RUN && kind !== "AuthorizationPolicy") {
      report("badAnnotation", `${DRY_RUN} has a meaning on an AuthorizationPolicy only`, { ...at, atKey: true });
    }
    if (!key.startsWith("weft.dev/")) continue;
    if (key === INSTANCE_LABELS) {
      const parsed = parseLabelKeys(value);
      if (kind !== "WorkloadGroup") report("badAnnotation", `${key} has a meaning on a WorkloadGroup only`, { ...at, atKey: true });
      else if ("error" in parsed) report("badAnnotation", `${key}: ${parsed.error}`, at);
      continue;
    }
    const parse = Object.hasOwn(PARSERS, key) ? PARSERS[key] : undefined;
    if (!parse)
      report("badAnnotation", `${key} is no annotation of weft's`, { ...at, atKey: true, help: suggestion(key, Object.keys(PARSERS)) });
    else if (kind === "WorkloadGroup") {
      report("badAnnotation", `${key} is for the group's instances: write it under spec.metadata.annotations`, { ...at, atKey: true });
    } else if (kind !== "WorkloadEntry") report("badAnnotation", `${key} has a meaning on a WorkloadEntry only`, { ...at, atKey: true });
    else {
      const parsed = parse(value);
      if ("error" in parsed) report("badAnnotation", `${key}: ${parsed.error}`, at);
    }
  }
}

/** Those that weft writes itself on instances, or that have a field of their own in a group. */
const NOT_IN_GROUPS: Readonly<Record<string, string>> = {
  [ANNOTATION.unixUser]: "is for one workload: instances of a group prove themselves by their token",
  [ANNOTATION.node]: "is set by weft itself: an instance belongs to the node where it registers",
  [ANNOTATION.probe]: "is for one workload: a group has spec.probe",
};

/** Those of a WorkloadEntry that a WorkloadGroup passes on to its instances; paths are relative to the mapping. */
export function checkWeftAnnotations(annotations: Readonly<Record<string, string>>, report: Report): void {
  for (const [key, why] of Object.entries(NOT_IN_GROUPS)) {
    if (Object.hasOwn(annotations, key)) report("badAnnotation", `${key} ${why}`, { path: [key], atKey: true });
  }
  checkAnnotations("WorkloadEntry", annotations, (name, message, options = {}) =>
    report(name, message, { ...options, path: options.path?.slice(2) }),
  );
}
