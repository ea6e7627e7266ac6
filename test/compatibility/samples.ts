/** What to write into each field, where a word of its type would not do, and what must stand beside it. */
import type { Kind } from "../../src/model/resource.ts";
import { CREDENTIAL_SAMPLES } from "./credential-samples.ts";
import { ENVOY_FILTER_BASE, ENVOY_FILTER_SAMPLES } from "./envoy-filter-samples.ts";
import { MESH_CONFIG_SAMPLES } from "./mesh-config-samples.ts";
import { REGISTRATION_BASE, REGISTRATION_SAMPLES } from "./registration-samples.ts";
import { SIDECAR_BASE, SIDECAR_SAMPLES } from "./sidecar-samples.ts";
import { TELEMETRY_BASE, TELEMETRY_SAMPLES } from "./telemetry-samples.ts";
import { TOKEN_INJECTION_BASE, TOKEN_INJECTION_SAMPLES } from "./token-injection-samples.ts";
import { TRUST_DOMAIN_BASE, TRUST_DOMAIN_SAMPLES } from "./trust-domain-samples.ts";
import { WORKLOAD_GROUP_BASE, WORKLOAD_GROUP_SAMPLES } from "./workload-group-samples.ts";

export type Json = Readonly<Record<string, unknown>>;

export interface Sample {
  readonly value?: unknown;
  /** The spec into which the field is written, instead of BASE. */
  readonly base?: Json;
  /** Fields beside it, before and after. */
  readonly beside?: Json;
  /** Fields beside it that only one of its values needs. */
  readonly besideValue?: Readonly<Record<string, Json>>;
  /** Other resources of the mesh, YAML. */
  readonly documents?: string;
}

const orders = { host: "orders" };
const route = [{ destination: orders }];
const http = (rule: Json) => ({ hosts: ["orders"], http: [{ route, ...rule }] });
const redirect = (more: Json) => ({ hosts: ["orders"], http: [{ redirect: more }] });
const retries = { attempts: 3, perTryTimeout: "2s" };

/** The smallest sensible spec of each kind. */
export const BASE: Readonly<Partial<Record<Kind, Json>>> = {
  ServiceEntry: {
    hosts: ["x"],
    location: "MESH_INTERNAL",
    resolution: "STATIC",
    ports: [{ number: 7070, name: "http", protocol: "HTTP" }],
    endpoints: [{ address: "10.1.0.1" }],
  },
  WorkloadEntry: { address: "10.0.0.9", labels: { app: "orders" }, serviceAccount: "x" },
  VirtualService: http({}),
  Gateway: { servers: [{ port: { number: 80, name: "http", protocol: "HTTP" }, hosts: ["a.example.com"] }] },
  DestinationRule: { host: "orders", trafficPolicy: { loadBalancer: { simple: "ROUND_ROBIN" } } },
  EnvoyFilter: ENVOY_FILTER_BASE,
  Sidecar: SIDECAR_BASE,
  Telemetry: TELEMETRY_BASE,
  WorkloadGroup: WORKLOAD_GROUP_BASE,
  WorkloadRegistration: REGISTRATION_BASE,
  TokenInjection: TOKEN_INJECTION_BASE,
  TrustDomain: TRUST_DOMAIN_BASE,
};

const SUBSETS = `apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: subsets}
spec: {host: orders, subsets: [{name: v1, labels: {version: v1}}, {name: v2, labels: {version: v2}}]}
`;

const NETWORKS = `apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: networks}
spec: {host: "*.mesh.local", subsets: [{name: near, labels: {topology.istio.io/network: sample}}]}
`;

const STRICT = `apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: default, namespace: weft-system}
spec: {mtls: {mode: STRICT}}
`;

const MUTUAL = { mode: "MUTUAL", clientCertificate: "/etc/certs/cert.pem", privateKey: "/etc/certs/key.pem" };

