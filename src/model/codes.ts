import type { Problem } from "../lib/problem.ts";
import { COMBINATIONS_CODES } from "./codes/combinations.ts";
import type { CodeEntry } from "./codes/entry.ts";
import { MESH_CODES } from "./codes/mesh.ts";
import { SHAPE_CODES } from "./codes/shape.ts";
import { TEXT_CODES } from "./codes/text.ts";
import { VALUES_CODES } from "./codes/values.ts";
import { WARNINGS_CODES } from "./codes/warnings.ts";

import { nearest } from "./suggest.ts";

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

/** The entry of "WF0102", whatever its case; "102" and "wf102" mean it too. */
export function findCode(code: string): CodeEntry | undefined {
  const number = /^(?:WF)?(\d{1,4})$/i.exec(code.trim())?.[1];
  const wanted = `WF${number?.padStart(4, "0")}`;
  return Object.values(CODES).find((entry) => entry.code === wanted);
}

/** The code that was meant: by its digits, or by the name of what it finds. */
export function suggestCode(text: string): string | undefined {
  const codes = Object.values(CODES);
  const name = nearest(text, Object.keys(CODES)) as CodeName | undefined;
  return (
    nearest(
      text.toUpperCase(),
      codes.map(({ code }) => code),
    ) ??
    (name && CODES[name].code)
  );
}

/** A problem of the catalogue; an error unless told. */
export function problem(
  name: CodeName,
  finding: Omit<Problem, "code" | "severity"> & { readonly severity?: Problem["severity"] },
): Problem {
  return { ...finding, code: CODES[name].code, severity: finding.severity ?? "error" };
}
