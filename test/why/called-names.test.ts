import { describe, expect, test } from "bun:test";
import { why } from "../../src/why/index.ts";
import { meshOf, resource, workload } from "../mesh/harness.ts";

const NOW = Date.parse("2026-06-01T00:00:00Z");
const PORTS =
  "[{number: 80, name: http, protocol: HTTP}, {number: 8080, name: more, protocol: HTTP}, {number: 443, name: tls, protocol: TLS}]";
const ANY = resource("ServiceEntry", "any", `{hosts: ["*.example.com"], resolution: DYNAMIC_DNS, ports: ${PORTS}}`);
const OPEN = resource("Sidecar", "open", "{outboundTrafficPolicy: {mode: ALLOW_ANY}}");
const ORIGINATED = resource("DestinationRule", "any", '{host: "*.example.com", trafficPolicy: {tls: {mode: SIMPLE}}}');
const LOCKED = "apiVersion: security.istio.io/v1\nkind: PeerAuthentication\nmetadata: {name: all}\nspec: {mtls: {mode: STRICT}}\n";
const CALLER = workload("web-1", "web", "10.0.0.1", 'annotations: {weft.dev/listen: "*.example.com:443=127.0.0.1:15443"}').replace(
  'annotations: {weft.dev/app: "http=127.0.0.1:9001"}, ',
  "",
);

const ask = (to: string, more: readonly string[] = [], method?: string) =>
  why(meshOf(CALLER, ANY, ...more), { from: "default/web-1", to, method }, { now: NOW });
const addresses = (answer: ReturnType<typeof ask>) =>
  answer.destinations.flatMap(({ endpoints }) => endpoints.map(({ address }) => address));

describe("weft why of a name that is resolved when it is called", () => {
  test("says which place the Host header names: its port, else 80, with TLS 443", () => {
    const at = (to: string, ...more: string[]) => addresses(ask(to, more));
    expect(at("a.example.com")).toEqual(["a.example.com:80"]);
    expect(at("A.example.com:8080")).toEqual(["a.example.com:8080"]);
    expect(at("a.example.com", ORIGINATED)).toEqual(["a.example.com:443"]);
  });

  test("takes the name that TLS asks for on a TLS port", () => {
    const answer = ask("a.example.com:443");
    expect(answer).toMatchObject({ protocol: "tcp", verdict: "allow" });
    expect(addresses(answer)).toEqual(["a.example.com:443"]);
  });

  test("means the service's own port where none is written, also where it speaks no HTTP", () => {
    const only = resource(
      "ServiceEntry",
      "any",
      '{hosts: ["*.example.com"], resolution: DYNAMIC_DNS, ports: [{number: 443, name: tls, protocol: TLS}]}',
    );
    const answer = why(meshOf(CALLER, only), { from: "default/web-1", to: "a.example.com" }, { now: NOW });
    expect(answer).toMatchObject({ protocol: "tcp", verdict: "allow" });
    expect(addresses(answer)).toEqual(["a.example.com:443"]);
  });

  test("knows no port that the service does not have", () => {
    expect(ask("a.example.com:81")).toMatchObject({ verdict: "no_route", status: 404 });
  });
});

describe("weft why of a host that the mesh does not know", () => {
  test("follows the outboundTrafficPolicy, and names it", () => {
    expect(ask("far.example.org")).toMatchObject({ verdict: "no_route", status: 404 });
    const answer = ask("far.example.org:8443", [OPEN]);
    expect(answer).toMatchObject({
      verdict: "allow",
      status: 200,
      route: { name: "allow_any", source: { kind: "Sidecar", name: "open" } },
    });
    expect(addresses(answer)).toEqual(["far.example.org:8443"]);
  });

  test("takes CONNECT at its own route, which no service has", () => {
    expect(ask("far.example.org:443", [OPEN], "CONNECT")).toMatchObject({ verdict: "allow", route: { name: "allow_any_connect" } });
    expect(ask("a.example.com", [OPEN], "CONNECT")).toMatchObject({ verdict: "no_route", status: 404 });
  });

  test("is called in plaintext, also at a workload's own address", () => {
    const server = workload("orders-1", "orders", "10.0.0.2");
    const service = resource(
      "ServiceEntry",
      "orders",
      "{hosts: [orders], location: MESH_INTERNAL, resolution: STATIC, workloadSelector: {labels: {app: orders}}, ports: [{number: 8080, name: http, protocol: HTTP}]}",
    );
    expect(ask("10.0.0.2:8080", [OPEN, server, service])).toMatchObject({ verdict: "allow" });
    expect(ask("10.0.0.2:8080", [OPEN, server, service, LOCKED])).toMatchObject({ verdict: "refused", status: 503 });
  });
});
