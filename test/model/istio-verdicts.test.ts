/**
 * Verdicts of Istio's validation (the webhook's, and the CRDs' schemas) that were compared with weft's, case by case. Each row was put
 * to both; the words and the YAML are ours. A refusal is pinned with its code and line.
 */
import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { CODES, type CodeName, parseDocuments } from "../../src/model/index.ts";
import { KINDS } from "../../src/model/kinds.ts";
import type { Kind } from "../../src/model/resource.ts";

// Envoy's messages are loaded with the first EnvoyFilter, which takes seconds on a loaded machine.
setDefaultTimeout(60_000);

/** What is said of the line of the spec (counted from 1) that the code is about; "fine" without any problem, warnings included. */
type Verdict = "fine" | readonly ["warns" | "refuses", CodeName, number];

const fine: Verdict = "fine";
const warns = (name: CodeName, line: number): Verdict => ["warns", name, line];
const refuses = (name: CodeName, line: number): Verdict => ["refuses", name, line];

/** Each row: what it is about, the lines of the spec, the verdict. */
function verdicts(kind: Kind, rows: Record<string, readonly [string, Verdict]>, metadata = "{name: x}") {
  describe(`Of a ${kind}`, () => {
    const { group, versions } = KINDS[kind];
    const head = `apiVersion: ${group}/${versions[0]}\nkind: ${kind}\nmetadata: ${metadata}\nspec:\n`;
    for (const [name, [spec, verdict]] of Object.entries(rows)) {
      test(name, () => {
        const { problems, resources } = parseDocuments(head + spec.replace(/^\n/, "").replace(/^/gm, "  "), "x.yaml");
        const found = problems.map(({ code, severity, line }) => ({ code, severity, line: line - 4 }));
        if (verdict === "fine") expect(problems).toEqual([]);
        else {
          const [what, code, line] = verdict;
          expect(found).toEqual([{ code: CODES[code].code, severity: what === "warns" ? "warning" : "error", line }]);
        }
        expect(resources.length).toBe(verdict === "fine" || verdict[0] === "warns" ? 1 : 0);
      });
    }
  });
}

const NAMED = (more: string, protocol = "HTTP") => `
hosts: ["*.example.com"]
ports:
  - {number: 80, name: a, protocol: ${protocol}}
${more}`;

const TLS = (gateways: string, host: string, sni = host) => `
hosts: ["${host}"]
gateways: ${gateways}
tls:
  - match: [{sniHosts: ["${sni}"]}]
    route: [{destination: {host: a}}]`;

verdicts("VirtualService", {
  "the name by which clients call a cluster through a gateway may be an SNI": [TLS("[edge]", "*", "outbound_.80_._.a.b.mesh"), fine],
  "it may be a host too, where routes match by SNI": [TLS("[edge]", "outbound_.80_._.a.b.mesh"), fine],
  "it is none without a port": [TLS("[edge]", "*", "outbound_._.a.mesh"), refuses("badHost", 4)],
  "sidecars send no such SNI": [TLS("[edge, mesh]", "*.b.mesh", "outbound_.80_._.a.b.mesh"), refuses("badHost", 4)],
  "Envoy answers with no status of 600": ["\nhosts: [a]\nhttp:\n  - directResponse: {status: 600}", refuses("notYet", 3)],
  "nor does it break requests with one": [
    "\nhosts: [a]\nhttp:\n  - fault: {abort: {httpStatus: 600}}\n    route: [{destination: {host: a}}]",
    refuses("notYet", 3),
  ],
  "a status is a whole number": ["\nhosts: [a]\nhttp:\n  - directResponse: {status: 200.5}", refuses("wrongType", 3)],
  "a delegate's name may be any that a resource has": ["\nhosts: [a]\nhttp:\n  - delegate: {name: routes.of.a}", fine],
  "a delegate without a name takes nothing over": ["\nhosts: [a]\nhttp:\n  - delegate: {}", warns("noEffect", 3)],
});

verdicts(
  "DestinationRule",
  {
    "the dot and the own namespace are one": ["\nhost: a\nexportTo: [other, ., mine]", refuses("duplicateItem", 2)],
    "the dot stands beside others": ["\nhost: a\nexportTo: [other, .]", fine],
  },
  "{name: x, namespace: mine}",
);

verdicts("RequestAuthentication", {
  "a claim that is a list in one string has a name": ['\njwtRules:\n  - issuer: a\n    spaceDelimitedClaims: [""]', refuses("badValue", 3)],
  "keys come from one place": [
    '\njwtRules:\n  - issuer: a\n    jwksUri: https://a.example/keys\n    jwks: \'{"keys":[{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}\'',
    refuses("exclusive", 2),
  ],
  "whether a token must be there is no field that does anything": [
    "\njwtRules:\n  - issuer: a\n    presence: REQUIRED",
    refuses("notYet", 3),
  ],
});

