/** What MeshConfig says where nothing else does, as far as proxies are concerned. */
import { parseDuration } from "../lib/duration.ts";
import type { LocalityLbSetting } from "../model/locality.ts";
import { knownTls, parseJsonFormat } from "../model/mesh-defaults.ts";
import type { AnyResource, Resource } from "../model/resource.ts";
import type { ConnectionPool, OutlierDetection } from "../model/traffic-policy.ts";
import { memoize } from "./memo.ts";
import { meshUnknownHosts, type UnknownHosts } from "./unknown-hosts.ts";

/** For outbound clusters: each where no DestinationRule says it (cluster_traffic_policy.go applyDefaultTrafficPolicy, loadbalancer.go). */
export interface TrafficDefaults {
  readonly localityLbSetting?: LocalityLbSetting;
  readonly connectionPool?: ConnectionPool;
  readonly outlierDetection?: OutlierDetection;
}

export interface TlsDefaults {
  readonly min13: boolean;
  readonly cipherSuites: readonly string[];
  readonly ecdhCurves: readonly string[];
}

export interface MeshDefaults {
  readonly traffic?: TrafficDefaults;
  /** DNS clusters' rate where a name's TTL says nothing; milliseconds. */
  readonly dnsRefreshMs?: number;
  /** Field by field below a DestinationRule's. */
  readonly tcpKeepalive?: NonNullable<ConnectionPool["tcp"]>["tcpKeepalive"];
  /** HTTP/1.1 ports are called by HTTP/2 unless a DestinationRule says otherwise. */
  readonly h2Upgrade?: boolean;
  /** How long a listener waits for a client's first bytes; 0 for ever. */
  readonly protocolDetectionMs?: number;
  /** The access log is JSON with these. */
  readonly accessLogLabels?: Readonly<Record<string, unknown>>;
  /** Of the mesh's mutual TLS where calls come in. */
  readonly mutualTls?: TlsDefaults;
  /** Of TLS with those outside the mesh. */
  readonly tls?: TlsDefaults;
  /** Hosts that no ServiceEntry names may be called. */
  readonly unknownHosts?: UnknownHosts;
}

/** Istio's JSON access log where no format is given (pilot/pkg/model/telemetry_logging.go EnvoyJSONLogFormatIstio). */
const JSON_LOG: Readonly<Record<string, string>> = {
  authority: "%REQ(:AUTHORITY)%",
  bytes_received: "%BYTES_RECEIVED%",
  bytes_sent: "%BYTES_SENT%",
  connection_termination_details: "%CONNECTION_TERMINATION_DETAILS%",
  downstream_local_address: "%DOWNSTREAM_LOCAL_ADDRESS%",
  downstream_remote_address: "%DOWNSTREAM_REMOTE_ADDRESS%",
  duration: "%DURATION%",
  method: "%REQ(:METHOD)%",
  path: "%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%",
  protocol: "%PROTOCOL%",
  request_id: "%REQ(X-REQUEST-ID)%",
  requested_server_name: "%REQUESTED_SERVER_NAME%",
  response_code: "%RESPONSE_CODE%",
  response_code_details: "%RESPONSE_CODE_DETAILS%",
  response_flags: "%RESPONSE_FLAGS%",
  route_name: "%ROUTE_NAME%",
  start_time: "%START_TIME%",
  upstream_cluster: "%UPSTREAM_CLUSTER_RAW%",
  upstream_host: "%UPSTREAM_HOST%",
  upstream_local_address: "%UPSTREAM_LOCAL_ADDRESS%",
  upstream_service_time: "%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)%",
  upstream_transport_failure_reason: "%UPSTREAM_TRANSPORT_FAILURE_REASON%",
  user_agent: "%REQ(USER-AGENT)%",
  x_forwarded_for: "%REQ(X-FORWARDED-FOR)%",
};

type Config = Resource<"MeshConfig">;

/** Undefined where nothing is said. */
export function meshDefaults(config: Config | undefined): MeshDefaults | undefined {
  const spec = config?.spec;
  if (!spec) return undefined;
  const { localityLbSetting, defaultTrafficPolicy } = spec;
  const traffic = { localityLbSetting, ...defaultTrafficPolicy };
  const defaults: MeshDefaults = {
    traffic: Object.values(traffic).some(Boolean) ? traffic : undefined,
    dnsRefreshMs: parseDuration(spec.dnsRefreshRate ?? ""),
    tcpKeepalive: spec.tcpKeepalive,
    h2Upgrade: spec.h2UpgradePolicy === "UPGRADE" || undefined,
    protocolDetectionMs: parseDuration(spec.protocolDetectionTimeout ?? ""),
    accessLogLabels: spec.accessLogEncoding === "JSON" ? (parseJsonFormat(spec.accessLogFormat ?? "") ?? JSON_LOG) : undefined,
    mutualTls: tlsOf(spec.meshMTLS),
    tls: tlsOf(spec.tlsDefaults),
    unknownHosts: meshUnknownHosts(config),
  };
  return Object.values(defaults).some((value) => value !== undefined) ? defaults : undefined;
}

function tlsOf(
  spec: { readonly minProtocolVersion?: string; readonly cipherSuites?: string[]; readonly ecdhCurves?: string[] } | undefined,
): TlsDefaults | undefined {
  return spec && { min13: spec.minProtocolVersion === "TLSV1_3", ...knownTls(spec) };
}

/** `resources`, those without exportTo as MeshConfig says of their kind; an entry of their own always goes before it (initDefaultExportMaps). */
export function withDefaultExports<K extends "ServiceEntry" | "VirtualService" | "DestinationRule">(
  resources: readonly (AnyResource & Resource<K>)[],
  exportTo: readonly string[] | undefined,
): readonly (AnyResource & Resource<K>)[] {
  if (!exportTo?.length || exportTo.includes("*")) return resources;
  return resources.map((resource) => {
    const { exportTo: own } = resource.spec as { readonly exportTo?: readonly string[] };
    if (own?.length) return resource;
    const variants = exported(resource);
    const key = exportTo.join();
    const found = variants.get(key) ?? { ...resource, spec: { ...resource.spec, exportTo: [...exportTo] } };
    variants.set(key, found);
    return found as AnyResource & Resource<K>;
  });
}

const exported = memoize((_resource: object) => new Map<string, object>());
