/**
 * Istio's standard metrics, counted by Envoy's stats access logger. The tags and their values are those of Istio's stats filter (istio/proxy,
 * source/extensions/filters/http/istio_stats/istio_stats.cc): "unknown" where nothing is known of this side. What is known of a destination
 * comes with its cluster and its endpoint, so that such a tag is empty, which to Prometheus is none, where there is no destination.
 */
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { type AccessLog, type AccessLogFilterSchema, AccessLogSchema } from "../../gen/envoy/config/accesslog/v3/accesslog_pb.ts";
import { AccessLogType } from "../../gen/envoy/data/accesslog/v3/accesslog_pb.ts";
import { ConfigSchema, Config_Histogram_Unit as Unit } from "../../gen/envoy/extensions/access_loggers/stats/v3/stats_pb.ts";
import type { Metric, MetricName, WorkloadMetrics } from "../../mesh/metrics.ts";
import { UNKNOWN } from "../../mesh/peer-labels.ts";
import type { Settings } from "../../mesh/types.ts";
import { packAny } from "../encode.ts";
import { clusterTag, endpointTag } from "../peer-metadata.ts";

/** What an inbound chain knows of itself. */
export interface Server {
  /** Whether its clients have shown a certificate of the mesh. */
  readonly mtls: boolean;
  readonly spiffeId?: string;
  readonly service: { readonly host: string; readonly name: string };
}

type Tags = readonly (readonly [string, string])[];
type Filter = NonNullable<MessageInitShape<typeof AccessLogFilterSchema>["filterSpecifier"]>;

/** gRPC apart from other requests: its status is a tag of its own. `server`: undefined for calls out. */
export function httpMetrics(settings: Settings, server?: Server): AccessLog[] {
  const { metrics: workload } = settings;
  const metrics = metricsOf(workload, server);
  if (!workload || !metrics) return [];
  const parties = partiesOf(workload, server);
  const tags = (protocol: string, ...more: Tags): Tags => [
    ...parties,
    ["request_protocol", protocol],
    ["response_code", "%RESPONSE_CODE%"],
    ...more,
    ...outcomeOf(server),
  ];
  const grpc = tags("grpc", ["grpc_response_status", "%GRPC_STATUS_NUMBER%"]);
  return [
    ...logger(
      settings,
      isGrpc(false),
      REQUEST.flatMap((name) => statOf(metrics, name, tags("http"))),
    ),
    ...logger(
      settings,
      isGrpc(true),
      REQUEST.flatMap((name) => statOf(metrics, name, grpc)),
    ),
  ];
}

/**
 * A connection is counted when the other side is connected or cannot be, and its bytes when it ends. A server's Envoy is connected to its
 * application before its client's handshake is done, so that it does not know the client yet where it counts the connection as opened.
 */
export function tcpMetrics(settings: Settings, server?: Server): AccessLog[] {
  const { metrics: workload } = settings;
  const metrics = metricsOf(workload, server);
  if (!workload || !metrics) return [];
  const tagsOf = (parties: Tags): Tags => [...parties, ["request_protocol", "tcp"], ...outcomeOf(server)];
  const tags = tagsOf(partiesOf(workload, server));
  const opened = statOf(metrics, "TCP_OPENED_CONNECTIONS", tagsOf(partiesOf(workload, server, UNKNOWN_PEER)));
  return [
    ...logger(settings, ofType(AccessLogType.TcpUpstreamConnected), opened),
    ...logger(settings, NEVER_CONNECTED, opened),
    ...logger(
      settings,
      ofType(AccessLogType.TcpConnectionEnd),
      CLOSED.flatMap((name) => statOf(metrics, name, tags)),
    ),
  ];
}

function metricsOf(workload: WorkloadMetrics | undefined, server: Server | undefined): readonly Metric[] | undefined {
  return server ? workload?.server : workload?.client;
}

type Stat =
  | { readonly counter: string | 1; readonly name: string; readonly tags: Tags }
  | { readonly histogram: string; readonly unit: Unit; readonly name: string; readonly tags: Tags };

/** Bytes as on the wire, headers and all, as Istio counts them. */
const VALUES: Readonly<Record<MetricName, { readonly counter: string | 1 } | { readonly histogram: string; readonly unit: Unit }>> = {
  REQUEST_COUNT: { counter: 1 },
  REQUEST_DURATION: { histogram: "%DURATION%", unit: Unit.Milliseconds },
  REQUEST_SIZE: { histogram: "%DOWNSTREAM_WIRE_BYTES_RECEIVED%", unit: Unit.Bytes },
  RESPONSE_SIZE: { histogram: "%DOWNSTREAM_WIRE_BYTES_SENT%", unit: Unit.Bytes },
  TCP_OPENED_CONNECTIONS: { counter: 1 },
  TCP_CLOSED_CONNECTIONS: { counter: 1 },
  TCP_SENT_BYTES: { counter: "%BYTES_SENT%" },
  TCP_RECEIVED_BYTES: { counter: "%BYTES_RECEIVED%" },
};

const REQUEST: readonly MetricName[] = ["REQUEST_COUNT", "REQUEST_DURATION", "REQUEST_SIZE", "RESPONSE_SIZE"];
const CLOSED: readonly MetricName[] = ["TCP_CLOSED_CONNECTIONS", "TCP_SENT_BYTES", "TCP_RECEIVED_BYTES"];

/** The standard tags with the metric's overrides; none where it is not counted. */
function statOf(metrics: readonly Metric[], name: MetricName, standard: Tags): Stat[] {
  const metric = metrics.find((one) => one.name === name);
  if (!metric) return [];
  const tags = new Map(standard);
  for (const [tag, format] of metric.tags) {
    if (format === undefined) tags.delete(tag);
    else tags.set(tag, format);
  }
  return [{ ...VALUES[name], name: metric.prometheusName, tags: [...tags] }];
}

