import { describe, expect, test } from "bun:test";
import { why } from "../../src/why/index.ts";
import { httpService, meshOf, resource, workload } from "../mesh/harness.ts";

const NOW = Date.parse("2026-06-01T00:00:00Z");
const all = [httpService("orders"), workload("web-1", "web", "10.0.0.1"), workload("orders-1", "orders", "10.0.0.2")];
const ask = (sidecar: string, to = "orders") =>
  why(meshOf(...all, resource("Sidecar", "x", sidecar)), { from: "default/web-1", to }, { now: NOW });

describe("weft why", () => {
  test("names the Sidecar that keeps the caller from knowing a service", () => {
    const answer = ask('{workloadSelector: {labels: {app: web}}, egress: [{hosts: ["~/*"]}]}');
    expect(answer).toMatchObject({ verdict: "no_route", status: 404 });
    expect(answer.steps.at(-1)).toMatchObject({ result: "no_match", source: { kind: "Sidecar", namespace: "default", name: "x" } });
    expect(ask('{workloadSelector: {labels: {app: web}}, egress: [{hosts: ["./*"]}]}')).toMatchObject({ verdict: "allow", status: 200 });
  });

  test("answers for a TCP port that the Sidecar hides as for a connection, not as for a request", () => {
    const tcp = httpService("db", "", "[{number: 5432, name: tcp, protocol: TCP}]");
    const hide = resource("Sidecar", "x", '{egress: [{hosts: ["./orders.default.mesh.local"]}]}');
    const answer = why(meshOf(...all, tcp, hide), { from: "default/web-1", to: "db:5432" }, { now: NOW });
    expect(answer).toMatchObject({ verdict: "no_route", status: 0, protocol: "tcp", steps: [{ source: { kind: "Sidecar", name: "x" } }] });
  });

  test("tells that a Sidecar's ingress leaves the called port out", () => {
    const ingress = (port: number) => `{workloadSelector: {labels: {app: orders}}, ingress: [{port: {number: ${port}, protocol: HTTP}}]}`;
    expect(ask(ingress(80))).toMatchObject({ verdict: "allow", status: 200 });
    const answer = ask(ingress(81));
    expect(answer).toMatchObject({ verdict: "refused", status: 503 });
    expect(answer.steps).toContainEqual(
      expect.objectContaining({ stage: "server_mtls", result: "closed", source: expect.objectContaining({ kind: "Sidecar", name: "x" }) }),
    );
  });

  describe("at an egress listener", () => {
    const two = '{egress: [{port: {number: 80, protocol: HTTP}, hosts: ["./orders.default.mesh.local"]}, {hosts: ["~/*"]}]}';
    const at = (via: string | undefined, from = "default/web-1", to = "orders") =>
      why(meshOf(...all, resource("Sidecar", "x", two)), { from, to, via }, { now: NOW });

    test("answers for the one that is named, and else for the one that knows the service", () => {
      const step = { stage: "listener", result: "127.0.0.1:80", source: { kind: "Sidecar", name: "x" } };
      for (const via of ["127.0.0.1:80", undefined]) {
        const answer = at(via);
        expect(answer).toMatchObject({ verdict: "allow", status: 200 });
        expect(answer.steps[0]).toMatchObject(step);
      }
      expect(at("127.0.0.1:80", "default/web-1", "nowhere")).toMatchObject({ verdict: "no_route", status: 404 });
    });

    test("refuses a place that is none, with those that there are", () => {
      expect(() => at("127.0.0.1:81")).toThrow(expect.objectContaining({ code: "invalid", help: expect.stringContaining("127.0.0.1:80") }));
      expect(() => at("127.0.0.1:80", "plaintext")).toThrow("name the caller");
    });
  });
});
