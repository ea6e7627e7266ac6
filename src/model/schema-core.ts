/** What schemas do alike: report findings as valibot issues, and say what type a value should have had. */
import type * as v from "valibot";
import { CODES, type CodeName } from "./codes.ts";

/** What a schema says about a value: `requirement` of the valibot issue. */
export interface Finding {
  readonly name: CodeName;
  readonly severity: "error" | "warning";
  readonly help?: string;
  /** Whether the key is at fault rather than its value. */
  readonly atKey?: boolean;
}

export type Path = readonly (string | number)[];

/** Reports a problem of the value at hand, or of the part of it at `path`. */
export type Report = (
  name: CodeName,
  message: string,
  options?: { readonly path?: Path; readonly help?: string; readonly atKey?: boolean; readonly severity?: "error" | "warning" },
) => void;

export type Dataset = { value: unknown; typed?: boolean; issues?: v.BaseIssue<unknown>[] };

function addIssue(dataset: Dataset, message: string, finding: Finding, path: Path): void {
  const issue: v.BaseIssue<unknown> = {
    kind: "validation",
    type: CODES[finding.name].code,
    input: dataset.value,
    expected: null,
    received: "",
    message,
    requirement: finding,
  };
  if (path.length > 0) (issue as { path?: unknown }).path = path.map(pathItem);
  if (dataset.issues) dataset.issues.push(issue);
  else dataset.issues = [issue];
}

export const pathItem = (key: string | number) => ({ type: "unknown", origin: "value", input: undefined, key, value: undefined });

export function reporter(dataset: Dataset): Report {
  return (name, message, options = {}) =>
    addIssue(
      dataset,
      message,
      { name, severity: options.severity ?? "error", help: options.help, atKey: options.atKey },
      options.path ?? [],
    );
}

const HELP: Readonly<Record<string, string>> = {
  "a string": "put the value in quotes",
  "true or false": "write true or false, without quotes",
  "a whole number": "write digits only, without quotes",
};

/** A type mismatch, in words; null is named for what it is in YAML. */
export function refuseType(dataset: Dataset, expected: string): Dataset {
  dataset.typed = false;
  const { value } = dataset;
  if (value === null) {
    reporter(dataset)("wrongType", `is empty, but must be ${expected}`, { help: "leave the field out, or give it a value" });
  } else {
    const help = typeof value === "object" && expected !== "a string" ? undefined : HELP[expected];
    reporter(dataset)("wrongType", `must be ${expected}, not ${describe(value)}`, { help });
  }
  return dataset;
}

/** "a list", "a mapping", "the number 8080": for messages. */
export function describe(value: unknown): string {
  if (value === null) return "empty";
  if (Array.isArray(value)) return "a list";
  if (typeof value === "object") return "a mapping";
  if (typeof value === "string") return `the string ${JSON.stringify(value.length > 60 ? `${value.slice(0, 57)}...` : value)}`;
  return `the ${typeof value} ${String(value)}`;
}

export const isMapping = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

export type Run = (dataset: Dataset, config: v.Config<v.BaseIssue<unknown>>) => Dataset;

/** `base` (for its type and its JSON schema) with another way to run. */
export function withRun<S extends v.GenericSchema>(base: S, run: Run): S {
  return { ...base, "~run": run } as S;
}