function logger({ statsScope }: Settings, filter: Filter, stats: readonly Stat[]): AccessLog[] {
  if (stats.length === 0) return [];
  const stat = ({ name, tags }: Stat) => ({ name, tags: tags.map(([tag, valueFormat]) => ({ name: tag, valueFormat })) });
  const config = create(ConfigSchema, {
    ...(statsScope ? { statsScope: { prefix: STAT_PREFIX } } : { statPrefix: STAT_PREFIX }),
    histograms: stats.flatMap((one) => ("histogram" in one ? [{ stat: stat(one), unit: one.unit, valueFormat: one.histogram }] : [])),
    counters: stats.flatMap((one) => {
      if ("histogram" in one) return [];
      return [{ stat: stat(one), ...(one.counter === 1 ? { valueFixed: 1n } : { valueFormat: one.counter }) }];
    }),
  });
  return [
    create(AccessLogSchema, {
      name: "envoy.access_loggers.stats",
      filter: { filterSpecifier: filter },
      configType: { case: "typedConfig", value: packAny(ConfigSchema, config) },
    }),
  ];
}

/** Envoy's Prometheus text makes "envoy_istio_requests_total" of it. */
const STAT_PREFIX = "istio";

/** Envoy's own rule (Grpc::Common::hasGrpcContentType). */
const GRPC_CONTENT_TYPE = "application/grpc([+;].*)?";

function isGrpc(wanted: boolean): Filter {
  const header = {
    name: "content-type",
    headerMatchSpecifier: {
      case: "stringMatch",
      value: { matchPattern: { case: "safeRegex", value: { regex: GRPC_CONTENT_TYPE } } },
    },
    invertMatch: !wanted,
    treatMissingHeaderAsEmpty: true,
  } as const;
  return { case: "headerFilter", value: { header } };
}

function ofType(type: AccessLogType): Filter {
  return { case: "logTypeFilter", value: { types: [type] } };
}

/** No endpoint, refused or timed out, too many, no cluster. */
const NO_UPSTREAM_FLAGS = ["UH", "UF", "UO", "NC"];

const NEVER_CONNECTED: Filter = {
  case: "andFilter",
  value: {
    filters: [
      { filterSpecifier: ofType(AccessLogType.TcpConnectionEnd) },
      { filterSpecifier: { case: "responseFlagFilter", value: { flags: NO_UPSTREAM_FLAGS } } },
    ],
  },
};

/** The namespace of a SPIFFE ID. A connection has one peer, so this is all that TCP has to tell it by. */
const PEER_NAMESPACE = "%CEL(re.extract(connection.uri_san_peer_certificate, '^spiffe://[^/]+/ns/([^/]+)/sa/.+$', '\\\\1'))%";

interface Peer {
  readonly namespace: string;
  readonly principal: string;
}

const UNKNOWN_PEER: Peer = { namespace: UNKNOWN, principal: UNKNOWN };
const CERTIFIED_PEER: Peer = { namespace: PEER_NAMESPACE, principal: "%DOWNSTREAM_PEER_URI_SAN%" };

function partiesOf({ self }: WorkloadMetrics, server: Server | undefined, peer = server?.mtls ? CERTIFIED_PEER : UNKNOWN_PEER): Tags {
  if (server) {
    const { mtls, spiffeId, service } = server;
    return [
      ["reporter", "destination"],
      ["source_workload", UNKNOWN],
      ["source_canonical_service", UNKNOWN],
      ["source_canonical_revision", "latest"],
      ["source_workload_namespace", peer.namespace],
      ["source_principal", peer.principal],
      ["source_app", UNKNOWN],
      ["source_version", UNKNOWN],
      ["source_cluster", UNKNOWN],
      ["destination_workload", self.workload],
      ["destination_workload_namespace", self.namespace],
      ["destination_principal", mtls && spiffeId ? spiffeId : UNKNOWN],
      ["destination_app", self.app],
      ["destination_version", self.version],
      ["destination_service", service.host],
      ["destination_canonical_service", self.canonicalService],
      ["destination_canonical_revision", self.canonicalRevision],
      ["destination_service_name", service.name],
      ["destination_service_namespace", self.namespace],
      ["destination_cluster", UNKNOWN],
    ];
  }
  return [
    ["reporter", "source"],
    ["source_workload", self.workload],
    ["source_canonical_service", self.canonicalService],
    ["source_canonical_revision", self.canonicalRevision],
    ["source_workload_namespace", self.namespace],
    ["source_principal", "%UPSTREAM_LOCAL_URI_SAN%"],
    ["source_app", self.app],
    ["source_version", self.version],
    ["source_cluster", UNKNOWN],
    ["destination_workload", endpointTag("workload")],
    ["destination_workload_namespace", endpointTag("namespace")],
    ["destination_principal", "%UPSTREAM_PEER_URI_SAN%"],
    ["destination_app", endpointTag("app")],
    ["destination_version", endpointTag("version")],
    ["destination_service", clusterTag("host")],
    ["destination_canonical_service", endpointTag("canonicalService")],
    ["destination_canonical_revision", endpointTag("canonicalRevision")],
    ["destination_service_name", clusterTag("name")],
    ["destination_service_namespace", clusterTag("namespace")],
    ["destination_cluster", UNKNOWN],
  ];
}

function outcomeOf(server: Server | undefined): Tags {
  return [
    ["response_flags", "%RESPONSE_FLAGS%"],
    // A client does not judge its own connection, in Istio either.
    ["connection_security_policy", server ? (server.mtls ? "mutual_tls" : "none") : UNKNOWN],
  ];
}
