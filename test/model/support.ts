import { expect, test } from "bun:test";
import { CODES, type CodeName, parseDocuments } from "../../src/model/index.ts";
import { apiVersionsOf, KINDS, type KindInfo } from "../../src/model/kinds.ts";
import type { Kind } from "../../src/model/resource.ts";

/** One document of `kind` with `spec` in flow style (JSON). */
export function documentWith(kind: Kind, spec: unknown, metadata: Record<string, unknown> = {}): string {
  const { isFlat } = KINDS[kind] as KindInfo;
  const [apiVersion] = apiVersionsOf(KINDS[kind]);
  return JSON.stringify({ apiVersion, kind, metadata: { name: "x", ...metadata }, ...(isFlat ? (spec as object) : { spec }) });
}

/** "CODENAME path: message" of each problem. */
export function problemsOf(text: string): string[] {
  const names = new Map<string, string>(Object.entries(CODES).map(([name, { code }]) => [code, name]));
  return parseDocuments(text, "x.yaml").problems.map(
    (found) => `${found.severity === "warning" ? "warning " : ""}${names.get(found.code)} ${found.message}`,
  );
}

export function expectAccepted(text: string): void {
  const errors = problemsOf(text).filter((line) => !line.startsWith("warning"));
  expect(errors).toEqual([]);
  expect(parseDocuments(text, "x.yaml").resources.length).toBeGreaterThan(0);
}

/** Exactly one error, of that name, whose message begins with the place. */
export function expectRefused(text: string, name: CodeName, place: string): void {
  const errors = problemsOf(text).filter((line) => !line.startsWith("warning"));
  expect(errors.length === 1 ? errors[0] : errors).toStartWith(`${name} ${place}`);
  expect(parseDocuments(text, "x.yaml").resources).toEqual([]);
}

type Spec = Record<string, unknown>;

/** A test for each spec that is accepted, named by what it has. */
export function accepts(kind: Kind, cases: Record<string, Spec>, metadata: Spec = {}) {
  for (const [name, spec] of Object.entries(cases))
    test(`${kind} may have ${name}`, () => expectAccepted(documentWith(kind, spec, metadata)));
}

/** A test for each spec that is refused: [spec, the name of the code, the place that the message begins with]. */
export function refuses(kind: Kind, cases: Record<string, [Spec, CodeName, string]>, metadata: Spec = {}) {
  for (const [name, [spec, code, place]] of Object.entries(cases)) {
    test(`${kind} may not have ${name}`, () => expectRefused(documentWith(kind, spec, metadata), code, place));
  }
}

/** A VirtualService in block style. */
export const ORDERS = `apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: orders
spec:
  hosts: [orders]
  http:
    - match:
        - uri: {prefix: /v2}
      route:
        - destination:
            host: orders
            subset: v2
    - route:
        - destination: {host: orders}
          weight: 1
`;
