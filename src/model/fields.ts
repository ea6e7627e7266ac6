/** The fields of a kind, read from its schema: for the compatibility table, and for the test that none is accepted and ignored. */
import type * as v from "valibot";
import type { ObjectFacts } from "./schema.ts";

export interface Field {
  /** From spec: "http", "[]" for a list's items, "{}" for a mapping's values under any key. */
  readonly path: readonly string[];
  /** What holds for its value; undefined for a field that is refused by name. */
  readonly schema?: v.GenericSchema;
  readonly status: "translated" | "not-yet" | "kubernetes-only";
  /** For what is refused: why, or what to write instead. */
  readonly reason?: string;
  readonly required: boolean;
  /** For a translated field of a few fixed words. */
  readonly choices?: readonly string[];
  /** Istio's other words, which are refused, each with its reason. */
  readonly laterChoices?: Readonly<Record<string, string | undefined>>;
}

type Described = v.GenericSchema & {
  readonly type: string;
  readonly entries?: Readonly<Record<string, v.GenericSchema>>;
  readonly item?: v.GenericSchema;
  readonly value?: v.GenericSchema;
  readonly wrapped?: v.GenericSchema;
  readonly options?: readonly string[];
  readonly later?: Readonly<Record<string, string | undefined>>;
} & Partial<ObjectFacts>;

/** All fields under `schema`, in its order; a list's items and a mapping's values are steps of a path, not fields of their own. */
export function fieldsOf(schema: v.GenericSchema, path: readonly string[] = []): readonly Field[] {
  const { entries, item, value, wrapped, refused, required } = schema as Described;
  if (wrapped) return fieldsOf(wrapped, path);
  if (item) return fieldsOf(item, [...path, "[]"]);
  if (!entries) return value ? fieldsOf(value, [...path, "{}"]) : [];
  const known = Object.entries(entries).flatMap(([name, entry]) => {
    const own = unwrapped(entry);
    const field: Field = {
      path: [...path, name],
      schema: own,
      status: "translated",
      required: required?.has(name) ?? false,
      choices: own.type === "picklist" ? own.options : undefined,
      laterChoices: own.later,
    };
    return [field, ...fieldsOf(own, field.path)];
  });
  const others = [...(refused ?? [])].map(([name, { help, kubernetesOnly }]): Field => {
    const status = kubernetesOnly ? "kubernetes-only" : "not-yet";
    return { path: [...path, name], status, reason: kubernetesOnly ?? help, required: false };
  });
  return [...known, ...others];
}

function unwrapped(schema: v.GenericSchema): Described {
  const { wrapped } = schema as Described;
  return wrapped ? unwrapped(wrapped) : (schema as Described);
}

/** What a schema's value is, in words: "string", "list of strings", "mapping of numbers", "object". */
export function typeOf(schema: v.GenericSchema): string {
  const { type, item, value, options } = unwrapped(schema);
  if (item) return `list of ${plural(typeOf(item))}`;
  if (value) return `mapping of ${plural(typeOf(value))}`;
  if (options) return "word";
  return type === "strict_object" ? "object" : type;
}

const plural = (word: string) =>
  (word.startsWith("list") ? word.replace("list", "lists") : word.replace("mapping", "mappings")).replace(
    /^(string|number|boolean|object|word)$/,
    "$1s",
  );

/** "http[].match[].headers.*.exact" */
export function fieldName({ path }: Pick<Field, "path">): string {
  return path.reduce((text, step) => (step === "[]" ? `${text}[]` : `${text}${text ? "." : ""}${step === "{}" ? "*" : step}`), "");
}
