import type { Problem } from "../lib/problem.ts";
import { COMBINATIONS_CODES } from "./codes/combinations.ts";
import type { CodeEntry } from "./codes/entry.ts";
import { MESH_CODES } from "./codes/mesh.ts";
import { SHAPE_CODES } from "./codes/shape.ts";
import { TEXT_CODES } from "./codes/text.ts";
import { VALUES_CODES } from "./codes/values.ts";
import { WARNINGS_CODES } from "./codes/warnings.ts";

export type { CodeEntry } from "./codes/entry.ts";

/**
 * The catalogue of problems that weft finds in a user's input. A code, once released, keeps its meaning for good: new causes get new
 * codes. WF00xx is about the text and the envelope, WF01xx about the shape of a spec, WF02xx about values, WF03xx about how values go
 * together, WF04xx warnings about one document, WF05xx about documents together.
 */
export const CODES = {
  ...TEXT_CODES,
  ...SHAPE_CODES,
  ...VALUES_CODES,
  ...COMBINATIONS_CODES,
  ...WARNINGS_CODES,
  ...MESH_CODES,
} as const satisfies Record<string, CodeEntry>;

export type CodeName = keyof typeof CODES;

/** The entry of "WF0102", whatever its case. */
export function findCode(code: string): CodeEntry | undefined {
  const wanted = code.toUpperCase();
  return Object.values(CODES).find((entry) => entry.code === wanted);
}

/** A problem of the catalogue; an error unless told. */
export function problem(
  name: CodeName,
  finding: Omit<Problem, "code" | "severity"> & { readonly severity?: Problem["severity"] },
): Problem {
  return { ...finding, code: CODES[name].code, severity: finding.severity ?? "error" };
}
