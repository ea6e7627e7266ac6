import { describe, expect, test } from "bun:test";
import { spiffeIdOf } from "../../src/mesh/workloads.ts";
import { parseDocuments } from "../../src/model/index.ts";

const entry = (serviceAccount: string) =>
  JSON.stringify({
    apiVersion: "networking.istio.io/v1",
    kind: "WorkloadEntry",
    metadata: { name: "one" },
    spec: { address: "10.0.0.1", serviceAccount },
  });

const group = (serviceAccount: string) =>
  JSON.stringify({
    apiVersion: "networking.istio.io/v1",
    kind: "WorkloadGroup",
    metadata: { name: "one" },
    spec: { template: { serviceAccount } },
  });

const WRONG = [
  ...["orders/sa/web", "../web", "..", ".", "/", "web\u0000", "web\n", "web,URI:spiffe://x/y", "we%62", "web?x", "web#x", "wéb", " web"],
  "spiffe://mesh.local/ns/default/sa/web",
  "a".repeat(254),
];

describe("A service account that would put more than one segment into a SPIFFE ID", () => {
  test.each(WRONG)("is refused where it is written: %j", (name) => {
    for (const text of [entry(name), group(name)]) {
      const { resources, problems } = parseDocuments(text, "x.yaml");
      expect(resources).toEqual([]);
      expect(problems.map(({ severity, message }) => [severity, /is no name of a service account$/.test(message)])).toContainEqual([
        "error",
        true,
      ]);
    }
  });

  test.each(WRONG)("gives no identity where an older store holds it: %j", (name) => {
    const settings = { trustDomain: "mesh.local" } as Parameters<typeof spiffeIdOf>[0];
    expect(spiffeIdOf(settings, "default", name)).toBeUndefined();
  });

  test("is no name that Kubernetes or Istio would give", () => {
    for (const name of ["web", "web-1", "a.b_c-D", "a".repeat(253)]) expect(parseDocuments(entry(name), "x.yaml").problems).toEqual([]);
  });
});

test("of thousands of unknown fields fifty are told by name, and the others counted", () => {
  const fields = Object.fromEntries(Array.from({ length: 5_000 }, (_, index) => [`f${index}`, 1]));
  const text = JSON.stringify({
    apiVersion: "networking.istio.io/v1",
    kind: "WorkloadEntry",
    metadata: { name: "one" },
    spec: { address: "10.0.0.1", ...fields },
  });
  const { problems } = parseDocuments(text, "x.yaml");
  expect(problems.filter(({ message }) => /is no known field$/.test(message))).toHaveLength(50);
  expect(problems.map(({ message }) => message)).toContain("spec: has 4950 more fields that are not known");
});

test("thousands of anchors, aliases or tags in one document are refused before they are put together", () => {
  for (const sign of ["&a ", "- *a\n", "- !a b\n"]) {
    const { resources, problems } = parseDocuments(`${sign.repeat(20_000)}x`, "x.yaml");
    expect(resources).toEqual([]);
    expect(problems.map(({ message }) => message)).toContain(
      "one document may have 5000 anchors, aliases and tags; nothing after this place was read",
    );
  }
});
