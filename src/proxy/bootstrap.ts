/** The bootstrap of a workload's Envoy: everything it must know before weft tells it the rest. */
import { PROXY_CONFIG, type ProcessSettings, parseProcessMetadata, processMetadata } from "../lib/process-settings.ts";
import { prometheusCluster, prometheusListener } from "./prometheus.ts";

export interface BootstrapOptions {
  readonly workload: { readonly namespace: string; readonly name: string };
  /**
   * The workload token. The bootstrap carries it in the clear: keep it in a file of mode 0600. Absent where the proxy proves itself otherwise: at the
   * Unix socket by its user.
   */
  readonly token?: string;
  /** Where weft serves ADS: an address (IP or DNS name), with or without TLS, or the absolute path of its Unix socket. */
  readonly ads: { readonly host: string; readonly port: number; readonly tls?: AdsTls } | { readonly path: string };
  /** Envoy's own admin port; the default is a port on loopback that the system chooses. */
  readonly envoyAdmin?: { readonly address: string; readonly port: number };
  /** Where Prometheus may scrape Envoy; none where undefined. Needs `envoyAdmin`, which it leads to. */
  readonly prometheus?: { readonly address: string; readonly port: number };
  /** Default "delta"; "sotw" is the state-of-the-world protocol. */
  readonly protocol?: "delta" | "sotw";
  /** How Envoy's process is to be started: `weft proxy run` does so, and Envoy tells weft of it. */
  readonly process?: ProcessSettings;
}

/** Whom a proxy must find at the other end. */
export interface AdsTls {
  /** PEM. */
  readonly roots: string;
  /** weft's own. */
  readonly spiffeId: string;
}

/** Name of the cluster that leads to weft; the mesh's own names all hold a "|". */
export const XDS_CLUSTER = "xds_cluster";

/** A JSON object: the same options give the same one, key order included. For Envoy 1.36 to 1.40. */
export function envoyBootstrap(options: BootstrapOptions): Record<string, unknown> {
  const { workload, envoyAdmin = { address: "127.0.0.1", port: 0 } } = options;
  const prometheus = options.prometheus && { listen: options.prometheus, admin: envoyAdmin };
  const started = options.process && processMetadata(options.process);
  return {
    // For people, logs and metrics: weft trusts only the token.
    node: {
      id: `sidecar~${workload.namespace}/${workload.name}`,
      cluster: `${workload.name}.${workload.namespace}`,
      ...(started ? { metadata: { [PROXY_CONFIG]: started } } : {}),
    },
    admin: {
      address: socketAddress(envoyAdmin.address, envoyAdmin.port),
      // So that an Envoy that is full can still be asked why.
      ignore_global_conn_limit: true,
    },
    dynamic_resources: { ads_config: adsConfig(options), cds_config: overAds(), lds_config: overAds() },
    static_resources: {
      ...(prometheus ? { listeners: [prometheusListener(prometheus)] } : {}),
      clusters: [xdsCluster(options.ads), ...(prometheus ? [prometheusCluster(prometheus)] : [])],
    },
    layered_runtime: {
      layers: [
        // Envoy's own limit, 100, refuses regular expressions that are ordinary in routes.
        { name: "weft", static_layer: { "re2.max_program_size.error_level": 32768 } },
        // What an operator sets by hand through /runtime_modify wins.
        { name: "admin", admin_layer: {} },
      ],
    },
    overload_manager: {
      resource_monitors: [
        {
          name: "envoy.resource_monitors.global_downstream_max_connections",
          typed_config: {
            "@type": "type.googleapis.com/envoy.extensions.resource_monitors.downstream_connections.v3.DownstreamConnectionsConfig",
            // Without any limit a flood of connections ends Envoy for want of memory or file descriptors, and every caller with it.
            max_active_downstream_connections: 50000,
          },
        },
      ],
    },
    stats_config: {
      use_all_default_tags: true,
      stats_tags: [
        { tag_name: "weft.namespace", fixed_value: workload.namespace },
        { tag_name: "weft.workload", fixed_value: workload.name },
      ],
    },
  };
}

