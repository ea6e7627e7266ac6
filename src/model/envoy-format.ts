/**
 * Envoy's format commands in header values. One that Envoy does not know makes it refuse the whole route table, so they are checked here:
 * the names, and what each takes between parentheses and after the colon, as Envoy 1.40 does (tried one by one in its validate mode).
 * https://www.envoyproxy.io/docs/envoy/latest/configuration/advanced/substitution_formatter
 */

/** Take nothing. */
const BARE = new Set(
  `
    ACCESS_LOG_TYPE BYTES_RECEIVED BYTES_RETRANSMITTED BYTES_SENT CONNECTION_ID CONNECTION_TERMINATION_DETAILS CUSTOM_FLAGS
    DOWNSTREAM_CX_RTT DOWNSTREAM_DECOMPRESSED_HEADER_BYTES_RECEIVED DOWNSTREAM_DECOMPRESSED_HEADER_BYTES_SENT
    DOWNSTREAM_DETECTED_CLOSE_TYPE DOWNSTREAM_DIRECT_LOCAL_ADDRESS DOWNSTREAM_DIRECT_LOCAL_ADDRESS_ENDPOINT_ID
    DOWNSTREAM_DIRECT_LOCAL_PORT DOWNSTREAM_DIRECT_REMOTE_ADDRESS DOWNSTREAM_DIRECT_REMOTE_PORT DOWNSTREAM_HANDSHAKE_DURATION
    DOWNSTREAM_HEADER_BYTES_RECEIVED DOWNSTREAM_HEADER_BYTES_SENT DOWNSTREAM_LOCAL_ADDRESS DOWNSTREAM_LOCAL_ADDRESS_ENDPOINT_ID
    DOWNSTREAM_LOCAL_CLOSE_REASON DOWNSTREAM_LOCAL_DNS_SAN DOWNSTREAM_LOCAL_EMAIL_SAN DOWNSTREAM_LOCAL_IP_SAN
    DOWNSTREAM_LOCAL_OTHERNAME_SAN DOWNSTREAM_LOCAL_PORT DOWNSTREAM_LOCAL_SUBJECT DOWNSTREAM_LOCAL_URI_SAN DOWNSTREAM_PEER_CERT
    DOWNSTREAM_PEER_CHAIN_FINGERPRINTS_1 DOWNSTREAM_PEER_CHAIN_FINGERPRINTS_256 DOWNSTREAM_PEER_CHAIN_SERIALS
    DOWNSTREAM_PEER_DNS_SAN DOWNSTREAM_PEER_EMAIL_SAN DOWNSTREAM_PEER_FINGERPRINT_1 DOWNSTREAM_PEER_FINGERPRINT_256
    DOWNSTREAM_PEER_IP_SAN DOWNSTREAM_PEER_ISSUER DOWNSTREAM_PEER_ISSUER_FINGERPRINT_256 DOWNSTREAM_PEER_ISSUER_SERIAL
    DOWNSTREAM_PEER_OTHERNAME_SAN DOWNSTREAM_PEER_SERIAL DOWNSTREAM_PEER_SUBJECT DOWNSTREAM_PEER_URI_SAN
    DOWNSTREAM_REMOTE_ADDRESS DOWNSTREAM_REMOTE_PORT DOWNSTREAM_TLS_CIPHER DOWNSTREAM_TLS_GROUP DOWNSTREAM_TLS_SESSION_ID
    DOWNSTREAM_TLS_VERSION DOWNSTREAM_TRANSPORT_FAILURE_REASON DOWNSTREAM_WIRE_BYTES_RECEIVED DOWNSTREAM_WIRE_BYTES_SENT
    DURATION GRPC_STATUS_NUMBER HOSTNAME PACKETS_RETRANSMITTED PROTOCOL REQUESTED_SERVER_NAME REQUEST_DURATION
    REQUEST_HEADERS_BYTES REQUEST_TX_DURATION RESPONSE_CODE RESPONSE_DURATION RESPONSE_FLAGS RESPONSE_FLAGS_LONG
    RESPONSE_HEADERS_BYTES RESPONSE_TRAILERS_BYTES RESPONSE_TX_DURATION ROUNDTRIP_DURATION ROUTE_NAME SPAN_ID STREAM_ID
    TLS_JA3_FINGERPRINT TLS_JA4_FINGERPRINT TRACE_ID UNIQUE_ID UPSTREAM_CLUSTER UPSTREAM_CLUSTER_RAW UPSTREAM_CONNECTION_ID
    UPSTREAM_CONNECTION_IDS_ATTEMPTED UPSTREAM_CONNECTION_POOL_READY_DURATION UPSTREAM_DECOMPRESSED_HEADER_BYTES_RECEIVED
    UPSTREAM_DECOMPRESSED_HEADER_BYTES_SENT UPSTREAM_DETECTED_CLOSE_TYPE UPSTREAM_HEADER_BYTES_RECEIVED
    UPSTREAM_HEADER_BYTES_SENT UPSTREAM_HOST UPSTREAM_HOSTS_ATTEMPTED UPSTREAM_HOSTS_ATTEMPTED_WITHOUT_PORT UPSTREAM_HOST_NAME
    UPSTREAM_HOST_NAMES_ATTEMPTED UPSTREAM_HOST_NAMES_ATTEMPTED_WITHOUT_PORT UPSTREAM_HOST_NAME_WITHOUT_PORT
    UPSTREAM_LOCAL_ADDRESS UPSTREAM_LOCAL_CLOSE_REASON UPSTREAM_LOCAL_DNS_SAN UPSTREAM_LOCAL_IP_SAN UPSTREAM_LOCAL_PORT
    UPSTREAM_LOCAL_URI_SAN UPSTREAM_PEER_CERT UPSTREAM_PEER_DNS_SAN UPSTREAM_PEER_IP_SAN UPSTREAM_PEER_ISSUER
    UPSTREAM_PEER_SUBJECT UPSTREAM_PEER_URI_SAN UPSTREAM_PROTOCOL UPSTREAM_REMOTE_ADDRESS UPSTREAM_REMOTE_ADDRESS_ENDPOINT_ID
    UPSTREAM_REMOTE_PORT UPSTREAM_REQUEST_ATTEMPT_COUNT UPSTREAM_SERVER_NAME UPSTREAM_TLS_CIPHER UPSTREAM_TLS_GROUP
    UPSTREAM_TLS_SESSION_ID UPSTREAM_TLS_VERSION UPSTREAM_TRANSPORT_FAILURE_REASON UPSTREAM_WIRE_BYTES_RECEIVED
    UPSTREAM_WIRE_BYTES_SENT VIRTUAL_CLUSTER_NAME
  `
    .trim()
    .split(/\s+/),
);

