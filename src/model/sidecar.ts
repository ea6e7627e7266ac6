/**
 * Sidecar: which services a workload's proxy knows, and what its ports that take calls do. istio/api networking/v1alpha3/sidecar.proto,
 * checked as Istio's ValidateSidecar does.
 */
import type * as v from "valibot";
import { fqdnError, isIpAddress } from "./check.ts";
import { checkSelector } from "./check-label.ts";
import { portSelector } from "./common.ts";
import { choice, list, map, needed, object, type Report, text } from "./schema.ts";
import { egressListeners, NO_CAPTURE, unixAddressError } from "./sidecar-egress.ts";
import { ingressPort, listenerProtocol } from "./sidecar-port.ts";
import { ingressTls } from "./sidecar-tls.ts";
import { inboundConnectionPool } from "./traffic-policy.ts";
import { checkSubset } from "./virtual-service-route.ts";

const LOCAL = new Set(["127.0.0.1", "::1"]);
const INSTANCE = new Set(["0.0.0.0", "::"]);

export interface DefaultEndpoint {
  /** An IP address, the absolute path of a Unix socket, or "@name" of an abstract one; undefined for the workload's own address. */
  readonly address?: string;
  /** 0 with a Unix socket. */
  readonly port: number;
}

/** "127.0.0.1:9001", "[::1]:9001", "0.0.0.0:9001" and "[::]:9001" for the workload's own address, or "unix:///path"; else undefined. */
export function parseDefaultEndpoint(written: string): DefaultEndpoint | undefined {
  if (written.startsWith("unix://")) {
    const path = written.slice("unix://".length);
    return unixAddressError(path) ? undefined : { address: path, port: 0 };
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
  if (/^:\d+$/.test(written)) report("notYet", "a port without an address is not translated yet", { help });
  else report("badAddress", `${JSON.stringify(written)} is no place on this machine`, { help });
}

const ingressListener = object(
  {
    port: needed(ingressPort),
    bind: text((written, report) => {
      if (written !== "" && !isIpAddress(written)) report("badAddress", `${JSON.stringify(written)} is no IP address`);
    }),
    captureMode: choice(["DEFAULT", "NONE"], { IPTABLES: NO_CAPTURE }),
    defaultEndpoint: text(checkDefaultEndpoint),
    tls: ingressTls,
    connectionPool: inboundConnectionPool,
  },
  ({ port, bind = "", defaultEndpoint = "", tls, connectionPool: pool }, report) => {
    const { number } = port;
    const protocol = listenerProtocol(port);
    const place = parseDefaultEndpoint(defaultEndpoint);
    if (place && place.address === undefined && place.port === number) {
      report("selfForward", `the sidecar itself listens on port ${number} of the workload's address`, { path: ["defaultEndpoint"] });
    }
    const isAny = INSTANCE.has(bind) && place !== undefined && LOCAL.has(place.address ?? "");
    if (place?.port === number && (isAny || (bind !== "" && place.address === bind))) {
      report("selfForward", `the sidecar itself listens on ${bind}, port ${number}`, { path: ["defaultEndpoint"] });
    }
    if (tls && !["HTTPS", "TLS"].includes(protocol)) {
      report("exclusive", `tls goes with protocol HTTPS or TLS, not ${protocol}`, { path: ["tls"], atKey: true });
    }
    if (pool?.http && !(tls && protocol === "HTTPS") && !["HTTP", "HTTP2", "GRPC", "GRPC-WEB"].includes(protocol)) {
      report("noEffect", `${protocol} is not HTTP: only the pool's tcp settings hold`, {
        path: ["connectionPool", "http"],
        atKey: true,
        severity: "warning",
      });
    }
  },
);

function checkProxyHost(host: string, report: Report): void {
  const error = fqdnError(host);
  if (error) report("badHost", error);
}

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
    egress: egressListeners(),
    inboundConnectionPool,
    outboundTrafficPolicy: object(
      {
        mode: choice(["REGISTRY_ONLY", "ALLOW_ANY"], {
          ALLOW_ANY_DYNAMIC_DNS: "Istio knows it in MeshConfig only: ALLOW_ANY is the same here",
        }),
        egressProxy: object({ host: needed(text(checkProxyHost)), port: needed(portSelector()), subset: text(checkSubset) }),
      },
      ({ mode, egressProxy }, report) => {
        if (egressProxy && mode !== "ALLOW_ANY") report("together", "needs mode: ALLOW_ANY", { path: ["egressProxy"], atKey: true });
      },
    ),
  },
  ({ ingress, egress, inboundConnectionPool, outboundTrafficPolicy }, report) => {
    if (ingress?.length || egress?.length || inboundConnectionPool || outboundTrafficPolicy) return;
    report("missing", "needs one of egress, ingress, inboundConnectionPool, outboundTrafficPolicy");
  },
);

export type SidecarSpec = v.InferOutput<typeof SidecarSchema>;
export type IngressListener = NonNullable<SidecarSpec["ingress"]>[number];
