import { describe, expect, test } from "bun:test";
import { serviceMtls } from "../../src/mesh/mtls-report.ts";
import { buildMtls } from "../../src/mesh/peer-authentication.ts";
import type { Endpoint, Mesh, Service } from "../../src/mesh/types.ts";
import type { Resource } from "../../src/model/resource.ts";
import { policy, settings, workload, workloads } from "../fakes/security.ts";

const source = { kind: "ServiceEntry", namespace: "default", name: "orders", file: "", line: 0 };

const service = {
  host: "orders.default.mesh.local",
  namespace: "default",
  ports: [
    { number: 80, name: "http", protocol: "HTTP", targetPort: 8080 },
    { number: 90, name: "db", protocol: "TCP", targetPort: 9090 },
  ],
} as const satisfies Partial<Service>;

const v1 = workload("default/orders-v1", { labels: { app: "orders", version: "v1" } });
const v2 = workload("default/orders-v2", { labels: { app: "orders", version: "v2" } });
const nobody = workload("default/nobody", { serviceAccount: undefined, spiffeId: undefined });

function endpoint(key: string | undefined): Endpoint {
  const ports = new Map([
    [80, 8080],
    [90, 9090],
  ]);
  return { address: "10.0.0.1", ports, labels: {}, weight: 1, locality: "", workload: key, mtlsPorts: new Set(), source };
}

function report(keys: readonly (string | undefined)[], ...peers: readonly Resource<"PeerAuthentication">[]) {
  const all = workloads(v1, v2, nobody);
  const mesh = {
    settings,
    workloads: all,
    endpoints: new Map([[service.host, keys.map(endpoint)]]),
    mtls: buildMtls(peers, all, settings),
  };
  return serviceMtls(mesh as unknown as Mesh, service as unknown as Service);
}

const strict = policy("PeerAuthentication", "default/ns", { mtls: { mode: "STRICT" } }, { lines: { "spec.mtls.mode": 6 } });

describe("The mTLS report of a service", () => {
  test("It is one word where all workloads and ports agree, with the line that decided", () => {
    const found = report([v2.key, v1.key], strict);
    expect(found).toMatchObject({ mode: "STRICT", workloads: ["default/orders-v1", "default/orders-v2"] });
    expect(found.details).toHaveLength(4);
    expect(found.details[0]).toMatchObject({
      workload: v1.key,
      port: 80,
      workloadPort: 8080,
      mode: "STRICT",
      source: { name: "ns", line: 6 },
    });
  });

  test("It is MIXED where workloads or ports differ, and each port says its own", () => {
    const selector = { matchLabels: { version: "v2" } };
    const port = policy("PeerAuthentication", "default/v2", {
      selector,
      mtls: { mode: "STRICT" },
      portLevelMtls: { "9090": { mode: "DISABLE" } },
    });
    expect(report([v1.key, v2.key], strict, port)).toMatchObject({ mode: "MIXED", ports: [{ mode: "STRICT" }, { mode: "MIXED" }] });
    expect(report([v2.key], port)).toMatchObject({ mode: "MIXED", ports: [{ mode: "STRICT" }, { mode: "DISABLE" }] });
  });

  test("It is NONE for a workload without an identity, an address that is no workload, and a service without endpoints", () => {
    expect(report([nobody.key], strict)).toMatchObject({
      mode: "NONE",
      workloads: [nobody.key],
      details: [{ mode: "NONE" }, { mode: "NONE" }],
    });
    expect(report([undefined], strict)).toMatchObject({ mode: "NONE", workloads: [], details: [] });
    expect(report([], strict)).toMatchObject({ mode: "NONE", ports: [{ mode: "NONE" }, { mode: "NONE" }] });
    expect(report([v1.key, undefined], strict).mode).toBe("MIXED");
  });
});
