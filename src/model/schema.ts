/**
 * The building blocks of every kind's schema: valibot schemas that collect all problems at once, know which fields exist but are not
 * translated yet, and suggest a name for those that do not exist. Values pass unchanged: what is validated is what the user wrote.
 */
import * as v from "valibot";
import { CODES, type CodeName } from "./codes.ts";
import { nearest } from "./suggest.ts";

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

type Dataset = { value: unknown; typed?: boolean; issues?: v.BaseIssue<unknown>[] };

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

const pathItem = (key: string | number) => ({ type: "unknown", origin: "value", input: undefined, key, value: undefined });

function reporter(dataset: Dataset): Report {
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
function refuseType(dataset: Dataset, expected: string): Dataset {
  dataset.typed = false;
  const { value } = dataset;
  if (value === null) {
    reporter(dataset)("wrongType", `is empty, but must be ${expected}`, { help: "leave the field out, or give it a value" });
  } else {
    const help = typeof value === "object" ? undefined : HELP[expected];
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

type Run = (dataset: Dataset, config: v.Config<v.BaseIssue<unknown>>) => Dataset;

/** `base` (for its type and its JSON schema) with another way to run. */
function withRun<S extends v.GenericSchema>(base: S, run: Run): S {
  return { ...base, "~run": run } as S;
}

/** Runs `schema` on a part of the value, and takes over its issues with `key` in front of their path. */
function runPart(schema: v.GenericSchema, dataset: Dataset, key: string | number, value: unknown, config: v.Config<v.BaseIssue<unknown>>) {
  const part = schema["~run"]({ value }, config) as Dataset;
  if (!part.typed) dataset.typed = false;
  if (!part.issues) return;
  for (const issue of part.issues) {
    const path = issue.path as unknown as unknown[] | undefined;
    if (path) path.unshift(pathItem(key));
    else (issue as { path?: unknown }).path = [pathItem(key)];
  }
  if (dataset.issues) dataset.issues.push(...part.issues);
  else dataset.issues = part.issues;
}

/** A field that Istio documents and weft does not translate yet: refused by name. */
export interface NotYet {
  readonly notYet: true;
  /** What to do instead, or why. */
  readonly help?: string;
}

export const notYet = (help?: string): NotYet => ({ notYet: true, help });

/** A field that must be there. */
export interface Needed<S extends v.GenericSchema> {
  readonly needed: true;
  readonly schema: S;
  readonly missing?: Missing;
}

/** What to say where a needed field is missing, instead of "needs NAME". */
export interface Missing {
  readonly name: CodeName;
  readonly message: string;
  readonly help?: string;
}

export const needed = <S extends v.GenericSchema>(schema: S, missing?: Missing): Needed<S> => ({ needed: true, schema, missing });

type Entry = v.GenericSchema | NotYet | Needed<v.GenericSchema>;

type Known<E> = {
  [K in keyof E as E[K] extends NotYet ? never : K]: E[K] extends Needed<infer S>
    ? S
    : E[K] extends v.GenericSchema
      ? v.OptionalSchema<E[K], undefined>
      : never;
};

export type ObjectSchema<E> = v.StrictObjectSchema<Known<E>, undefined>;

const isNotYet = (entry: Entry): entry is NotYet => "notYet" in entry;
const isNeeded = (entry: Entry): entry is Needed<v.GenericSchema> => "needed" in entry;

/**
 * A mapping with exactly these fields, all optional unless `needed`. `rules` looks at how fields go together; it runs when every field
 * has the right type, even if another part of the document has not.
 */
export function object<const E extends Record<string, Entry>>(
  entries: E,
  rules?: (value: v.InferOutput<ObjectSchema<E>>, report: Report) => void,
): ObjectSchema<E> {
  const known = new Map<string, v.GenericSchema>();
  const refused = new Map<string, NotYet>();
  const required = new Map<string, Missing>();
  const shape: Record<string, v.GenericSchema> = {};
  for (const [name, entry] of Object.entries(entries)) {
    if (isNotYet(entry)) refused.set(name, entry);
    else if (isNeeded(entry)) {
      known.set(name, entry.schema);
      required.set(name, entry.missing ?? { name: "missing", message: `needs ${name}` });
      shape[name] = entry.schema;
    } else {
      known.set(name, entry);
      shape[name] = v.optional(entry);
    }
  }
  const base = v.strictObject(shape) as unknown as ObjectSchema<E>;
  return withRun(base, (dataset, config) => {
    const { value } = dataset;
    if (!isMapping(value)) return refuseType(dataset, "a mapping");
    dataset.typed = true;
    const report = reporter(dataset);
    for (const [key, part] of Object.entries(value)) {
      const schema = known.get(key);
      if (schema) runPart(schema, dataset, key, part, config);
      else {
        const later = refused.get(key);
        if (later) report("notYet", "is not translated yet", { path: [key], atKey: true, help: later.help });
        else
          report("unknownField", "is no known field", {
            path: [key],
            atKey: true,
            help: suggestion(key, [...known.keys(), ...refused.keys()]),
          });
      }
    }
    for (const [name, missing] of required) {
      if (Object.hasOwn(value, name)) continue;
      dataset.typed = false;
      report(missing.name, missing.message, { help: missing.help });
    }
    if (dataset.typed) rules?.(value as v.InferOutput<ObjectSchema<E>>, report);
    return dataset;
  });
}

/** "did you mean hosts?", or what there is. */
export function suggestion(word: string, known: readonly string[]): string {
  const near = nearest(word, known);
  return near ? `did you mean ${near}?` : `known here: ${[...known].sort().join(", ")}`;
}

/** A list of `item`s. */
export function list<S extends v.GenericSchema>(
  item: S,
  rules?: (value: v.InferOutput<S>[], report: Report) => void,
): v.ArraySchema<S, undefined> {
  return withRun(v.array(item), (dataset, config) => {
    const { value } = dataset;
    if (!Array.isArray(value)) return refuseType(dataset, "a list");
    dataset.typed = true;
    for (const [index, part] of value.entries()) runPart(item, dataset, index, part, config);
    if (dataset.typed) rules?.(value, reporter(dataset));
    return dataset;
  });
}

/** A mapping from any key to `item`s. `rules` also judges the keys. */
export function map<S extends v.GenericSchema>(
  item: S,
  rules?: (value: Record<string, v.InferOutput<S>>, report: Report) => void,
): v.RecordSchema<v.StringSchema<undefined>, S, undefined> {
  return withRun(v.record(v.string(), item), (dataset, config) => {
    const { value } = dataset;
    if (!isMapping(value)) return refuseType(dataset, "a mapping");
    dataset.typed = true;
    for (const [key, part] of Object.entries(value)) runPart(item, dataset, key, part, config);
    if (dataset.typed) rules?.(value as Record<string, v.InferOutput<S>>, reporter(dataset));
    return dataset;
  });
}

function leaf<S extends v.GenericSchema>(
  base: S,
  is: (value: unknown) => boolean,
  expected: string,
  rules?: (value: v.InferOutput<S>, report: Report) => void,
): S {
  return withRun(base, (dataset) => {
    if (!is(dataset.value)) return refuseType(dataset, expected);
    dataset.typed = true;
    rules?.(dataset.value as v.InferOutput<S>, reporter(dataset));
    return dataset;
  });
}

/** A string; `rules` judges its syntax. */
export const text = (rules?: (value: string, report: Report) => void) => leaf(v.string(), (x) => typeof x === "string", "a string", rules);

export const flag = () => leaf(v.boolean(), (x) => typeof x === "boolean", "true or false");

/** Any finite number. */
export const number = (rules?: (value: number, report: Report) => void) =>
  leaf(v.number(), (x) => typeof x === "number" && Number.isFinite(x), "a number", rules);

/** A whole number from `min` to `max`, both included. The defaults are protobuf's int32. */
export const integer = (min = -(2 ** 31), max = 2 ** 31 - 1) =>
  leaf(
    v.pipe(v.number(), v.integer(), v.minValue(min), v.maxValue(max)),
    (x) => typeof x === "number" && Number.isInteger(x),
    "a whole number",
    (x, report) => {
      if (x < min || x > max) report("outOfRange", `must be from ${min} to ${max}, not ${x}`);
    },
  );

/** protobuf's uint32. */
export const uint32 = () => integer(0, 2 ** 32 - 1);

/** A uint64, as far as JSON numbers are exact. */
export const uint64 = () => integer(0, Number.MAX_SAFE_INTEGER);

/** One of `values`. Those in `later` are Istio's too, but not translated yet: refused with the reason given there. */
export function choice<const V extends readonly string[]>(
  values: V,
  later: Readonly<Record<string, string | undefined>> = {},
): v.PicklistSchema<V, undefined> {
  const base = v.picklist(values);
  return withRun(base, (dataset) => {
    const { value } = dataset;
    dataset.typed = false;
    if (typeof value !== "string") return refuseType(dataset, `one of ${values.join(", ")}`);
    if (values.includes(value)) dataset.typed = true;
    else if (Object.hasOwn(later, value)) reporter(dataset)("notYet", `${value} is not translated yet`, { help: later[value] });
    else {
      const near = nearest(value, [...values, ...Object.keys(later)]);
      reporter(dataset)("notOneOf", `must be one of ${values.join(", ")}, not ${JSON.stringify(value)}`, {
        help: near && `did you mean ${near}?`,
      });
    }
    return dataset;
  });
}