const SUBSET_ROUTE = `apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: subset-route}
spec: {hosts: [orders], http: [{route: [{destination: {host: orders, subset: v1, port: {number: 8080}}}]}]}
`;

const EJECTS = { outlierDetection: {} };
const EJECTS_AT_PORT = { ...EJECTS, portLevelSettings: [{ port: { number: 8080 }, ...EJECTS }] };
/** Failover begins where instances are ejected: at each level. */
const LOCAL = {
  host: "orders",
  trafficPolicy: EJECTS_AT_PORT,
  subsets: [{ name: "v2", labels: { version: "v2" }, trafficPolicy: EJECTS_AT_PORT }],
};

/** Instances of orders in two more regions. */
const FAR_AWAY = ["asia", "us"]
  .map(
    (region, index) => `apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: ${region}-1}
spec: {address: 10.0.8.${index + 1}, labels: {app: orders, version: v2}, serviceAccount: orders, locality: ${region}/east/a}
`,
  )
  .join("---\n");

const TCP_SUBSET_ROUTE = `apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: tcp-subset-route}
spec: {hosts: [orders], tcp: [{route: [{destination: {host: orders, subset: v2}}]}]}
`;

/** A traffic policy that says nothing of what is tried. */
const PLAIN = { host: "orders", trafficPolicy: { outlierDetection: {} }, subsets: [{ name: "v1", labels: { version: "v1" } }] };

const ROUTES =
  SUBSET_ROUTE +
  "---\n" +
  SUBSET_ROUTE.replace("subset: v1, ", "").replace("subset-route", "whole-route").replace("hosts: [orders]", "hosts: [web]");

const NAMED_PORT = `apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: web-2}
spec: {address: 10.0.0.12, labels: {app: web}, serviceAccount: web, ports: {http-admin: 7171}}
`;

const selected = { selector: { matchLabels: { app: "orders" } } };
const dns = { hosts: ["x.example.com"], ports: [{ number: 80, name: "http", protocol: "HTTP" }], endpoints: [{ address: "10.1.0.1" }] };
const AT_PORT = { portLevelSettings: [{ port: { number: 8081 }, loadBalancer: { simple: "RANDOM" } }] };

const JWKS =
  '{"keys":[{"kty":"EC","crv":"P-256","x":"3TMbKG9DkCAB2L1b2N4nZvaHLIMS7TvedUTXJwSjcnw","y":"HJEDGoTRlv1zC_OF1cWnkM9bdQIfxTposHUnZxc_xd8"}]}';
const token = (more: Json = {}) => ({ jwtRules: [{ issuer: "https://issuer.example", jwks: JWKS, ...more }] });

const authorizer = { service: "web.default.mesh.local", port: 8080 };
const askedBy = (protocol: "Http" | "Grpc", more: Json = {}, name = "authz") => ({
  extensionProviders: [{ name, [`envoyExtAuthz${protocol}`]: { ...authorizer, ...more } }],
});
const BY_DISCOVERY = { jwtRules: [{ issuer: "https://issuer.example" }] };
const CUSTOM = `apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: custom}
spec: {action: CUSTOM, provider: {name: authz}, rules: [{}]}
`;
const BODY = { includeRequestBodyInCheck: { maxRequestBytes: 5 } };

/** Two VirtualServices that others may delegate to. */
const LEAVES = ["default", "ops"]
  .map(
    (namespace) => `apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: leaf, namespace: ${namespace}}
spec: {http: [{timeout: ${namespace === "ops" ? 2 : 1}s, route: [{destination: {host: orders.default.mesh.local}}]}]}
`,
  )
  .join("---\n");

const toSubset = [{ destination: { host: "orders", subset: "v1" } }];
const sni = [{ sniHosts: ["orders"] }];
const tcp = { hosts: ["orders"], tcp: [{ match: [{}], route: toSubset }] };
const tls = { hosts: ["orders"], tls: [{ match: sni, route: toSubset }] };

