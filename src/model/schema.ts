/**
 * The building blocks of every kind's schema: valibot schemas that collect all problems at once, know which fields exist but are not
 * translated yet, and suggest a name for those that do not exist. Values pass unchanged: what is validated is what the user wrote.
 */
import * as v from "valibot";
import type { CodeName } from "./codes.ts";
import { type Dataset, isMapping, pathItem, type Report, refuseType, reporter, withRun } from "./schema-core.ts";
import { nearest } from "./suggest.ts";

export { type Finding, isMapping, type Path, type Report } from "./schema-core.ts";
export { choice, flag, integer, number, text, uint32, uint64 } from "./schema-leaf.ts";

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

/** A field that Istio documents and weft does not translate: refused by name. */
export interface NotYet {
  readonly notYet: true;
  /** What to do instead, or why. */
  readonly help?: string;
  /** Why it never will be, for what makes sense with Kubernetes only. */
  readonly kubernetesOnly?: string;
}

export const notYet = (help?: string): NotYet => ({ notYet: true, help });

/** A field that means something with Kubernetes only; `reason` says why, `help` what to write instead. */
export const kubernetesOnly = (reason: string, help?: string): NotYet => ({ notYet: true, kubernetesOnly: reason, help });

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
  /** What to say instead, of what the mapping has besides. */
  readonly beside?: (value: Readonly<Record<string, unknown>>) => Missing | undefined;
}

export const needed = <S extends v.GenericSchema>(schema: S, missing?: Missing): Needed<S> => ({ needed: true, schema, missing });

/** Of one mapping, told by name: each is compared with all that are known, and who sends 60,000 must not keep everybody waiting. */
const MOST_UNKNOWN_FIELDS = 50;

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
  const base = Object.assign(v.strictObject(shape) as unknown as ObjectSchema<E>, { refused, required });
  return withRun(base, (dataset, config) => {
    const { value } = dataset;
    if (!isMapping(value)) return refuseType(dataset, "a mapping");
    dataset.typed = true;
    const report = reporter(dataset);
    const misspelt = new Set<string>();
    let unknown = 0;
    for (const [key, part] of Object.entries(value)) {
      const schema = known.get(key);
      if (part === null && (schema || refused.has(key))) {
        // As Kubernetes does with it before anybody sees the resource (structural schemas: nulls of fields that are not nullable are pruned).
        delete value[key];
        report("surprising", "is empty, which is the same as leaving it out", { path: [key], atKey: true, severity: "warning" });
        continue;
      }
      if (schema) runPart(schema, dataset, key, part, config);
      else {
        const later = refused.get(key);
        if (later?.kubernetesOnly)
          report("kubernetesOnly", `has a meaning on Kubernetes only: ${later.kubernetesOnly}`, {
            path: [key],
            atKey: true,
            help: later.help,
          });
        else if (later) report("notYet", "is not translated yet", { path: [key], atKey: true, help: later.help });
        else if (++unknown <= MOST_UNKNOWN_FIELDS) {
          const names = [...known.keys(), ...refused.keys()];
          misspelt.add(nearest(key, names) ?? key);
          report("unknownField", "is no known field", { path: [key], atKey: true, help: suggestion(key, names) });
        }
      }
    }
    const more = unknown - MOST_UNKNOWN_FIELDS;
    if (more > 0) report("unknownField", `has ${more} more fields that are not known`, { help: "is it meant for another program?" });
    for (const [name, missing] of required) {
      if (Object.hasOwn(value, name)) continue;
      dataset.typed = false;
      // One mistake, one problem: it is there, under a name that was reported.
      const said = missing.beside?.(value) ?? missing;
      if (!misspelt.has(name)) report(said.name, said.message, { help: said.help });
    }
    if (dataset.typed) rules?.(value as v.InferOutput<ObjectSchema<E>>, report);
    return dataset;
  });
}

/** What an `object` schema knows besides its fields' schemas: the fields that it refuses by name, and those that must be there. */
export interface ObjectFacts {
  readonly refused: ReadonlyMap<string, NotYet>;
  readonly required: ReadonlyMap<string, Missing>;
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
