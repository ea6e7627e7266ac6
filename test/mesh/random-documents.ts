/** Random resources for property tests. */
import fc from "fast-check";
import type { AnyResource } from "../../src/model/resource.ts";
import { httpService, resource, resourcesOf, workload } from "./harness.ts";

const SERVICES = ["orders", "users", "web"];
const NAMESPACES = ["default", "shop"];
const service = fc.constantFrom(...SERVICES);
const metadata = fc
  .tuple(fc.constantFrom(...NAMESPACES), fc.constantFrom("2024-01-01T00:00:00Z", "2024-02-01T00:00:00Z"))
  .map(([namespace, created]) => `namespace: ${namespace}, creationTimestamp: "${created}"`);
const name = fc.constantFrom("a", "b", "c");
const host = fc.constantFrom(
  "orders",
  "users.shop.mesh.local",
  "*.mesh.local",
  "*.shop.mesh.local",
  "web.default.svc.cluster.local",
  "api.example.com",
);

/** Documents over a small world, so that they meet each other often. */
const document = fc.oneof(
  fc
    .tuple(service, metadata, fc.constantFrom("80", "8080"))
    .map(([app, meta, port]) =>
      httpService(app, meta, `[{number: ${port}, name: http, protocol: HTTP}, {number: 5432, name: tcp, protocol: TCP}]`),
    ),
  fc
    .tuple(name, service, metadata, fc.integer({ min: 1, max: 9 }))
    .map(([at, app, meta, last]) => workload(`${app}-${at}`, app, `10.0.0.${last}`, meta)),
  fc
    .tuple(name, host, metadata, fc.constantFrom("RANDOM", "ROUND_ROBIN"))
    .map(([rule, of, meta, simple]) =>
      resource(
        "DestinationRule",
        rule,
        `{host: "${of}", trafficPolicy: {loadBalancer: {simple: ${simple}}}, subsets: [{name: ${rule}, labels: {app: orders}}]}`,
        meta,
      ),
    ),
  fc
    .tuple(name, host, host, metadata)
    .map(([rule, of, to, meta]) =>
      resource(
        "VirtualService",
        rule,
        `{hosts: ["${of}"], http: [{route: [{destination: {host: "${to.replace("*.", "orders.")}", subset: a}}]}]}`,
        meta,
      ),
    ),
  fc
    .tuple(name, host, metadata)
    .map(([entry, of, meta]) =>
      resource(
        "ServiceEntry",
        entry,
        `{hosts: ["${of.startsWith("*") ? "api.example.com" : of.includes(".") ? of : `${of}.example.com`}"], resolution: DNS, ports: [{number: 80, name: http, protocol: HTTP}], endpoints: [{address: ${entry}.example.com}]}`,
        meta,
      ),
    ),
  fc
    .tuple(name, host, metadata, fc.constantFrom("[.]", '["*"]', "[shop]"), fc.constantFrom("app: web", "app: orders"))
    .map(([rule, of, meta, exportTo, label]) =>
      resource(
        "VirtualService",
        `${rule}-narrow`,
        `{hosts: ["${of}"], exportTo: ${exportTo}, http: [{match: [{sourceLabels: {${label}}}, {sourceNamespace: shop, uri: {prefix: /a}}], delegate: {name: ${rule}-leaf, namespace: default}}, {match: [{uri: {prefix: /b}}], directResponse: {status: 418}}]}`,
        meta,
      ),
    ),
  fc
    .tuple(name, service, metadata, fc.constantFrom("[.]", '["*"]'))
    .map(([leaf, to, meta, exportTo]) =>
      resource(
        "VirtualService",
        `${leaf}-leaf`,
        `{exportTo: ${exportTo}, http: [{timeout: 1s, route: [{destination: {host: ${to}}}]}]}`,
        meta,
      ),
    ),
  fc
    .tuple(name, host, metadata, fc.constantFrom("workloadSelector: {matchLabels: {app: web}}", "exportTo: [shop]", "exportTo: [.]"))
    .map(([rule, of, meta, scope]) =>
      resource(
        "DestinationRule",
        `${rule}-scoped`,
        `{host: "${of}", ${scope}, trafficPolicy: {outlierDetection: {consecutive5xxErrors: 5}, connectionPool: {tcp: {maxConnections: 7}}}}`,
        meta,
      ),
    ),
  fc
    .tuple(name, service, metadata, fc.constantFrom("eu/north/a", "eu/south/a", "us/east/a"))
    .map(([at, app, meta, locality]) => workload(`${app}-${at}`, app, "10.0.2.1", meta, `, locality: ${locality}`)),
  fc
    .tuple(
      name,
      fc.constantFrom("default", "shop", "weft-system"),
      fc.constantFrom("", "workloadSelector: {labels: {app: web}}, "),
      fc.constantFrom(
        'egress: [{hosts: ["./*"]}]',
        'egress: [{hosts: ["*/*", "~shop/*"]}]',
        'egress: [{hosts: ["*/orders.default.mesh.local"]}]',
      ),
      fc.constantFrom("", ", inboundConnectionPool: {tcp: {maxConnections: 9}}", ", ingress: [{port: {number: 80, protocol: HTTP}}]"),
    )
    .map(([at, namespace, selector, egress, more]) =>
      resource("Sidecar", at, `{${selector}${egress}${more}}`, `namespace: ${namespace}, creationTimestamp: "2024-01-01T00:00:00Z"`),
    ),
  fc
    .tuple(metadata, fc.constantFrom("STRICT", "PERMISSIVE", "DISABLE"))
    .map(([meta, mode]) => resource("PeerAuthentication", "default", `{mtls: {mode: ${mode}}}`, meta)),
  fc
    .tuple(name, metadata)
    .map(([at, meta]) =>
      resource(
        "WorkloadEntry",
        `front-${at}`,
        "{address: 10.0.1.1, serviceAccount: front}",
        `${meta}, labels: {gateway: ${at}}, annotations: {weft.dev/type: gateway}`,
      ),
    ),
  fc
    .tuple(name, metadata, fc.constantFrom("", "selector: {gateway: a}, "), fc.constantFrom("HTTP", "TCP", "TLS"))
    .map(([at, meta, selector, protocol]) =>
      resource(
        "Gateway",
        at,
        `{${selector}servers: [{port: {number: 80, name: p, protocol: ${protocol}}, hosts: ["*"]${protocol === "TLS" ? ", tls: {}" : ""}}]}`,
        meta,
      ),
    ),
  fc.tuple(name, name, host, metadata).map(([at, gateway, of, meta]) => {
    const to = 'route: [{destination: {host: "orders.default.mesh.local"}}]';
    const sni = of.includes(".") && !of.endsWith("cluster.local") ? `, tls: [{match: [{sniHosts: ["${of}"]}], ${to}}]` : "";
    return resource(
      "VirtualService",
      `${at}-bound`,
      `{hosts: ["${of}"], gateways: [${gateway}], http: [{${to}}], tcp: [{${to}}]${sni}}`,
      meta,
    );
  }),
  fc
    .tuple(name, fc.constantFrom("default", "shop", "weft-system"), service, fc.constantFrom("STRICT", "PERMISSIVE", "DISABLE"))
    .map(([policy, namespace, app, mode]) =>
      resource(
        "PeerAuthentication",
        policy,
        `{selector: {matchLabels: {app: ${app}}}, mtls: {mode: ${mode}}, portLevelMtls: {80: {mode: PERMISSIVE}}}`,
        `namespace: ${namespace}, creationTimestamp: "2024-01-01T00:00:00Z"`,
      ),
    ),
  fc
    .constantFrom("STRICT", "DISABLE")
    .map((mode) => resource("PeerAuthentication", "mesh", `{mtls: {mode: ${mode}}}`, "namespace: weft-system")),
  fc
    .tuple(name, fc.constantFrom("default", "shop", "weft-system"), service, fc.constantFrom("GET", "POST"))
    .map(([policy, namespace, app, method]) =>
      resource(
        "AuthorizationPolicy",
        `${policy}-selecting`,
        `{selector: {matchLabels: {app: ${app}}}, rules: [{to: [{operation: {methods: [${method}]}}]}]}`,
        `namespace: ${namespace}`,
      ),
    ),
  fc
    .tuple(service, metadata, fc.constantFrom("", ", serviceAccount: inline"))
    .map(([app, meta, account]) =>
      resource(
        "ServiceEntry",
        `${app}-inline`,
        `{hosts: [${app}], location: MESH_INTERNAL, resolution: STATIC, ports: [{number: 80, name: http, protocol: HTTP}], endpoints: [{address: 10.0.3.1${account}}]}`,
        meta,
      ),
    ),
  fc
    .tuple(name, service, fc.constantFrom("80", "8080"))
    .map(([at, app, port]) =>
      resource(
        "WorkloadEntry",
        `listening-${at}`,
        `{address: 10.0.4.1, labels: {app: ${app}}}`,
        `annotations: {weft.dev/listen: "web.default.mesh.local:${port}=127.0.0.1:1${port}"}`,
      ),
    ),
  fc
    .constantFrom("{defaultServiceExportTo: ['.']}", "{defaultProviders: {metrics: [prometheus]}}", "{enableAutoMtls: false}")
    .map((spec) => resource("MeshConfig", "default", spec, "namespace: weft-system")),
  fc
    .tuple(name, metadata)
    .map(([policy, meta]) =>
      resource("AuthorizationPolicy", policy, "{action: ALLOW, rules: [{to: [{operation: {methods: [GET]}}]}]}", meta),
    ),
  fc
    .tuple(name, metadata, service, fc.constantFrom("1s", "2s"), fc.integer({ min: 0, max: 1 }))
    .map(([filter, meta, app, timeout, priority]) =>
      resource(
        "EnvoyFilter",
        filter,
        `{priority: ${priority}, workloadSelector: {labels: {app: ${app}}}, configPatches: [{applyTo: CLUSTER, patch: {operation: MERGE, value: {connect_timeout: ${timeout}}}}]}`,
        meta,
      ).replace("networking.istio.io/v1\n", "networking.istio.io/v1alpha3\n"),
    ),
);

export const key = ({ kind, metadata: { namespace, name: id } }: AnyResource) => `${kind}/${namespace}/${id}`;

export const parsed = document.map((text) => {
  const [one] = resourcesOf(text);
  if (!one) throw new Error(text);
  return one;
});

/** No two of the same kind, namespace and name. */
export const resources = fc.uniqueArray(parsed, { selector: key, maxLength: 14 });