const PATCH = (applyTo: string, operation: string, value: string) => `
configPatches:
  - applyTo: ${applyTo}
    patch:
      operation: ${operation}
      value:
        name: x
        ${value}`;
const MUTATION = "type.googleapis.com/envoy.extensions.filters.http.header_mutation.v3.HeaderMutation";

verdicts("EnvoyFilter", {
  "a duration may be written as Go writes it": [PATCH("CLUSTER", "ADD", "dns_refresh_rate: 1m500ms"), fine],
  "a duration must be one": [PATCH("CLUSTER", "ADD", "dns_refresh_rate: soon"), refuses("badValue", 5)],
  "a field that the message does not have is left out": [PATCH("CLUSTER", "MERGE", "conect_timeout: 1s"), warns("noEffect", 7)],
  "a word that the field does not take is left out": [PATCH("CLUSTER", "MERGE", "lb_policy: BEST"), warns("noEffect", 7)],
  "a field that an extension does not have is Envoy's to judge": [
    PATCH("HTTP_FILTER", "INSERT_FIRST", `typed_config: {"@type": ${MUTATION}, new_field: 1}`),
    warns("surprising", 7),
  ],
  "but is left out where the extension's configuration is merged": [
    PATCH("HTTP_FILTER", "MERGE", `typed_config: {"@type": ${MUTATION}, new_field: 1}`),
    warns("noEffect", 7),
  ],
  "a value of another type beside it is wrong all the same": [
    PATCH("HTTP_FILTER", "INSERT_FIRST", `typed_config: {"@type": ${MUTATION}, new_field: 1, mutations: 1}`),
    refuses("badValue", 5),
  ],
});

const ENTRY = (resolution: string, more: string) => `
hosts: [a.example.com]
ports: [{number: 80, name: http, protocol: HTTP}]
${resolution}
${more}`;

verdicts("ServiceEntry", {
  "resolution may be left out, which means NONE": [ENTRY("", "location: MESH_EXTERNAL"), fine],
  "an address may end with a colon": [ENTRY("resolution: NONE", "addresses: [10.9.0.1, 2001:db8::]"), fine],
  "a mapping is no address": [ENTRY("resolution: NONE", "addresses: [10.9.0.1, a: b]"), refuses("wrongType", 4)],
  "with NONE, TCP of several hosts needs not be told apart": [
    "\nhosts: [a.example.com, b.example.com]\nports: [{number: 9, name: tcp, protocol: TCP}]",
    fine,
  ],
  "NONE goes with a block of addresses": [ENTRY("resolution: NONE", "addresses: [10.9.0.0/16]"), fine],
  "a wildcard at known addresses is known": ["\nhosts: ['*.example.com']\naddresses: [10.9.0.1]", fine],
  "a wildcard alone goes on to where the name that is called is": [NAMED(""), fine],
  "with TLS the name that is called is TLS's": [NAMED("", "HTTPS"), fine],
  "plain TCP calls no name": [NAMED("", "TCP"), refuses("notYet", 3)],
  "DYNAMIC_DNS resolves the name that is called": [NAMED("resolution: DYNAMIC_DNS"), fine],
  "DYNAMIC_DNS takes a service of the mesh's": [NAMED("resolution: DYNAMIC_DNS\nlocation: MESH_INTERNAL"), fine],
  "DYNAMIC_DNS takes TLS": [NAMED("resolution: DYNAMIC_DNS", "TLS"), fine],
  "DYNAMIC_DNS does not take HTTPS": [NAMED("resolution: DYNAMIC_DNS", "HTTPS"), refuses("badValue", 3)],
  "DYNAMIC_DNS takes wildcards": ["\nhosts: [a.example.com]\nresolution: DYNAMIC_DNS", refuses("badHost", 1)],
  "DYNAMIC_DNS takes no addresses": [NAMED("resolution: DYNAMIC_DNS\naddresses: [10.9.0.1]"), refuses("exclusive", 5)],
  "DYNAMIC_DNS takes no endpoints": [NAMED("resolution: DYNAMIC_DNS\nendpoints: [{address: 10.9.0.1}]"), refuses("exclusive", 5)],
  "DYNAMIC_DNS selects nothing": [NAMED("resolution: DYNAMIC_DNS\nworkloadSelector: {labels: {a: b}}"), warns("noEffect", 5)],
  "NONE takes no endpoints": [ENTRY("resolution: NONE", "endpoints: [{address: 10.0.0.1}]"), refuses("exclusive", 4)],
  "endpoints need a resolution": [ENTRY("", "endpoints: [{address: 10.0.0.1}]"), refuses("exclusive", 4)],
  "NONE selects nothing": [ENTRY("resolution: NONE", "workloadSelector: {labels: {a: b}}"), warns("noEffect", 4)],
});

