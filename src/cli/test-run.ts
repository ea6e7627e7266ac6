/** One policy test: what `weft why` answers, held against what is expected. */
import { WeftError } from "../lib/errors.ts";
import type { Mesh } from "../mesh/types.ts";
import { evaluate, type WhyAnswer } from "../why/index.ts";
import type { Coverage } from "./test-coverage.ts";
import type { Test } from "./test-file.ts";

export interface TestResult {
  readonly name: string;
  readonly line: number;
  /** None where it passed. */
  readonly differences: readonly string[];
  /** What becomes of the request, in one line. */
  readonly summary: string;
  readonly milliseconds: number;
}

export function runTest(
  mesh: Mesh,
  { name, line, request, expect }: Test,
  parts: { readonly now: number; readonly coverage: Coverage; readonly monotonic: () => number },
): TestResult {
  const began = parts.monotonic();
  const done = (differences: readonly string[], summary: string) => ({
    name,
    line,
    differences,
    summary,
    milliseconds: parts.monotonic() - began,
  });
  try {
    const { answer, matched } = evaluate(mesh, request, { now: parts.now });
    parts.coverage.reach(answer, matched);
    return done(differencesOf(answer, expect), answer.summary);
  } catch (reason) {
    const { message, help } = WeftError.from(reason);
    return done([message], help ?? "the request cannot be answered");
  }
}

function differencesOf(answer: WhyAnswer, expect: Test["expect"]): string[] {
  const subsets = [...new Set(answer.destinations.map(({ subset }) => subset ?? ""))].sort();
  const found: Readonly<Record<keyof Test["expect"], unknown>> = {
    verdict: answer.mixed ? "mixed" : answer.verdict,
    status: answer.mixed ? "mixed" : answer.status,
    route: answer.route?.name,
    host: [...new Set(answer.destinations.map(({ host }) => host))].join(", "),
    subset: subsets.join(", "),
    location: answer.route?.location,
    policy: answer.authorization?.policy ?? undefined,
    rule: answer.authorization?.rule ?? undefined,
    mtls: answer.mtls?.outcome,
  };
  const wanted = { ...expect, subset: expect.subset === undefined ? undefined : [expect.subset].flat().sort().join(", ") };
  return (Object.keys(found) as (keyof Test["expect"])[]).flatMap((key) => {
    if (wanted[key] === undefined || wanted[key] === found[key]) return [];
    return [`${key}: expected ${JSON.stringify(wanted[key])}, found ${found[key] === undefined ? "none" : JSON.stringify(found[key])}`];
  });
}
