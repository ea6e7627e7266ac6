import { describe, expect, test } from "bun:test";
import { analyze } from "../../src/mesh/analysis/index.ts";
import { buildMesh } from "../../src/mesh/build.ts";
import type { WorkloadTracing } from "../../src/mesh/tracing.ts";
import { parseDocuments } from "../../src/model/parse.ts";
import { httpService, meshOf, OPTIONS, resource, resourcesOf, workload } from "./harness.ts";

const telemetry = (name: string, tracing: string, namespace = "default", selector = "") =>
  `apiVersion: telemetry.istio.io/v1\nkind: Telemetry\nmetadata: {name: ${name}, namespace: ${namespace}}\nspec: {${selector}tracing: ${tracing}}`;
const config = (more = "") =>
  resource(
    "MeshConfig",
    "mesh",
    `{extensionProviders: [{name: one, opentelemetry: {service: one.default.mesh.local, port: 80}}, {name: two, opentelemetry: {service: two.default.mesh.local, port: 80}},
    {name: lost, opentelemetry: {service: nowhere.example.com, port: 80}}, {name: file, envoyFileAccessLog: {}}]${more}}`,
    "namespace: weft-system",
  );
const BASE = [workload("web-1", "web", "10.0.0.1"), httpService("one"), httpService("two")];

const told = (...yaml: string[]): WorkloadTracing | undefined => meshOf(...BASE, ...yaml).tracing.get("default/web-1");

describe("Spans", () => {
  test("are told of by nobody without a provider, or to one that is none", () => {
    expect(told(config())).toBeUndefined();
    expect(told(config(), telemetry("t", "[{randomSamplingPercentage: 5}]"))).toBeUndefined();
    for (const name of ["lost", "file", "missing"])
      expect(told(config(), telemetry("t", `[{providers: [{name: ${name}}]}]`))).toBeUndefined();
  });

  test("go to the default provider, of one request in a hundred, with Istio's tags", () => {
    const found = told(config(", defaultProviders: {tracing: [one]}"));
    const expected = { sampling: 1, istioTags: true, useRequestIdForSampling: true, tags: [] };
    expect(found?.client).toMatchObject({ ...expected, collector: { cluster: "outbound|80||one.default.mesh.local" } });
    expect(found?.server).toEqual(found?.client);
    expect(found?.serviceName).toBe("web-1.default");
  });

  test("follow the nearest Telemetry field by field; custom tags are replaced as a whole", () => {
    const found = told(
      config(),
      telemetry(
        "root",
        "[{providers: [{name: one}], randomSamplingPercentage: 100, customTags: {a: {literal: {value: x}}}}]",
        "weft-system",
      ),
      telemetry("own", "[{customTags: {b: {header: {name: x-b, defaultValue: none}}}}]"),
      telemetry(
        "web",
        "[{match: {mode: SERVER}, randomSamplingPercentage: 0, providers: [{name: two}]}]",
        "default",
        "selector: {matchLabels: {app: web}}, ",
      ),
    );
    expect(found?.client).toMatchObject({ sampling: 100, collector: { authority: "one.default.mesh.local" } });
    expect(found?.server).toMatchObject({ sampling: 0, collector: { authority: "two.default.mesh.local" } });
    expect(found?.client?.tags).toEqual([{ tag: "b", from: "header", value: "x-b", defaultValue: "none" }]);
    expect(found?.sources.map(({ name }) => name)).toEqual(["mesh", "root", "own", "web"]);
  });

  test("can be turned off for one side, and on again nearer", () => {
    const off = telemetry("root", "[{providers: [{name: one}], disableSpanReporting: true}]", "weft-system");
    expect(told(config(), off)).toBeUndefined();
    const found = told(config(), off, telemetry("own", "[{match: {mode: CLIENT}, disableSpanReporting: false}]"));
    expect(found?.client).toBeDefined();
    expect(found?.server).toBeUndefined();
  });

  test("are the same object in the next Mesh when nothing about them changed", () => {
    const resources = resourcesOf(...BASE, config(", defaultProviders: {tracing: [one]}"));
    const before = buildMesh(resources, OPTIONS);
    const after = buildMesh([...resources, ...resourcesOf(httpService("other"))], OPTIONS, before);
    expect(after.tracing).toBe(before.tracing);
  });

  test("to a provider that is not there, or takes none, are told of", () => {
    const warnings = (name: string) => {
      const resources = resourcesOf(config(), telemetry("t", `[{providers: [{name: ${name}}]}]`));
      return analyze(resources, buildMesh(resources, OPTIONS)).map(({ message }) => message);
    };
    expect(warnings("missing")).toEqual(["spec.tracing[0].providers[0].name: MeshConfig's extensionProviders have no missing"]);
    expect(warnings("file")).toEqual(["spec.tracing[0].providers[0].name: the provider file takes no spans"]);
    expect(warnings("one")).toEqual([]);
  });

  test("in ways that are not translated are refused by name", () => {
    const problems = (yaml: string) =>
      parseDocuments(yaml, "t.yaml")
        .problems.filter(({ severity }) => severity === "error")
        .map(({ message }) => message);
    const one = (rule: string) => problems(telemetry("t", `[${rule}]`)).join();
    expect(one("{disableContextPropagation: true}")).toContain("disableContextPropagation");
    expect(one("{customTags: {a: {formatter: {value: x}}}}")).toContain("formatter");
    expect(one("{randomSamplingPercentage: 101}")).toContain("must be from 0 to 100");
    expect(one("{customTags: {a: {literal: {value: x}, header: {name: y}}}}")).toContain("only one of");
    for (const field of ["http: {path: /v1/traces}", "grpc: {timeout: 1s}", "resourceDetectors: {environment: {}}"]) {
      const yaml = resource(
        "MeshConfig",
        "mesh",
        `{extensionProviders: [{name: one, opentelemetry: {service: a.example.com, port: 80, ${field}}}]}`,
      );
      expect(problems(yaml).join()).toContain(field.split(":")[0] ?? "");
    }
  });
});
