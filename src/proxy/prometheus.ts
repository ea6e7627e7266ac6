/**
 * The listener at which Prometheus scrapes an Envoy: its /stats/prometheus, and nothing else of its admin interface. Envoy writes "envoy_" before
 * every name that it did not learn at build time; Istio's metrics go by their own names here, as its users' rules and dashboards have them.
 */

export interface PrometheusOptions {
  readonly listen: { readonly address: string; readonly port: number };
  /** Envoy's own. */
  readonly admin: { readonly address: string; readonly port: number };
}

const CLUSTER = "prometheus_stats";
const PATH = "/stats/prometheus";

/** A scrape is held in memory while names are written; Envoy's limit for a connection, 1 MiB, is passed by a mesh of some hundred services. */
const LARGEST_SCRAPE_BYTES = 256 * 1024 * 1024;

const RENAME = `function envoy_on_response(handle)
  local body = handle:body()
  if body == nil then return end
  local text = body:getBytes(0, body:length())
  text = string.gsub(text, "\\nenvoy_istio_", "\\nistio_")
  text = string.gsub(text, "# TYPE envoy_istio_", "# TYPE istio_")
  body:setBytes(text)
end
`;

export function prometheusListener({ listen }: PrometheusOptions): Record<string, unknown> {
  return {
    name: "prometheus",
    address: socketAddress(listen),
    // So that an Envoy that is full can still be asked why.
    ignore_global_conn_limit: true,
    // Two sidecars on one machine must not share a port silently.
    enable_reuse_port: false,
    per_connection_buffer_limit_bytes: LARGEST_SCRAPE_BYTES,
    filter_chains: [
      {
        filters: [
          {
            name: "envoy.filters.network.http_connection_manager",
            typed_config: {
              "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
              stat_prefix: "prometheus",
              route_config: {
                virtual_hosts: [
                  {
                    name: "prometheus",
                    domains: ["*"],
                    routes: [
                      {
                        match: { path: PATH, headers: [{ name: ":method", string_match: { exact: "GET" } }] },
                        route: { cluster: CLUSTER },
                      },
                    ],
                  },
                ],
              },
              http_filters: [
                {
                  name: "envoy.filters.http.lua",
                  typed_config: {
                    "@type": "type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua",
                    default_source_code: { inline_string: RENAME },
                  },
                },
                {
                  name: "envoy.filters.http.router",
                  typed_config: { "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router" },
                },
              ],
            },
          },
        ],
      },
    ],
  };
}

export function prometheusCluster({ admin }: PrometheusOptions): Record<string, unknown> {
  return {
    name: CLUSTER,
    type: "STATIC",
    connect_timeout: "1s",
    load_assignment: { cluster_name: CLUSTER, endpoints: [{ lb_endpoints: [{ endpoint: { address: socketAddress(admin) } }] }] },
  };
}

function socketAddress({ address, port }: { readonly address: string; readonly port: number }): Record<string, unknown> {
  return { socket_address: { address, port_value: port } };
}
