import { describe, expect, test } from "bun:test";
import { buildMtls, mtlsModeAt } from "../../src/mesh/peer-authentication.ts";
import type { Mesh, Settings, Workload } from "../../src/mesh/types.ts";
import type { PeerAuthenticationSpec } from "../../src/model/peer-authentication.ts";
import type { Resource } from "../../src/model/resource.ts";
import { type PolicyOptions, policy, settings, workload, workloads } from "../fakes/security.ts";

const orders = workload("default/orders");

function peer(key: string, spec: PeerAuthenticationSpec, options: PolicyOptions = {}): Resource<"PeerAuthentication"> {
  return policy("PeerAuthentication", key, spec, options);
}

function modes(policies: readonly Resource<"PeerAuthentication">[], at: Workload = orders, using: Settings = settings) {
  const mtls = buildMtls(policies, workloads(at), using).get(at.key);
  if (!mtls) throw new Error("no outcome");
  return { mode: mtls.mode.mode, "8080": mtlsModeAt(mtls, 8080).mode, "9090": mtlsModeAt(mtls, 9090).mode, mtls };
}

const app = { matchLabels: { app: "orders" } };

describe("PeerAuthentication", () => {
  test("Without any policy a workload is PERMISSIVE, and no line is to blame", () => {
    expect(modes([]).mtls).toEqual({ mode: { mode: "PERMISSIVE" }, ports: new Map() });
  });

  test("The narrowest scope wins: workload before namespace before mesh", () => {
    const mesh = peer("weft-system/mesh", { mtls: { mode: "STRICT" } });
    const namespace = peer("default/ns", { mtls: { mode: "DISABLE" } });
    const own = peer("default/own", { selector: app, mtls: { mode: "PERMISSIVE" } });
    expect(modes([mesh]).mode).toBe("STRICT");
    expect(modes([mesh, namespace]).mode).toBe("DISABLE");
    expect(modes([own, namespace, mesh]).mode).toBe("PERMISSIVE");
    expect(modes([own, namespace, mesh], workload("ops/batch")).mode).toBe("STRICT");
  });

  test("UNSET, written or left out, inherits from the next wider scope", () => {
    const mesh = peer("weft-system/mesh", { mtls: { mode: "STRICT" } });
    expect(modes([mesh, peer("default/ns", {})]).mode).toBe("STRICT");
    expect(modes([mesh, peer("default/ns", { mtls: { mode: "UNSET" } })]).mode).toBe("STRICT");
    expect(modes([mesh, peer("default/own", { selector: app, mtls: {} })]).mode).toBe("STRICT");
    expect(modes([peer("weft-system/mesh", { mtls: { mode: "UNSET" } })]).mode).toBe("PERMISSIVE");
  });

  test("In one scope the oldest policy wins, and of one age the smaller name", () => {
    const old = peer("default/z-old", { mtls: { mode: "STRICT" } }, { created: "2023-01-01T00:00:00Z" });
    const young = peer("default/a-young", { mtls: { mode: "DISABLE" } }, { created: "2024-01-01T00:00:00Z" });
    const twin = peer("default/y-twin", { mtls: { mode: "DISABLE" } }, { created: "2023-01-01T01:00:00+01:00" });
    expect(modes([young, old]).mode).toBe("STRICT");
    expect(modes([old, twin]).mode).toBe("DISABLE");
  });

  test("The oldest workload policy wins even where it is UNSET: the younger one says nothing", () => {
    const old = peer("default/old", { selector: app }, { created: "2023-01-01T00:00:00Z" });
    const young = peer("default/young", { selector: app, mtls: { mode: "STRICT" } }, { created: "2024-01-01T00:00:00Z" });
    expect(modes([young, old]).mode).toBe("PERMISSIVE");
  });

  test("An empty matchLabels makes a namespace policy, which competes by age", () => {
    const young = peer("default/ns", { mtls: { mode: "PERMISSIVE" } }, { created: "2025-01-01T00:00:00Z" });
    const old = peer("default/zz", { selector: { matchLabels: {} }, mtls: { mode: "STRICT" } }, { created: "2023-01-01T00:00:00Z" });
    expect(modes([young, old]).mode).toBe("STRICT");
  });

  test("A selector in the root namespace is ignored, also for the workloads of that namespace", () => {
    const root = peer("weft-system/own", { selector: app, mtls: { mode: "STRICT" }, portLevelMtls: { "9090": { mode: "STRICT" } } });
    expect(modes([root]).mode).toBe("PERMISSIVE");
    expect(modes([root], workload("weft-system/orders"))).toMatchObject({ mode: "PERMISSIVE", "9090": "PERMISSIVE" });
  });

  test("A selector must match all labels, and reaches its own namespace only", () => {
    const both = peer("default/both", { selector: { matchLabels: { app: "orders", version: "v2" } }, mtls: { mode: "STRICT" } });
    expect(modes([both]).mode).toBe("PERMISSIVE");
    expect(modes([both], workload("default/orders", { labels: { app: "orders", version: "v2", extra: "x" } })).mode).toBe("STRICT");
    expect(modes([both], workload("ops/orders", { labels: { app: "orders", version: "v2" } })).mode).toBe("PERMISSIVE");
  });

  test("portLevelMtls counts the workload's ports, and UNSET at a port means the workload's mode", () => {
    const own = peer("default/own", {
      selector: app,
      mtls: { mode: "DISABLE" },
      portLevelMtls: { "9090": { mode: "STRICT" }, "8080": {}, "90": { mode: "PERMISSIVE" } },
    });
    const found = modes([own]);
    expect(found).toMatchObject({ mode: "DISABLE", "8080": "DISABLE", "9090": "STRICT" });
    expect([...found.mtls.ports.keys()]).toEqual([90, 8080, 9090]);
  });

  test("Every mode names the line that decided it, an inherited one the line it comes from", () => {
    const namespace = peer("default/ns", { mtls: { mode: "STRICT" } }, { lines: { "spec.mtls.mode": 5 } });
    const own = peer(
      "default/own",
      { selector: app, portLevelMtls: { "9090": { mode: "DISABLE" }, "8080": { mode: "UNSET" } } },
      { lines: { "spec.portLevelMtls.9090": 9 } },
    );
    const { mtls } = modes([own, namespace]);
    expect(mtls.mode.source).toEqual({ kind: "PeerAuthentication", namespace: "default", name: "ns", file: "ns.yaml", line: 5 });
    expect(mtlsModeAt(mtls, 8080).source).toMatchObject({ name: "ns", line: 5 });
    expect(mtlsModeAt(mtls, 9090).source).toMatchObject({ name: "own", line: 9 });
  });

  test("A change touches only the workloads whose outcome it changes", () => {
    const batch = workload("ops/batch");
    const all = workloads(orders, batch);
    const before = buildMtls([], all, settings);
    const previous = { mtls: before } as Mesh;
    const after = buildMtls([peer("default/ns", { mtls: { mode: "STRICT" } })], all, settings, previous);
    expect(after.get("ops/batch")).toBe(before.get("ops/batch"));
    expect(after.get("default/orders")).not.toBe(before.get("default/orders"));
    expect(buildMtls([peer("tools/ns", { mtls: { mode: "STRICT" } })], all, settings, previous)).toBe(before);
  });
});
