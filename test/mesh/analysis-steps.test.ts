import { describe, expect, setDefaultTimeout, test } from "bun:test";
import fc from "fast-check";
import { type Analysis, analyze, analyzeInSteps } from "../../src/mesh/analysis/index.ts";
import { buildMesh } from "../../src/mesh/build.ts";
import type { Mesh } from "../../src/mesh/types.ts";
import type { AnyResource } from "../../src/model/resource.ts";
import { httpService, OPTIONS, resourcesOf, workload } from "./harness.ts";
import { key, parsed, resources } from "./random-documents.ts";

// Hundreds of meshes, on a machine that may be busy.
setDefaultTimeout(60_000);

function analysisOf(all: readonly AnyResource[], mesh: Mesh, before?: Analysis): { readonly analysis: Analysis; readonly rules: number } {
  const steps = analyzeInSteps(all, mesh, before);
  for (let rules = 0; ; rules++) {
    const step = steps.next();
    if (step.done) return { analysis: step.value, rules };
  }
}

describe("The analysis after a change", () => {
  test("finds what an analysis of everything finds, whatever changed and in however many steps", () => {
    const steps = fc.array(fc.array(fc.tuple(fc.boolean(), parsed), { minLength: 1, maxLength: 2 }), { maxLength: 10 });
    fc.assert(
      fc.property(resources, steps, (list, edits) => {
        const current = new Map(list.map((one) => [key(one), one]));
        let mesh = buildMesh(list, OPTIONS);
        let { analysis } = analysisOf(list, mesh);
        for (const step of edits) {
          for (const [removes, one] of step) {
            if (removes) current.delete(key(one));
            else current.set(key(one), one);
          }
          const all = [...current.values()];
          mesh = buildMesh(all, OPTIONS, mesh);
          analysis = analysisOf(all, mesh, analysis).analysis;
          expect(analysis.problems).toEqual(analyze(all, buildMesh(all, OPTIONS)));
        }
      }),
      { numRuns: 100 },
    );
  });

  test("asks those rules again that look at what changed, and none where nothing did", () => {
    const rest = resourcesOf(httpService("orders"), workload("orders-1", "orders", "10.0.0.1"));
    const at = (address: string) => [...rest, ...resourcesOf(workload("orders-2", "orders", address))];
    const before = buildMesh(at("10.0.0.2"), OPTIONS);
    const { analysis, rules } = analysisOf(at("10.0.0.2"), before);
    const moved = at("10.0.0.1");
    const after = buildMesh(moved, OPTIONS, before);
    const again = analysisOf(moved, after, analysis);
    expect(again.rules).toBeGreaterThan(0);
    expect(again.rules).toBeLessThan(rules / 2);
    expect(again.analysis.problems.map(({ code }) => code)).toContain("WF0511");
    expect(analysisOf(moved, after, again.analysis).rules).toBe(0);
  });
});