/** Take an argument, which may be missing. */
const OPTIONAL: Readonly<Record<string, RegExp>> = {
  DOWNSTREAM_DIRECT_LOCAL_ADDRESS_WITHOUT_PORT: /^\d{1,3}$/,
  DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT: /^\d{1,3}$/,
  DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT: /^\d{1,3}$/,
  DOWNSTREAM_PEER_CERT_V_END: /^[ -~]*$/,
  DOWNSTREAM_PEER_CERT_V_START: /^[ -~]*$/,
  DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT: /^\d{1,3}$/,
  EMIT_TIME: /^[ -~]*$/,
  EMIT_TIME_LOCAL: /^[ -~]*$/,
  GRPC_STATUS: /^(?:CAMEL_STRING|SNAKE_STRING|NUMBER)$/,
  PATH: /^(?:WQ|NQ)(?::(?:ORIG|PATH|ORIG_OR_PATH))?$/,
  QUERY_PARAMS: /^(?:ORIG|DECODED)$/,
  RESPONSE_CODE_DETAILS: /^ALLOW_WHITESPACES$/,
  START_TIME: /^[ -~]*$/,
  START_TIME_LOCAL: /^[ -~]*$/,
  UPSTREAM_LOCAL_ADDRESS_WITHOUT_PORT: /^\d{1,3}$/,
  UPSTREAM_PEER_CERT_V_END: /^[ -~]*$/,
  UPSTREAM_PEER_CERT_V_START: /^[ -~]*$/,
  UPSTREAM_REMOTE_ADDRESS_WITHOUT_PORT: /^\d{1,3}$/,
};

