import { describe, expect, test } from "bun:test";
import { CODES, documentOf, parseDocuments, resourceFromStored } from "../../src/model/index.ts";
import { ORDERS, problemsOf } from "./support.ts";

describe("the envelope", () => {
  const policy = (metadata: string, rest = "") =>
    `apiVersion: security.istio.io/v1\nkind: PeerAuthentication\nmetadata: ${metadata}\n${rest}`;

  test("apiVersion must be one that Istio serves the kind in", () => {
    for (const version of ["v1", "v1beta1", "v1alpha3"]) {
      expect(problemsOf(ORDERS.replace("istio.io/v1", `istio.io/${version}`))).toEqual([]);
    }
    expect(problemsOf(ORDERS.replace("networking", "security"))[0]).toStartWith(
      "badApiVersion apiVersion: must be one of networking.istio.io/v1",
    );
    expect(problemsOf(policy("{name: x}").replace("/v1", "/v1alpha3"))[0]).toStartWith("badApiVersion");
  });

  test("a misspelt kind gets a suggestion, a kind of Kubernetes an explanation", () => {
    const help = (kind: string) =>
      parseDocuments(ORDERS.replace("VirtualService", kind), "f").problems.map((found) => [found.code, found.help])[0];
    expect(help("VirtualServices")).toEqual([CODES.unknownKind.code, "did you mean VirtualService?"]);
    expect(help("Deployment")?.[1]).toContain("ServiceEntry");
    expect(help("WasmPlugin")?.[0]).toBe(CODES.notYet.code);
  });

  test("PeerAuthenticationPolicy is PeerAuthentication, and mode NONE is DISABLE", () => {
    const text = policy("{name: x}", "spec: {selector: {matchLabels: {a: b}}, mtls: {mode: NONE}, portLevelMtls: {80: {mode: NONE}}}");
    const [resource] = parseDocuments(text.replace("PeerAuthentication", "PeerAuthenticationPolicy"), "f").resources;
    expect(resource).toMatchObject({
      kind: "PeerAuthentication",
      spec: { mtls: { mode: "DISABLE" }, portLevelMtls: { "80": { mode: "DISABLE" } } },
    });
  });

  test("the namespace is default where none is given, and istio-system is weft-system", () => {
    const namespace = (metadata: string) => parseDocuments(policy(metadata), "f").resources[0]?.metadata.namespace;
    expect(namespace("{name: x}")).toBe("default");
    expect(namespace("{name: x, namespace: istio-system}")).toBe("weft-system");
  });

  test("what kubectl get -o yaml shows is read, and what only a server knows forgotten", () => {
    const text = policy(
      "{name: x, namespace: ops, uid: abc, generation: 3, resourceVersion: '17', creationTimestamp: '2024-03-01T00:00:00Z', managedFields: [{manager: kubectl}], ownerReferences: [], finalizers: [], selfLink: /x, labels: null}",
      "spec: {}\nstatus: {conditions: []}",
    );
    const { resources, problems } = parseDocuments(text, "f");
    expect(problems).toEqual([]);
    expect(resources[0]?.metadata).toEqual({
      name: "x",
      namespace: "ops",
      labels: {},
      annotations: {},
      creationTimestamp: "2024-03-01T00:00:00Z",
      resourceVersion: "17",
    });
  });

  test("metadata is checked as Kubernetes checks it", () => {
    const refused: [string, string][] = [
      ["{name: Upper}", "badName metadata.name"],
      ["{name: x, namespace: a.b}", "badName metadata.namespace"],
      ["{name: x, labels: {app: 1}}", "wrongType metadata.labels.app: must be a string, not the number 1"],
      ["{name: x, labels: {'a b': c}}", 'badMetadata metadata.labels["a b"]'],
      ["{name: x, lables: {}}", "unknownField metadata.lables"],
      ["{name: x, creationTimestamp: yesterday}", "badMetadata metadata.creationTimestamp"],
      ["{generateName: x}", "unknownField metadata.generateName"],
      ["[]", "wrongType metadata: must be a mapping"],
    ];
    for (const [metadata, start] of refused) {
      expect([metadata, problemsOf(policy(metadata)).some((line) => line.startsWith(start))]).toEqual([metadata, true]);
    }
  });

  test("a field of the spec that stands beside it is explained", () => {
    const [found] = parseDocuments(policy("{name: x}", "mtls: {mode: STRICT}"), "f").problems;
    expect([found?.code, found?.help]).toEqual([CODES.unknownField.code, "mtls belongs under spec: check the indentation"]);
  });

  test("a resource may occur once in an input, and the first one's line is named", () => {
    const [found] = parseDocuments(`${ORDERS}---\n${ORDERS}`, "f").problems;
    expect([found?.code, found?.line, found?.message]).toEqual([
      CODES.duplicateResource.code,
      18,
      "VirtualService default/orders is in line 1 already",
    ]);
  });

  test("a mesh has one MeshConfig, in weft-system", () => {
    const config = (metadata: string) => `apiVersion: weft.dev/v1\nkind: MeshConfig\nmetadata: ${metadata}\nspec: {}\n`;
    expect(parseDocuments(config("{name: a}"), "f").resources[0]?.metadata.namespace).toBe("weft-system");
    expect(problemsOf(`${config("{name: a}")}---\n${config("{name: b}")}`)[0]).toStartWith("duplicateResource");
    expect(problemsOf(config("{name: a, namespace: ops}"))[0]).toStartWith("badMetadata metadata.namespace");
  });

  test("a stored document is the same resource again", () => {
    const [resource] = parseDocuments(ORDERS, "mesh.yaml").resources;
    if (!resource) throw new Error("no resource");
    const document = documentOf(resource);
    expect(document).toMatchObject({
      apiVersion: "networking.istio.io/v1",
      kind: "VirtualService",
      metadata: { name: "orders", namespace: "default" },
    });
    const again = resourceFromStored({ document, source: resource.source, createdAt: "2025-01-01T00:00:00Z" });
    expect(again).toEqual({ ...resource, metadata: { ...resource.metadata, creationTimestamp: "2025-01-01T00:00:00Z" } });
    expect(documentOf(parseDocuments(JSON.stringify(document), "f").resources[0] ?? resource)).toEqual(document);
  });
});