/** The authorization that a bootstrap of envoyBootstrap's sends with its streams; undefined in others. */
export function authorizationOf(bootstrap: Readonly<Record<string, unknown>>): string | undefined {
  const { dynamic_resources: dynamic } = bootstrap as { dynamic_resources?: { ads_config?: Partial<ReturnType<typeof adsConfig>> } };
  const metadata = dynamic?.ads_config?.grpc_services?.[0]?.initial_metadata;
  return metadata?.find(({ key }) => key === "authorization")?.value;
}

/** How the Envoy of a bootstrap of envoyBootstrap's is to be started. */
export function processOf(bootstrap: Readonly<Record<string, unknown>>): ProcessSettings {
  const { node } = bootstrap as { node?: { metadata?: unknown } };
  return parseProcessMetadata(node?.metadata);
}

function adsConfig({ token, protocol = "delta" }: BootstrapOptions) {
  return {
    api_type: protocol === "delta" ? "DELTA_GRPC" : "GRPC",
    transport_api_version: "V3",
    set_node_on_first_message_only: true,
    grpc_services: [
      {
        envoy_grpc: {
          cluster_name: XDS_CLUSTER,
          // Envoy's default grows to 30 s: too long to wait for a weft that was only restarted.
          retry_policy: { retry_back_off: { base_interval: "0.250s", max_interval: "5s" } },
        },
        ...(token === undefined ? {} : { initial_metadata: [{ key: "authorization", value: `Bearer ${token}` }] }),
      },
    ],
  };
}

/** No timeout on the first answer: an Envoy without its configuration has no policies either, and must not begin to serve. */
function overAds(): Record<string, unknown> {
  return { ads: {}, resource_api_version: "V3", initial_fetch_timeout: "0s" };
}

function xdsCluster(ads: BootstrapOptions["ads"]): Record<string, unknown> {
  const address = "path" in ads ? { pipe: { path: ads.path } } : socketAddress(ads.host, ads.port);
  return {
    name: XDS_CLUSTER,
    type: "path" in ads || isIpAddress(ads.host) ? "STATIC" : "STRICT_DNS",
    connect_timeout: "5s",
    typed_extension_protocol_options: {
      "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
        "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
        explicit_http_config: {
          // A weft that vanished with its machine sends no FIN; pings find out.
          http2_protocol_options: { connection_keepalive: { interval: "30s", timeout: "10s" } },
        },
      },
    },
    load_assignment: { cluster_name: XDS_CLUSTER, endpoints: [{ lb_endpoints: [{ endpoint: { address } }] }] },
    ...("tls" in ads && ads.tls ? { transport_socket: transportSocket(ads.tls) } : {}),
  };
}

function transportSocket(tls: AdsTls): Record<string, unknown> {
  return {
    name: "envoy.transport_sockets.tls",
    typed_config: {
      "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
      common_tls_context: {
        tls_params: { tls_minimum_protocol_version: "TLSv1_2", tls_maximum_protocol_version: "TLSv1_3" },
        alpn_protocols: ["h2"],
        validation_context: validationContext(tls),
      },
    },
  };
}

/** By the SPIFFE ID alone: weft's certificate holds no address. */
export function validationContext({ roots, spiffeId }: AdsTls): Record<string, unknown> {
  return {
    trusted_ca: { inline_string: roots },
    match_typed_subject_alt_names: [{ san_type: "URI", matcher: { exact: spiffeId } }],
  };
}

function socketAddress(address: string, port: number): Record<string, unknown> {
  return { socket_address: { address, port_value: port } };
}

/** Digits and dots, or anything with a colon, which no DNS name has. */
function isIpAddress(host: string): boolean {
  return /^\d+(\.\d+){3}$/.test(host) || host.includes(":");
}