/** "name" or "name?other". */
const HEADER = /^:?[!#$%&'*+\-.^_`|~A-Za-z0-9]+(?:\?:?[!#$%&'*+\-.^_`|~A-Za-z0-9]+)?$/;
/** A namespace and keys. */
const KEYS = /^[ -9;-~]+(?::[ -9;-~]+)*$/;
const STATE = /^[!-9;-~]+(?::(?:PLAIN|TYPED|FIELD:[!-9;-~]+))?$/;

/** Must have an argument; `cut` where ":20" after it, the greatest length, is allowed. */
const REQUIRED: Readonly<Record<string, { readonly argument: RegExp; readonly cut?: true }>> = {
  CLUSTER_METADATA: { argument: KEYS },
  COMMON_DURATION: { argument: /^(?:(?:DS|US)_[A-Z_]+):(?:(?:DS|US)_[A-Z_]+)(?::(?:ms|us|ns))?$/ },
  DYNAMIC_METADATA: { argument: KEYS, cut: true },
  ENVIRONMENT: { argument: /^[!-~]+$/, cut: true },
  FILTER_STATE: { argument: STATE, cut: true },
  METADATA: { argument: /^(?:CLUSTER|DYNAMIC|LISTENER|ROUTE|UPSTREAM_HOST|VIRTUAL_HOST)(?::[!-9;-~]+)*$/, cut: true },
  PER_REQUEST_STATE: { argument: /^[!-~]+$/ },
  QUERY_PARAM: { argument: /^[!-~]+$/, cut: true },
  REQ: { argument: HEADER, cut: true },
  REQUEST_HEADER: { argument: HEADER, cut: true },
  RESP: { argument: HEADER, cut: true },
  RESPONSE_HEADER: { argument: HEADER, cut: true },
  RESPONSE_TRAILER: { argument: HEADER, cut: true },
  TRAILER: { argument: HEADER, cut: true },
  UPSTREAM_FILTER_STATE: { argument: STATE, cut: true },
  UPSTREAM_METADATA: { argument: KEYS },
};

/** Programs of their own, which weft cannot check. */
const PROGRAMS = new Set(["CEL", "COALESCE"]);

/** "%%", or a command: its name, its argument, its length. */
const COMMAND = /%(?:%|([A-Z0-9_]+)(?:\(([^()]*)\))?(?::(\d{1,9}))?%)/g;

/** Why Envoy would refuse the value as a format string, or undefined. */
export function formatError(value: string): string | undefined {
  if (!value.includes("%")) return undefined;
  for (const [whole, name, argument, length] of value.matchAll(COMMAND)) {
    const error = name === undefined ? undefined : commandError(name, argument, length);
    if (error) return `${whole}: ${error}`;
  }
  return value.replaceAll(COMMAND, "").includes("%") ? "has a percent sign that begins no %COMMAND%" : undefined;
}

function commandError(name: string, argument: string | undefined, length: string | undefined): string | undefined {
  if (PROGRAMS.has(name)) return "weft cannot check whether Envoy would take this program";
  if (BARE.has(name)) return argument === undefined && length === undefined ? undefined : `${name} takes no argument`;
  const required = Object.hasOwn(REQUIRED, name) ? REQUIRED[name] : undefined;
  if (required) {
    if (!argument) return `${name} needs an argument: %${name}(...)%`;
    if (length !== undefined && !required.cut) return `${name} takes no length`;
    return required.argument.test(argument) ? undefined : `${name} does not take ${JSON.stringify(argument)}`;
  }
  const optional = Object.hasOwn(OPTIONAL, name) ? OPTIONAL[name] : undefined;
  if (!optional) return `Envoy has no command ${name}`;
  if (length !== undefined) return `${name} takes no length`;
  return !argument || optional.test(argument) ? undefined : `${name} does not take ${JSON.stringify(argument)}`;
}
