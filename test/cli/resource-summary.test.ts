import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { parseAllDocuments } from "yaml";
import type { ApiResource } from "../../src/admin/control-plane.ts";
import { KIND_NAMES } from "../../src/cli/names.ts";
import { summaryOf } from "../../src/cli/resource-summary.ts";

const resource = (kind: string, spec: Readonly<Record<string, unknown>>) => ({ kind, spec }) as unknown as ApiResource;

test("weft get sums up a resource of every kind", () => {
  const text = readFileSync(join(import.meta.dir, "../xds/every-kind.yaml"), "utf8");
  const all = parseAllDocuments(text).map((document) => document.toJS() as ApiResource);
  expect([...new Set(all.map(({ kind }) => kind))].sort()).toEqual(
    KIND_NAMES.replaceAll(/ \(\w+\)/g, "")
      .split(", ")
      .sort(),
  );
  expect(all.filter((one) => summaryOf(one) === "").map(({ kind, metadata }) => `${kind} ${metadata.name}`)).toEqual([]);
});

test("what it shows first is what tells resources of a kind apart", () => {
  const endpoint = { url: "https://bundle.other.example/", profile: "https_web" };
  expect(summaryOf(resource("TrustDomain", { bundleEndpoint: endpoint }))).toBe("https://bundle.other.example/");
  expect(summaryOf(resource("TokenInjection", { hosts: ["orders", "stock"], audience: "shop" }))).toBe("shop to orders,stock");
  expect(summaryOf(resource("Gateway", { servers: [{ hosts: ["a"] }, { hosts: ["a", "b"] }] }))).toBe("a,b");
  expect(summaryOf(resource("MeshConfig", { outboundTrafficPolicy: { mode: "ALLOW_ANY" } }))).toBe("outboundTrafficPolicy");
  expect(summaryOf(resource("ServiceEntry", { hosts: "none" }))).toBe("hosts");
});