verdicts("WorkloadEntry", {
  "an account's name has at most 253 characters": [`\naddress: 10.0.0.1\nserviceAccount: ${"x".repeat(254)}`, refuses("badValue", 2)],
  "an instance has a network": ["\naddress: 10.0.0.1\nnetwork: north", fine],
  "an instance of a network needs an address all the same": ["\nnetwork: north", refuses("notYet", 0)],
  "an instance without both needs an address": ["\nweight: 1", refuses("missing", 0)],
});

verdicts("Sidecar", {
  "a listener without a protocol goes by its port's name": [
    "\ningress:\n  - port: {number: 90, name: http-a}\n    defaultEndpoint: 127.0.0.1:91",
    warns("surprising", 2),
  ],
  "a Unix socket needs no number of a port": [
    '\negress:\n  - port: {protocol: HTTP}\n    bind: unix:///run/a.sock\n    hosts: ["*/*"]',
    fine,
  ],
  "an address needs one": ['\negress:\n  - port: {protocol: HTTP}\n    bind: 127.0.0.2\n    hosts: ["*/*"]', refuses("badAddress", 2)],
});

verdicts("Telemetry", {
  "a tag without a value is none": ["\ntracing:\n  - customTags:\n      a: {}", warns("noEffect", 3)],
  "a metric's tag may name what Envoy does not have": [
    "\nmetrics:\n  - overrides:\n      - tagOverrides:\n          a: {value: some-cel-expression}",
    warns("surprising", 4),
  ],
});

const SERVER = (host: string, tls: string) => `
servers:
  - port: {number: 443, name: https, protocol: HTTPS}
    hosts: ["${host}"]
    tls: ${tls}`;

verdicts("Gateway", {
  "a selector that no label has selects nothing": [
    `\nselector: {istio: "in*"}${SERVER("a.example.com", "{mode: PASSTHROUGH}")}`,
    warns("noEffect", 1),
  ],
  "an IPv4 address is a host": [SERVER("10.0.0.1", "{mode: PASSTHROUGH}"), fine],
  "an IPv6 address is taken for a short name": [SERVER("::1", "{mode: PASSTHROUGH}"), refuses("badHost", 3)],
  "a file of what is revoked does nothing beside a Secret": [
    SERVER("a.example.com", "{mode: MUTUAL, credentialName: a, caCrl: /etc/crl.pem}"),
    warns("noEffect", 4),
  ],
  "a Secret's name may be any, and then there is none": [
    SERVER("a.example.com", "{mode: SIMPLE, credentialName: a b}"),
    warns("badName", 4),
  ],
});

const PROXY = (mode: string, more: string) => `\noutboundTrafficPolicy:\n  ${mode}\n  egressProxy: {${more}}`;

verdicts("Sidecar", {
  "unknown hosts may be called": ["\noutboundTrafficPolicy: {mode: ALLOW_ANY}", fine],
  "an egress proxy is asked for unknown hosts": [PROXY("mode: ALLOW_ANY", "host: proxy.example.com, port: {number: 80}"), fine],
  "an egress proxy needs ALLOW_ANY": [PROXY("mode: REGISTRY_ONLY", "host: proxy.example.com, port: {number: 80}"), refuses("together", 3)],
  "an egress proxy has a port": [PROXY("mode: ALLOW_ANY", "host: proxy.example.com"), refuses("missing", 3)],
  "an egress proxy is one host": [PROXY("mode: ALLOW_ANY", "host: '*.example.com', port: {number: 80}"), refuses("badHost", 3)],
});

const POLICY = (policy: string) => `\nhost: a\ntrafficPolicy:\n  ${policy}`;

verdicts("DestinationRule", {
  "a load balancer may pass calls on": [POLICY("loadBalancer: {simple: PASSTHROUGH}"), fine],
  "consecutiveErrors is deprecated": [POLICY("outlierDetection: {consecutiveErrors: 5}"), warns("noEffect", 3)],
  "consecutiveErrors of 0 is none": [POLICY("outlierDetection: {consecutiveErrors: 0}"), fine],
  "a field that is empty is left out": [POLICY("loadBalancer: {simple: RANDOM, warmup: null}"), warns("surprising", 3)],
  "an item that is empty is none": ["\nhost: a\nsubsets: [null]", refuses("wrongType", 2)],
});
