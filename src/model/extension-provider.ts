/**
 * MeshConfig's extensionProviders: services that proxies ask or tell while they handle requests. istio/api mesh/v1alpha1/config.proto
 * (ExtensionProvider), checked as Istio's pkg/config/validation/agent/extensionprovider.go does, and what its translation refuses besides
 * (pilot/pkg/security/authz/builder/extauthz.go).
 */
import type * as v from "valibot";
import { fqdnError, isDnsLabel, isIpAddress } from "./check.ts";
import { duration, onlyOne, port } from "./common.ts";
import { flag, list, map, needed, notYet, object, type Report, text, uint32 } from "./schema.ts";

/** Istio's validateExtensionProviderService: HOST or NAMESPACE/HOST. */
const service = () =>
  text((value, report) => {
    const [namespace, host, ...more] = value.includes("/") ? value.split("/") : [undefined, value];
    const badNamespace = namespace !== undefined && !isDnsLabel(namespace);
    const badHost = host === undefined || (!isIpAddress(host) && fqdnError(host) !== undefined);
    if (badNamespace || badHost || more.length > 0) report("badHost", `must be HOST or NAMESPACE/HOST, not ${JSON.stringify(value)}`);
  });

/** The statuses that Envoy knows by name (envoy/type/v3/http_status.proto). */
const STATUSES: ReadonlySet<number> = new Set([
  ...[100, 200, 201, 202, 203, 204, 205, 206, 207, 208, 226, 300, 301, 302, 303, 304, 305, 307, 308],
  ...[400, 401, 402, 403, 404, 405, 406, 407, 408, 409, 410, 411, 412, 413, 414, 415, 416, 417, 421, 422, 423, 424, 426, 428, 429, 431],
  ...[500, 501, 502, 503, 504, 505, 506, 507, 508, 510, 511],
]);

const statusOnError = () =>
  text((value, report) => {
    if (value === "") return;
    if (!/^\d+$/.test(value) || !STATUSES.has(Number(value)))
      report("badValue", `must be an HTTP status such as "503", not ${JSON.stringify(value)}`);
  });

/** Exact, "prefix*" or "*suffix"; a star alone is what Istio's translation refuses. */
const headers = () =>
  list(
    text((value, report) => {
      if (value === "") report("badValue", "must not be empty");
      if (value === "*") report("badPattern", 'may not be "*" alone', { help: "name the headers, or a prefix or suffix of them" });
    }),
  );

const body = () => object({ maxRequestBytes: uint32(), allowPartialMessage: flag(), packAsBytes: flag() }, checkBody);

/** Envoy's BufferSettings demands it, which Istio finds out by a NACK only. */
function checkBody(value: { readonly maxRequestBytes?: number }, report: Report): void {
  if (!value.maxRequestBytes) report("missing", "needs maxRequestBytes, more than 0");
}

const pathPrefix = () =>
  text((value, report) => {
    if (value !== "" && !value.startsWith("/")) report("badValue", `must begin with '/', not ${JSON.stringify(value)}`);
  });

const common = {
  service: needed(service()),
  port: needed(port()),
  timeout: duration(),
  failOpen: flag(),
  clearRouteCache: flag(),
  statusOnError: statusOnError(),
  includeRequestBodyInCheck: body(),
} as const;

const envoyExtAuthzHttp = object({
  ...common,
  pathPrefix: pathPrefix(),
  includeHeadersInCheck: headers(),
  includeRequestHeadersInCheck: headers(),
  includeAdditionalHeadersInCheck: map(text()),
  headersToUpstreamOnAllow: headers(),
  headersToDownstreamOnDeny: headers(),
  headersToDownstreamOnAllow: headers(),
});

const envoyExtAuthzGrpc = object(common);

/** Envoy has no way to leave out what is empty in the format that it has by itself. */
const envoyFileAccessLog = object(
  {
    path: text(),
    logFormat: object({ text: text(), labels: map(text()) }, (value, report) => onlyOne(value, ["text", "labels"], report)),
    omitEmptyValues: flag(),
  },
  (value, report) => {
    const { text: format, labels } = value.logFormat ?? {};
    if (labels && Object.keys(labels).length === 0) report("missing", "must have at least one label", { path: ["logFormat", "labels"] });
    if (value.omitEmptyValues && !format && !labels) report("together", "needs logFormat", { path: ["omitEmptyValues"], atKey: true });
  },
);

/** Over gRPC; Istio's validateExtensionProviderTracingOpentelemetry. */
const opentelemetry = object({
  service: needed(service()),
  port: needed(port()),
  maxTagLength: uint32(),
  http: notYet("spans go by OTLP over gRPC: name the collector's gRPC port"),
  grpc: notYet(),
  resourceDetectors: notYet(),
  serviceAttributeEnrichment: notYet(),
  dynatraceSampler: notYet(),
});

const PROVIDERS = ["envoyExtAuthzHttp", "envoyExtAuthzGrpc", "envoyFileAccessLog", "opentelemetry", "prometheus"] as const;

const extensionProvider = object(
  {
    name: needed(
      text((value, report) => {
        if (value === "") report("badValue", "must not be empty");
      }),
    ),
    envoyExtAuthzHttp,
    envoyExtAuthzGrpc,
    envoyFileAccessLog,
    zipkin: notYet(),
    lightstep: notYet(),
    datadog: notYet(),
    stackdriver: notYet(),
    opencensus: notYet(),
    skywalking: notYet(),
    opentelemetry,
    prometheus: object({}),
    envoyHttpAls: notYet(),
    envoyTcpAls: notYet(),
    envoyOtelAls: notYet(),
    sds: notYet(),
  },
  (value, report) => {
    onlyOne(value, PROVIDERS, report);
    if (Object.keys(value).length < 2) report("missing", "needs a provider", { help: `such as ${PROVIDERS.join(" or ")}` });
    // Istio's validateProviderName: the name becomes a part of the names of Envoy's policies.
    const named = value.envoyExtAuthzHttp || value.envoyExtAuthzGrpc;
    if (named && value.name !== "" && (!isDnsLabel(value.name) || value.name !== value.name.toLowerCase())) {
      report("badName", "must be lower-case letters, digits and '-', starting and ending with a letter or digit", { path: ["name"] });
    }
  },
);

export type ExtensionProvider = v.InferOutput<typeof extensionProvider>;

export const extensionProviders = () =>
  list(extensionProvider, (providers, report) => {
    const seen = new Set<string>();
    for (const [index, { name }] of providers.entries()) {
      if (seen.has(name)) report("duplicateItem", `there is a provider ${JSON.stringify(name)} already`, { path: [index, "name"] });
      seen.add(name);
    }
  });
