/**
 * Values that rightly change nothing: they say what holds anyway. Each with its reason, and nothing else may stand here. A field none of
 * whose values changes anything is ignored, and belongs among those that the model refuses.
 */
export const DEFAULTS: readonly (readonly [field: RegExp, values: readonly unknown[], reason: string])[] = [
  [/\.loadBalancer\.simple$/, ["UNSPECIFIED", "LEAST_CONN", "LEAST_REQUEST"], "least request is the default, and LEAST_CONN its old name"],
  [/\.h2UpgradePolicy$/, ["DEFAULT", "DO_NOT_UPGRADE"], "HTTP/1.1 stays HTTP/1.1 by default"],
  [/\.tls\.mode$/, ["DISABLE"], "the default of a tls block"],
  [/^MeshConfig\.pathNormalization\.normalization$/, ["DEFAULT", "MERGE_SLASHES"], "weft's default"],
  [/^PeerAuthentication\.(mtls|portLevelMtls\.\*)\.mode$/, ["UNSET", "STRICT"], "UNSET inherits, and the mesh around it is STRICT"],
  [/^ServiceEntry\.location$/, ["MESH_EXTERNAL"], "the default"],
  [/^VirtualService\.gateways$/, [["mesh"]], "the default: all sidecars"],
  [/\.proxyProtocol\.version$/, ["V1"], "the default"],
  [/\.tunnel\.protocol$/, ["CONNECT"], "the default"],
  [/\.corsPolicy\.unmatchedPreflights$/, ["UNSPECIFIED", "FORWARD"], "preflights of other origins are sent on by default"],
  [/\.redirect\.derivePort$/, ["FROM_PROTOCOL_DEFAULT"], "the default"],
  [/^(Gateway\.servers|Sidecar\.ingress)\[\]\.tls\.minProtocolVersion$/, ["TLS_AUTO", "TLSV1_2"], "the default"],
  [/^(Gateway\.servers|Sidecar\.ingress)\[\]\.tls\.maxProtocolVersion$/, ["TLS_AUTO", "TLSV1_3"], "the default"],
  [/^Secret\.type$/, ["kubernetes.io/tls", "Opaque"], "it says which keys must be there; what counts is the keys"],
  [/^AuthorizationPolicy\.action$/, ["ALLOW"], "the default"],
  [
    /^EnvoyFilter\.configPatches\[\]\.applyTo$/,
    ["EXTENSION_CONFIG", "LISTENER_FILTER"],
    "MERGE, which is tried, does nothing to the one and needs a match by name for the other; a warning says so",
  ],
  [/^Telemetry\.tracing\[\]\.match\.mode$/, ["CLIENT_AND_SERVER"], "the default"],
  [/^Telemetry\.accessLogging\[\]\.match\.mode$/, ["CLIENT_AND_SERVER"], "the default"],
  [/^Sidecar\.(ingress|egress)\[\]\.captureMode$/, ["DEFAULT", "NONE"], "nothing intercepts connections, so none is captured"],
  [/^Sidecar\.egress\[\]\.port\.name$/, ["named"], "a name for people: at an egress listener Istio makes nothing of it either"],
  [/^MeshConfig\.(meshMTLS|tlsDefaults)\.minProtocolVersion$/, ["TLS_AUTO", "TLSV1_2"], "the default"],
  [/^MeshConfig\.accessLogEncoding$/, ["TEXT"], "the default"],
  [/^(Sidecar|MeshConfig)\.outboundTrafficPolicy\.mode$/, ["REGISTRY_ONLY"], "a sidecar calls services that it knows, and nothing else"],
  [/^WorkloadGroup\.template\.address$/, ["10.0.0.99"], "each instance brings its own address; a warning says so"],
  [/^WorkloadGroup\.probe\.httpGet\.scheme$/, ["", "HTTP"], "the default"],
  [/^EnvoyFilter\..*\.(context|action)$/, ["ANY"], "the default"],
  [/^EnvoyFilter\..*\.patch\.operation$/, ["MERGE"], "what the base has: there is no patch without an operation"],
];
