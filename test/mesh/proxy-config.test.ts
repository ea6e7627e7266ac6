import { describe, expect, test } from "bun:test";
import { analyze } from "../../src/mesh/analysis/index.ts";
import { buildMesh } from "../../src/mesh/build.ts";
import { parseDocuments } from "../../src/model/parse.ts";
import { meshOf, OPTIONS, resource, resourcesOf, workload } from "./harness.ts";

const WORKLOADS = [workload("web-1", "web", "10.0.0.1"), workload("other-1", "other", "10.0.0.2", "namespace: weft-system")];

/** Of age `age`: the smaller, the older. */
const config = (name: string, spec: string, namespace = "default", age = 1) =>
  resource("ProxyConfig", name, spec, `namespace: ${namespace}, creationTimestamp: "2026-01-0${age}T00:00:00Z"`).replace(
    "/v1\n",
    "/v1beta1\n",
  );
const forWeb = (more: string) => `{selector: {matchLabels: {app: web}}, ${more}}`;
const started = (...yaml: string[]) => {
  const found = meshOf(...WORKLOADS, ...yaml).processes.get("default/web-1");
  return found && { concurrency: found.concurrency, environment: found.environment };
};

describe("A ProxyConfig", () => {
  test("is merged field by field and variable by variable: MeshConfig, root namespace, namespace, workload", () => {
    const mesh = resource(
      "MeshConfig",
      "mesh",
      "{defaultConfig: {concurrency: 1, proxyMetadata: {A: mesh, B: mesh}}}",
      "namespace: weft-system",
    );
    expect(started(mesh)).toEqual({ concurrency: 1, environment: { A: "mesh", B: "mesh" } });
    const root = config("root", "{concurrency: 2, environmentVariables: {B: root, C: root}}", "weft-system");
    expect(started(mesh, root)).toEqual({ concurrency: 2, environment: { A: "mesh", B: "root", C: "root" } });
    const own = config("own", "{environmentVariables: {C: own, D: own}}");
    expect(started(mesh, root, own)).toEqual({ concurrency: 2, environment: { A: "mesh", B: "root", C: "own", D: "own" } });
    const web = config("web", forWeb("concurrency: 0"));
    expect(started(mesh, root, own, web)).toMatchObject({ concurrency: 0 });
    expect(
      meshOf(...WORKLOADS, mesh, root, own, web)
        .processes.get("default/web-1")
        ?.sources.map(({ name }) => name),
    ).toEqual(["mesh", "root", "own", "web"]);
  });

  test("holds alone when it is the oldest of its scope, and the younger one is told of", () => {
    const old = config("b", "{concurrency: 3}", "default", 1);
    const young = config("a", "{concurrency: 4, environmentVariables: {X: x}}", "default", 2);
    const webOld = config("w-b", forWeb("environmentVariables: {Y: old}"), "default", 1);
    const webYoung = config("w-a", forWeb("environmentVariables: {Y: young}"), "default", 2);
    expect(started(old, young, webOld, webYoung)).toEqual({ concurrency: 3, environment: { Y: "old" } });
    const resources = resourcesOf(...WORKLOADS, old, young, webOld, webYoung);
    const found = analyze(resources, buildMesh(resources, OPTIONS)).filter(({ code }) => code === "WF0515");
    expect(found.map((problem) => problem.resource?.name).sort()).toEqual(["a", "w-a"]);
  });

  test("with a selector in the root namespace selects there only; with an empty one it selects nothing", () => {
    expect(started(config("root", forWeb("concurrency: 5"), "weft-system"))).toBeUndefined();
    expect(started(config("empty", "{selector: {}, concurrency: 5}"))).toBeUndefined();
    const { problems } = parseDocuments(config("empty", "{selector: {}, concurrency: 5}"), "x");
    expect(problems).toMatchObject([{ severity: "warning" }]);
  });

  test.each([
    ["{concurrency: -1}"],
    ['{environmentVariables: {"A=B": x}}'],
    ['{environmentVariables: {"": x}}'],
    ["{image: {imageType: debug}}"],
    ['{selector: {matchLabels: {"a*": b}}}'],
  ])("%s is refused", (spec) => {
    const { problems } = parseDocuments(config("x", spec), "x");
    expect(problems.filter(({ severity }) => severity === "error").length).toBe(1);
  });
});
