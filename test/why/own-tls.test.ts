import { describe, expect, test } from "bun:test";
import { why } from "../../src/why/index.ts";
import { httpService, meshOf, reachable, resource, workload } from "../mesh/harness.ts";

const VAULT = "[{number: 9443, name: tls-vault, protocol: TLS}, {number: 9090, name: tcp, protocol: TCP}]";
const mesh = (...more: string[]) =>
  meshOf(
    reachable(httpService("orders", "", VAULT)),
    workload("web-1", "web", "10.0.0.1"),
    workload("orders-1", "orders", "10.0.0.2"),
    workload("legacy-1", "legacy", "10.0.0.3").replace("serviceAccount: legacy", 'serviceAccount: ""'),
    ...more,
  );
const denySni = (sni: string) =>
  resource("AuthorizationPolicy", "sni", `{action: DENY, rules: [{when: [{key: connection.sni, values: ["${sni}"]}]}]}`);
const ask = (from: string, to: string, ...more: string[]) => why(mesh(...more), { from, to }, { now: 0 }).verdict;

describe("The TLS that an application speaks itself", () => {
  test("shows its name to the server's policies where the mesh adds no TLS around it", () => {
    const deny = denySni("*default.mesh.local");
    expect(ask("plaintext", "orders:9443", deny)).toBe("deny");
    expect(ask("default/legacy-1", "orders:9443", deny)).toBe("deny");
    expect(ask("plaintext", "orders:9090", deny)).toBe("allow");
  });

  test("is not seen inside the mesh's mutual TLS, whose own name stands for it", () => {
    expect(ask("default/web-1", "orders:9443", denySni("orders.default.mesh.local"))).toBe("allow");
    expect(ask("default/web-1", "orders:9443", denySni("outbound_.9443_._.orders.default.mesh.local"))).toBe("deny");
  });

  test("shows no name where the server's mode is DISABLE: its listener does not look into what comes", () => {
    const disable = resource("PeerAuthentication", "off", "{mtls: {mode: DISABLE}}");
    expect(ask("plaintext", "orders:9443", denySni("*default.mesh.local"), disable)).toBe("allow");
  });

  test("is what the called port says, also where a route leads to another port", () => {
    const route = resource(
      "VirtualService",
      "x",
      "{hosts: [orders], tcp: [{match: [{port: 9090}], route: [{destination: {host: orders, port: {number: 9443}}}]}]}",
    );
    // Plaintext, though it goes to a port for TLS.
    expect(ask("default/legacy-1", "orders:9090", route, denySni("*"))).toBe("allow");
  });
});
