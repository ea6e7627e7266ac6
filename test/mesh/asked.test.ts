import { describe, expect, test } from "bun:test";
import { buildMesh } from "../../src/mesh/build.ts";
import type { AnyResource } from "../../src/model/resource.ts";
import { httpService, OPTIONS, resource, resourcesOf, workload } from "./harness.ts";

const policy = (name: string, app: string) =>
  resource("AuthorizationPolicy", name, `{selector: {matchLabels: {app: ${app}}}, rules: [{to: [{operation: {methods: [GET]}}]}]}`);

/** The resources, and how often the rules of each AuthorizationPolicy have been read. */
function watched(...yaml: string[]): { readonly resources: readonly AnyResource[]; readonly reads: ReadonlyMap<string, number> } {
  const reads = new Map<string, number>();
  const resources = resourcesOf(...yaml).map((one) => {
    if (one.kind !== "AuthorizationPolicy") return one;
    const { rules, ...rest } = one.spec;
    const spec = {
      ...rest,
      get rules() {
        reads.set(one.metadata.name, (reads.get(one.metadata.name) ?? 0) + 1);
        return rules;
      },
    };
    return { ...one, spec };
  });
  return { resources, reads };
}

const DOCUMENTS = [
  httpService("orders"),
  httpService("users"),
  workload("orders-1", "orders", "10.0.0.1"),
  workload("users-1", "users", "10.0.0.2"),
  policy("orders", "orders"),
  policy("users", "users"),
];

describe("The first Mesh", () => {
  test("makes of a workload what somebody asks for, and nothing of the others", () => {
    const { resources, reads } = watched(...DOCUMENTS);
    const mesh = buildMesh(resources, OPTIONS);
    expect([...mesh.workloads.keys()]).toEqual(["default/orders-1", "default/users-1"]);
    expect([...reads.keys()]).toEqual([]);
    expect(mesh.authorization.get("default/orders-1")?.allow).toHaveLength(1);
    expect([...reads.keys()]).toEqual(["orders"]);
  });

  test("is the same in whatever order its parts are asked for", () => {
    const parts = ["authorization", "mtls", "inbound", "outbound", "endpoints", "workloads", "services"] as const;
    const shown = (order: readonly (typeof parts)[number][], from: "first" | "last") => {
      const mesh = buildMesh(resourcesOf(...DOCUMENTS), OPTIONS);
      const asked = order.map((part) => {
        const keys = [...mesh[part].keys()];
        const values = (from === "first" ? keys : keys.toReversed()).map((key) => [key, Bun.inspect(mesh[part].get(key), { depth: 20 })]);
        return [part, Object.fromEntries(values)] as const;
      });
      return Object.fromEntries(asked);
    };
    expect(shown(parts.toReversed(), "last")).toEqual(shown(parts, "first"));
  });

  test("gives the next one the parts that nobody had asked for, should they be asked for then", () => {
    const resources = resourcesOf(...DOCUMENTS);
    const before = buildMesh(resources, OPTIONS);
    const after = buildMesh([...resources, ...resourcesOf(workload("users-2", "users", "10.0.0.3"))], { ...OPTIONS, revision: 2 }, before);
    expect(after.authorization.get("default/orders-1")).toBe(before.authorization.get("default/orders-1"));
    expect(after.mtls.get("default/orders-1")).toBe(before.mtls.get("default/orders-1"));
    expect(after.workloads.get("default/orders-1")).toBe(before.workloads.get("default/orders-1"));
    expect(after.outbound.get("default/orders-1")?.clusters).toBe(before.outbound.get("default/orders-1")?.clusters);
    expect(after.endpoints.get("orders.default.mesh.local")).toBe(before.endpoints.get("orders.default.mesh.local"));
  });
});
