import { describe, expect, test } from "bun:test";
import { analyze } from "../../src/mesh/analysis/index.ts";
import { buildMesh } from "../../src/mesh/build.ts";
import { OPTIONS, resource, resourcesOf, workload } from "./harness.ts";

const telemetry = (spec: string, namespace = "default") =>
  `apiVersion: telemetry.istio.io/v1\nkind: Telemetry\nmetadata: {name: t-${namespace}, namespace: ${namespace}}\nspec: ${spec}`;
const config = (spec: string) => resource("MeshConfig", "mesh", spec, "namespace: weft-system");

function findings(...yaml: string[]): string[] {
  const resources = resourcesOf(workload("web-1", "web", "10.0.0.1"), ...yaml);
  return analyze(resources, buildMesh(resources, OPTIONS)).map(({ code, message }) => `${code} ${message.split(":")[0]}`);
}

const ASKS = {
  accessLogging: "{accessLogging: [{filter: {expression: response.code >= 400}}]}",
  tracing: "{tracing: [{randomSamplingPercentage: 10}]}",
  metrics: "{metrics: [{overrides: [{tagOverrides: {team: {value: \"'a'\"}}}]}]}",
};

describe("Telemetry that names no provider", () => {
  for (const [field, spec] of Object.entries(ASKS)) {
    test(`is told of where no other scope names one for ${field}`, () => {
      expect(findings(telemetry(spec))).toEqual([`WF0402 spec.${field}[0]`]);
      expect(findings(telemetry(spec, "weft-system"))).toEqual([`WF0402 spec.${field}[0]`]);
    });
  }

  test("takes that of the root namespace's, and MeshConfig's", () => {
    expect(findings(telemetry(ASKS.metrics), telemetry("{metrics: [{providers: [{name: prometheus}]}]}", "weft-system"))).toEqual([]);
    expect(findings(telemetry(ASKS.metrics), config("{defaultProviders: {metrics: [prometheus]}}"))).toEqual([]);
    expect(findings(telemetry(ASKS.accessLogging), config("{defaultProviders: {accessLogging: [envoy]}}"))).toEqual([]);
  });

  test("rightly turns off what is off", () => {
    for (const spec of [
      "{accessLogging: [{disabled: true}]}",
      "{tracing: [{disableSpanReporting: true}]}",
      "{metrics: [{overrides: [{disabled: true}]}]}",
    ]) {
      expect(findings(telemetry(spec))).toEqual([]);
    }
  });
});
