import { expect, test } from "bun:test";
import { analyze } from "../../src/mesh/analysis/index.ts";
import { buildMesh } from "../../src/mesh/build.ts";
import { OPTIONS, resource, resourcesOf } from "./harness.ts";

const telemetry = (name: string) =>
  `apiVersion: telemetry.istio.io/v1\nkind: Telemetry\nmetadata: {name: t, namespace: default}\nspec: {accessLogging: [{providers: [{name: ${name}}]}]}`;
const CONFIG = resource(
  "MeshConfig",
  "mesh",
  "{extensionProviders: [{name: file, envoyFileAccessLog: {}}, {name: authz, envoyExtAuthzHttp: {service: a.example.com, port: 80}}]}",
  "namespace: weft-system",
);

function told(name: string): string[] {
  const resources = resourcesOf(CONFIG, telemetry(name));
  return analyze(resources, buildMesh(resources, OPTIONS)).map(({ message }) => message);
}

test("An access log to a provider that is not there, or is no log, is told of", () => {
  expect(told("nowhere")).toEqual(["spec.accessLogging[0].providers[0].name: MeshConfig's extensionProviders have no nowhere"]);
  expect(told("authz")).toEqual(["spec.accessLogging[0].providers[0].name: the provider authz is no access log"]);
  expect(told("file")).toEqual([]);
  expect(told("envoy")).toEqual([]);
});