/** One gateway proxy, with routes for its Gateways called "sample". */
const FRONT = `apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: front-1, labels: {istio: ingressgateway}, annotations: {weft.dev/type: gateway}}
spec: {address: 10.0.0.7, serviceAccount: front}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: front}
spec:
  hosts: ["*.example.com"]
  gateways: [sample, default/x]
  http: [{route: [{destination: {host: orders}}]}]
  tcp: [{route: [{destination: {host: orders, port: {number: 9090}}}]}]
`;
const server = (more: Json = {}) => ({
  servers: [{ port: { number: 80, name: "http", protocol: "HTTP" }, hosts: ["a.example.com"], ...more }],
});
const https = (tls: Json) => server({ port: { number: 443, name: "https", protocol: "HTTPS" }, tls });
const CERTIFICATE = { serverCertificate: "/etc/certs/cert.pem", privateKey: "/etc/certs/key.pem" };
const GATEWAY_MUTUAL = https({ mode: "MUTUAL", ...CERTIFICATE, caCertificates: "/etc/certs/ca.pem" });

type Table = readonly (readonly [RegExp, Sample])[];

/** The first that matches "Kind.field" holds. */
export const SAMPLES: Table = [
  ...CREDENTIAL_SAMPLES,
  ...ENVOY_FILTER_SAMPLES,
  ...SIDECAR_SAMPLES,
  ...MESH_CONFIG_SAMPLES,
  ...TELEMETRY_SAMPLES,
  ...WORKLOAD_GROUP_SAMPLES,
  ...REGISTRATION_SAMPLES,
  ...TOKEN_INJECTION_SAMPLES,
  ...TRUST_DOMAIN_SAMPLES,
  [/^Gateway\.selector$/, { value: { istio: "other" }, documents: FRONT }],
  [/^Gateway\.servers\[\]\.port\.number$/, { value: 81, documents: FRONT }],
  [/^Gateway\.servers\[\]\.port\.protocol$/, { value: "TCP", documents: FRONT }],
  [/^Gateway\.servers\[\]\.name$/, { value: "sample", base: https({ mode: "SIMPLE", ...CERTIFICATE }), documents: FRONT }],
  [/^Gateway\.servers\[\]\.port\.name$/, { value: "other", base: https({ mode: "SIMPLE", ...CERTIFICATE }), documents: FRONT }],
  [/^Gateway\.servers\[\]\.bind$/, { value: "127.0.0.1", documents: FRONT }],
  [/^Gateway\.servers\[\]\.hosts$/, { value: ["b.example.com"], documents: FRONT }],
  [/^Gateway\.servers\[\]\.tls\.httpsRedirect$/, { value: true, documents: FRONT }],
  [/^Gateway\.servers\[\]\.tls\.mode$/, { value: "ISTIO_MUTUAL", base: https({}), documents: FRONT }],
  [
    /^Gateway\.servers\[\]\.tls\.(serverCertificate|privateKey|caCertificates|caCrl)$/,
    { value: "/etc/x.pem", base: GATEWAY_MUTUAL, documents: FRONT },
  ],
  [/^Gateway\.servers\[\]\.tls\.cipherSuites$/, { value: ["AES128-SHA"], base: GATEWAY_MUTUAL, documents: FRONT }],
  [/^Gateway\.servers\[\]\.tls\./, { base: GATEWAY_MUTUAL, documents: FRONT }],
  [/^Gateway\./, { documents: FRONT }],
  // DestinationRule
  [/\.tunnel\.protocol$/, { documents: TCP_SUBSET_ROUTE }],
  [/\.distribute\[\]\.from$/, { value: "eu/north/a", beside: { to: { "eu/south": 100 } }, base: LOCAL }],
  [/\.distribute\[\]\.to$/, { value: { "eu/south": 100 }, beside: { from: "eu/north/a" }, base: LOCAL }],
  [/\.failover\[\]\.from$/, { value: "eu", beside: { to: "us" }, base: LOCAL, documents: FAR_AWAY }],
  [/\.failover\[\]\.to$/, { value: "us", beside: { from: "eu" }, base: LOCAL, documents: FAR_AWAY }],
  [/\.failoverPriority$/, { value: ["version"], base: LOCAL }],
  [
    /\.localityLbSetting\.enabled$/,
    { value: false, beside: { distribute: [{ from: "eu/north/a", to: { "eu/south": 100 } }] }, base: LOCAL },
  ],
  [/\.warmup(\.duration|DurationSecs)$/, { value: "5s", base: PLAIN }],
  [/\.warmup\./, { base: PLAIN }],
  [/\.retryBudget\.minRetryConcurrency$/, { value: 7, beside: { percent: 10 } }],
  [/\.tls\.caCrl$/, { value: "/etc/certs/crl.pem", beside: { mode: "SIMPLE" } }],
  // VirtualService
  [/\.corsPolicy\.allowMethods$/, { value: ["GET"] }],
  [/\.corsPolicy\.maxAge$/, { value: "5s" }],
  [
    /\.delegate\.name$/,
    {
      value: "leaf",
      base: { hosts: ["orders"], http: [{ match: [{ uri: { prefix: "/x" } }], delegate: { name: "nobody" } }] },
      documents: LEAVES,
    },
  ],
  [
    /\.delegate\.namespace$/,
    {
      value: "ops",
      base: { hosts: ["orders"], http: [{ match: [{ uri: { prefix: "/x" } }], delegate: { name: "leaf" } }] },
      documents: LEAVES,
    },
  ],
  [/\.directResponse\.status$/, { value: 403, base: { hosts: ["orders"], http: [{ directResponse: { status: 200 } }] } }],
  [/\.directResponse\.body\.string$/, { value: "x", base: { hosts: ["orders"], http: [{ directResponse: { status: 200 } }] } }],
  [/\.directResponse\.body\.bytes$/, { value: "eA==", base: { hosts: ["orders"], http: [{ directResponse: { status: 200 } }] } }],
  [/\.uriRegexRewrite\.match$/, { value: "/b", base: http({ rewrite: { uriRegexRewrite: { match: "/a", rewrite: "/x" } } }) }],
  [/\.uriRegexRewrite\.rewrite$/, { value: "/y", base: http({ rewrite: { uriRegexRewrite: { match: "/a", rewrite: "/x" } } }) }],
  [/^VirtualService\.tcp\[\]\.match\[\]\.port$/, { value: 1234, base: tcp, documents: SUBSETS }],
  [/^VirtualService\.tls\[\]\.match\[\]\.port$/, { value: 1234, base: tls, documents: SUBSETS }],
  [/^VirtualService\.tcp\[\]\.match\[\]\.destinationSubnets$/, { value: ["10.96.0.0/16"], base: tcp, documents: SUBSETS }],
  [/^VirtualService\.tls\[\]\.match\[\]\.destinationSubnets$/, { value: ["10.96.0.0/16"], base: tls, documents: SUBSETS }],
  [/^VirtualService\.tcp\[\]\.match\[\]\.sourceLabels$/, { value: { app: "web" }, base: tcp, documents: SUBSETS }],
  [/^VirtualService\.tls\[\]\.match\[\]\.sourceLabels$/, { value: { app: "web" }, base: tls, documents: SUBSETS }],
  [/^VirtualService\.tcp\[\]\.match\[\]\.sourceNamespace$/, { value: "ops", base: tcp, documents: SUBSETS }],
  [/^VirtualService\.tls\[\]\.match\[\]\.sourceNamespace$/, { value: "ops", base: tls, documents: SUBSETS }],
  [/^VirtualService\.tcp\[\]\.match\[\]\.gateways$/, { value: ["front"], base: tcp, documents: SUBSETS }],
  [/^VirtualService\.tls\[\]\.match\[\]\.gateways$/, { value: ["front"], base: tls, documents: SUBSETS }],
  [
    /^VirtualService\.tls\[\]\.match\[\]\.sniHosts$/,
    { value: ["other.example.com"], base: { ...tls, hosts: ["orders", "other.example.com"] }, documents: SUBSETS },
  ],
  [/^VirtualService\.tls\[\]\.route\[\]\.destination\.host$/, { value: "web", base: tls, documents: SUBSETS }],
  [/^VirtualService\.tls\[\]\.route\[\]\.destination\.subset$/, { value: "v2", base: tls, documents: SUBSETS }],
  [/^VirtualService\.tls\[\]\.route\[\]\.destination\.port\.number$/, { value: 9090, base: tls, documents: SUBSETS }],
  [
    /^VirtualService\.tls\[\]\.route\[\]\.weight$/,
    {
      value: 7,
      base: {
        hosts: ["orders"],
        tls: [
          {
            match: sni,
            route: [
              { destination: orders, weight: 1 },
              { destination: { host: "web" }, weight: 1 },
            ],
          },
        ],
      },
    },
  ],
  // RequestAuthentication
  [/^RequestAuthentication\.jwtRules\[\]\.issuer$/, { value: "https://other.example", base: token() }],
  [/^RequestAuthentication\.jwtRules\[\]\.jwks$/, { value: JWKS, base: BY_DISCOVERY }],
  [/^RequestAuthentication\.jwtRules\[\]\.jwksUri$/, { value: "https://issuer.example/keys", base: BY_DISCOVERY }],
  [/^RequestAuthentication\.jwtRules\[\]\.timeout$/, { value: "7s", base: BY_DISCOVERY }],
  [/^RequestAuthentication\.jwtRules\[\]\.fromHeaders\[\]\.prefix$/, { base: token({ fromHeaders: [{ name: "x-token" }] }) }],
  [/^RequestAuthentication\.jwtRules\[\]/, { base: token() }],
  // External authorization
  [/^AuthorizationPolicy\.provider\.name$/, { base: { action: "CUSTOM", rules: [{}], provider: { name: "other" } } }],
  [/^MeshConfig\.extensionProviders\[\]\.name$/, { value: "authz", base: askedBy("Http", {}, "other"), documents: CUSTOM }],
  [/envoyExtAuthzHttp\.service$/, { value: "orders.default.mesh.local", documents: CUSTOM, base: askedBy("Http") }],
  [/envoyExtAuthzGrpc\.service$/, { value: "orders.default.mesh.local", documents: CUSTOM, base: askedBy("Grpc") }],
  [/envoyExtAuthzHttp\.port$/, { value: 8081, documents: CUSTOM, base: askedBy("Http") }],
  [/envoyExtAuthzGrpc\.port$/, { value: 8081, documents: CUSTOM, base: askedBy("Grpc") }],
  [/envoyExtAuthzHttp\.statusOnError$/, { value: "503", documents: CUSTOM, base: askedBy("Http") }],
  [/envoyExtAuthzHttp\.pathPrefix$/, { value: "/check", documents: CUSTOM, base: askedBy("Http") }],
  [/envoyExtAuthzHttp\.includeRequestBodyInCheck\.maxRequestBytes$/, { documents: CUSTOM, base: askedBy("Http", BODY) }],
  [/envoyExtAuthzHttp\.includeRequestBodyInCheck\./, { documents: CUSTOM, base: askedBy("Http", BODY) }],
  [/envoyExtAuthzHttp\.timeout$/, { value: "7s", documents: CUSTOM, base: askedBy("Http") }],
  [/envoyExtAuthzHttp\./, { documents: CUSTOM, base: askedBy("Http") }],
  [/envoyExtAuthzGrpc\.statusOnError$/, { value: "503", documents: CUSTOM, base: askedBy("Grpc") }],
  [/envoyExtAuthzGrpc\.includeRequestBodyInCheck\./, { documents: CUSTOM, base: askedBy("Grpc", BODY) }],
  [/envoyExtAuthzGrpc\.timeout$/, { value: "7s", documents: CUSTOM, base: askedBy("Grpc") }],
  [/envoyExtAuthzGrpc\./, { documents: CUSTOM, base: askedBy("Grpc") }],
  [
    /^DestinationRule\.trafficPolicy\.portLevelSettings\[\]\.port\.number$/,
    { value: 8080, base: { host: "orders", trafficPolicy: AT_PORT } },
  ],
  [
    /^DestinationRule\.subsets\[\]\.trafficPolicy\.portLevelSettings\[\]\.port\.number$/,
    { value: 8080, base: { host: "orders", subsets: [{ name: "v2", labels: { version: "v2" }, trafficPolicy: AT_PORT }] } },
  ],
  [/maxConcurrentStreams$/, { beside: { h2UpgradePolicy: "UPGRADE" } }],
  [/consistentHash\.maglev\.tableSize$/, { value: 5, base: PLAIN }],
  [/consistentHash\.ringHash\.minimumRingSize$/, { value: 5, base: PLAIN }],
  [
    /^(VirtualService\.http\[\]\.route\[\]\.weight)$/,
    {
      value: 7,
      base: http({
        route: [
          { destination: orders, weight: 1 },
          { destination: { host: "web" }, weight: 1 },
        ],
      }),
    },
  ],
  [
    /^VirtualService\.tcp\[\]\.route\[\]\.weight$/,
    {
      value: 7,
      base: {
        hosts: ["orders"],
        tcp: [
          {
            route: [
              { destination: orders, weight: 1 },
              { destination: { host: "web" }, weight: 1 },
            ],
          },
        ],
      },
    },
  ],
  [/consistentHash\.httpCookie\.path$/, { value: "/x", base: PLAIN, documents: ROUTES }],
  [/consistentHash\.httpCookie\.ttl$/, { value: "5s", base: PLAIN, documents: ROUTES }],
  [/\.loadBalancer\./, { base: PLAIN, documents: ROUTES }],
  [/^MeshConfig\.accessLogFormat$/, { base: { accessLogFile: "/dev/stdout" } }],
  [/^MeshConfig\.enableAutoMtls$/, { value: false }],
  [
    /^ServiceEntry\.ports\[\]\.name$/,
    {
      value: "http-admin",
      base: {
        ...BASE.ServiceEntry,
        endpoints: undefined,
        ports: [{ number: 7070, name: "x", protocol: "HTTP" }],
        workloadSelector: { labels: { app: "web" } },
      },
      documents: NAMED_PORT,
    },
  ],
  [/\.retries\.attempts$|HttpRetryPolicy\.attempts$/, { value: 5 }],
  [/retryOn$/, { value: "5xx", beside: retries }],
  [/retryIgnorePreviousHosts$/, { value: false, beside: retries }],
  [/(retries|RetryPolicy)\.(backoff|perTryTimeout)$/, { value: "5s", beside: { attempts: 3 } }],
  [
    /\.when\[\]\.(values|notValues)$/,
    { value: ["10.0.0.1"], base: { rules: [{ when: [{ key: "source.ip", values: ["10.9.9.9"], notValues: ["10.8.8.8"] }] }] } },
  ],
  // ServiceEntry
  [/^ServiceEntry\.hosts$/, { value: ["y"] }],
  [/^ServiceEntry\.addresses$/, { value: ["10.97.0.1"] }],
  [/^ServiceEntry\.ports\[\]\.protocol$/, { value: "GRPC" }],
  [/^ServiceEntry\.resolution$/, { value: "DNS", base: { ...dns, resolution: "STATIC" } }],
  [/^ServiceEntry\.endpoints\[\]\.address$/, { value: "10.1.0.2" }],
  [/^ServiceEntry\.endpoints\[\]\.ports$/, { value: { http: 7171 } }],
  [/^ServiceEntry\.endpoints\[\]\.labels$/, { value: { "security.istio.io/tlsMode": "istio" } }],
  [/^ServiceEntry\.workloadSelector\.labels$/, { value: { app: "web" }, base: { ...serviceEntry(), endpoints: undefined } }],
  [/^ServiceEntry\.subjectAltNames$/, { value: ["spiffe://mesh.local/ns/default/sa/x"] }],
  // WorkloadEntry
  [/^WorkloadEntry\.address$/, { value: "10.0.0.10" }],
  [/^WorkloadEntry\.ports$/, { value: { http: 8888 } }],
  [/^WorkloadEntry\.labels$/, { value: { app: "web" } }],
  [/\.locality$/, { value: "us/east/c" }],
  [/\.network$/, { value: "sample", documents: NETWORKS }],
  [/\.weight$/, { value: 7 }],
  [/\.serviceAccount$/, { value: "other" }],
  // VirtualService
  [/^VirtualService\.hosts$/, { value: ["web"] }],
  [/^VirtualService\.gateways$/, { value: ["mesh"] }],
  [/^VirtualService\.http\[\]\.match\[\]\.port$/, { value: 8080 }],
  [
    /^VirtualService\.tcp\[\]\.match\[\]\.port$/,
    {
      value: 1234,
      base: { hosts: ["orders"], tcp: [{ match: [{}], route: [{ destination: { host: "orders", subset: "v1" } }] }] },
      documents: SUBSETS,
    },
  ],
  [/\.match\[\]\.name$/, { value: "sample", beside: { uri: { prefix: "/x" } } }],
  [/\.match\[\]\.ignoreUriCase$/, { value: true, beside: { uri: { prefix: "/x" } } }],
  [/\.regex$/, { value: "a.*" }],
  [/^VirtualService\.tcp\[\].*\.destination\.host$/, { value: "web", base: { hosts: ["orders"], tcp: [{ route }] } }],
  [/^VirtualService\.tcp\[\].*\.subset$/, { value: "v1", base: { hosts: ["orders"], tcp: [{ route }] }, documents: SUBSETS }],
  [/^VirtualService\.tcp\[\].*\.port\.number$/, { value: 8080, base: { hosts: ["orders"], tcp: [{ route }] } }],
  [
    /^VirtualService\.tcp\[\].*\.weight$/,
    {
      value: 7,
      base: {
        hosts: ["orders"],
        tcp: [
          {
            route: [
              { destination: orders, weight: 1 },
              { destination: { host: "web" }, weight: 1 },
            ],
          },
        ],
      },
    },
  ],
  [/\.(destination|mirror)\.host$/, { value: "web" }],
  [/\.(destination|mirror)\.subset$/, { value: "v1", documents: SUBSETS }],
  [/\.(destination|mirror)\.port\.number$/, { value: 8081 }],
  [
    /^VirtualService\.http\[\]\.route\[\]\.weight$/,
    {
      value: 7,
      base: http({
        route: [
          { destination: orders, weight: 1 },
          { destination: { host: "web" }, weight: 1 },
        ],
      }),
    },
  ],
  [/\.headers\.(request|response)\.(set|add)$/, { value: { "x-sample": "1" } }],
  [/\.headers\.(request|response)\.remove$/, { value: ["x-sample"] }],
  [/\.redirect\.derivePort$/, { base: redirect({ authority: "example.com" }) }],
  [/\.redirect\.port$/, { value: 8443, base: redirect({ authority: "example.com" }) }],
  [/\.redirect\.scheme$/, { value: "https", base: redirect({ authority: "example.com" }) }],
  [/\.redirect\.redirectCode$/, { value: 308, base: redirect({ authority: "example.com" }) }],
  [/\.redirect\.(uri|prefixRewrite)$/, { value: "/new", base: redirect({ authority: "example.com" }) }],
  [/\.redirect\.authority$/, { value: "example.org", base: redirect({ uri: "/new" }) }],
  [/\.rewrite\.uri$/, { value: "/new" }],
  [/\.rewrite\.authority$/, { value: "example.org" }],
  [/^VirtualService\.http\[\]\.retries\./, { base: http({ retries }) }],
  [/^MeshConfig\.defaultHttpRetryPolicy\./, { base: { defaultHttpRetryPolicy: retries } }],
  [/\.fault\.delay\.(percent|percentage\.value)$/, { value: 25, base: http({ fault: { delay: { fixedDelay: "1s" } } }) }],
  [/\.fault\.abort\.percentage\.value$/, { value: 25, base: http({ fault: { abort: { httpStatus: 503 } } }) }],
  [/\.fault\.abort\.httpStatus$/, { value: 503 }],
  [/\.(mirrorPercent|mirrorPercentage\.value)$/, { value: 25, base: http({ mirror: { host: "web" } }) }],
  [/\.mirrors\[\]\.percentage\.value$/, { value: 25, base: http({ mirrors: [{ destination: { host: "web" } }] }) }],
  // DestinationRule
  [/^DestinationRule\.host$/, { value: "web" }],
  [/^DestinationRule\.subsets\[\]\.name$/, { value: "v2", base: { host: "orders", subsets: [{ name: "v1", labels: { version: "v1" } }] } }],
  [
    /^DestinationRule\.subsets\[\]\.labels$/,
    { value: { version: "v2" }, base: { host: "orders", subsets: [{ name: "v1", labels: { version: "v1" } }] } },
  ],
  [/outlierDetection\.consecutiveLocalOriginFailures$/, { beside: { splitExternalLocalOriginErrors: true } }],
  [/\.tls\.(clientCertificate|privateKey)$/, { value: "/etc/certs/other.pem", beside: MUTUAL }],
  [/\.tls\.(caCertificates|sni)$/, { value: "other", beside: { mode: "SIMPLE" } }],
  [/\.tls\.subjectAltNames$/, { value: ["other"], beside: { mode: "SIMPLE", caCertificates: "/etc/certs/ca.pem" } }],
  [/\.tls\.insecureSkipVerify$/, { value: true, beside: { mode: "SIMPLE" } }],
  [/\.tls\.mode$/, { beside: { clientCertificate: "/etc/certs/cert.pem", privateKey: "/etc/certs/key.pem" } }],
  // Security
  [/^RequestAuthentication\.selector\.matchLabels$/, { value: { app: "orders" }, base: token() }],
  [/^PeerAuthentication\.mtls\.mode$/, { documents: STRICT }],
  [/^PeerAuthentication\.portLevelMtls/, { base: selected, documents: STRICT }],
  [/^PeerAuthentication\.selector\.matchLabels$/, { value: { app: "orders" }, base: { mtls: { mode: "STRICT" } } }],
  [/^AuthorizationPolicy\.selector\.matchLabels$/, { value: { app: "orders" } }],
  [
    /^AuthorizationPolicy\.action$/,
    {
      base: { rules: [{ to: [{ operation: { methods: ["GET"] } }] }] },
      besideValue: { CUSTOM: { provider: { name: "authz" } } },
    },
  ],
  [/[iI]pBlocks$/, { value: ["10.0.0.0/8"] }],
  [/\.operation\.(ports|notPorts)$/, { value: ["8080"] }],
  [/\.when\[\]\.key$/, { value: "source.ip", beside: { values: ["10.0.0.1"] } }],
  [/(Timeout|[tT]imeout|Duration|interval|Time|backoff|ttl|\.time|fixedDelay)$/, { value: "5s" }],
];

function serviceEntry(endpoint: Json = {}): Json {
  return { ...BASE.ServiceEntry, endpoints: [{ address: "10.1.0.1", ...endpoint }] };
}
