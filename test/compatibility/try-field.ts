/** Sets one field of a kind in a fixed mesh, and tells whether any proxy's configuration changed. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { formatProblem } from "../../src/lib/problem.ts";
import { buildMesh } from "../../src/mesh/build.ts";
import { jwksNeeds } from "../../src/mesh/request-authentication.ts";
import { type Field, fieldName, fieldsOf } from "../../src/model/fields.ts";
import { apiVersionsOf, KINDS, type KindInfo } from "../../src/model/kinds.ts";
import { parseDocuments } from "../../src/model/parse.ts";
import type { Kind } from "../../src/model/resource.ts";
import { buildSnapshot } from "../../src/xds/snapshot.ts";
import { BASE, type Json, SAMPLES, type Sample } from "./samples.ts";
import { instancesOf } from "./workload-group-samples.ts";

const MESH = readFileSync(join(import.meta.dir, "mesh.yaml"), "utf8");

export interface Outcome {
  readonly result: "changed" | "same" | "refused";
  /** The resource that was tried, and what was said of it. */
  readonly detail: string;
}

type Tree = Record<string, unknown>;

export function sampleFor(kind: Kind, field: Field): Sample {
  const name = `${kind}.${fieldName(field)}`;
  return SAMPLES.find(([pattern]) => pattern.test(name))?.[1] ?? {};
}

/** Values to try: each word of a choice, else the sample, else something of the type. */
export function valuesFor(kind: Kind, field: Field): readonly unknown[] {
  const { value } = sampleFor(kind, field);
  if (value !== undefined) return [value];
  if (field.choices) return field.choices;
  return [anyValue(field.schema)];
}

function anyValue(schema: Field["schema"]): unknown {
  const { type, item } = schema as unknown as { readonly type: string; readonly item?: Field["schema"] };
  if (item) return [anyValue(item)];
  if (type === "boolean") return true;
  if (type === "number") return 3;
  if (type === "record") return { sample: "sample" };
  if (type === "strict_object") return {};
  return "sample";
}

/** The fields to try: those that hold a value themselves, rather than other fields. */
export function leavesOf(kind: Kind): readonly Field[] {
  const fields = fieldsOf(KINDS[kind].schema).filter(({ status }) => status === "translated");
  const parents = new Set(fields.flatMap(({ path }) => path.slice(0, -1).map((_, at) => path.slice(0, at + 1).join("."))));
  return fields.filter(({ path }) => !parents.has(path.join(".")));
}

export function tryField(kind: Kind, field: Field, value: unknown): Outcome {
  const sample = sampleFor(kind, field);
  const after = specWith(kind, field, sample, value);
  const detail = JSON.stringify(after);
  const found = outputOf(kind, after, sample);
  if ("refused" in found) return { result: "refused", detail: `${detail}\n${found.refused}` };
  const before = baseline(kind, field, sample);
  return { result: before === found.output ? "same" : "changed", detail };
}

/** The output without the field: with as much of what is around it as can stand without it. */
function baseline(kind: Kind, field: Field, sample: Sample): string {
  const around = outputOf(kind, specWith(kind, field, sample, undefined), sample);
  if ("output" in around) return around.output;
  const base = outputOf(kind, sample.base ?? BASE[kind] ?? {}, sample);
  if ("output" in base) return base.output;
  // One of several of which one must be there: the kind's base has another.
  const other = outputOf(kind, BASE[kind] ?? {}, sample);
  if ("output" in other) return other.output;
  throw new Error(`the base of ${kind}.${fieldName(field)} is refused: ${base.refused}`);
}

/** A fresh spec in which the field has `value`; undefined leaves it out, with what is around it there. */
function specWith(kind: Kind, field: Field, sample: Sample, value: unknown): Tree {
  const spec = structuredClone(sample.base ?? BASE[kind] ?? {}) as Tree;
  const needed = neededBeside(kind, field);
  let at: Tree | unknown[] = spec;
  let walked: string[] = [];
  for (const [index, step] of field.path.slice(0, -1).entries()) {
    const next = field.path[index + 1];
    const key: string | number = step === "[]" ? 0 : step === "{}" ? keyFor(walked) : step;
    walked = [...walked, step];
    const holder = at as Record<string | number, unknown>;
    if (holder[key] === undefined) {
      const isObject = next !== "[]" && next !== "{}";
      holder[key] = next === "[]" ? [] : isObject ? structuredClone(needed.get(walked.join(".")) ?? {}) : {};
    }
    at = holder[key] as Tree;
  }
  const last = field.path.at(-1) ?? "";
  const holder = at as Tree;
  const forValue = typeof value === "string" ? sample.besideValue?.[value] : undefined;
  for (const [name, other] of Object.entries({ ...sample.beside, ...forValue })) holder[name] = structuredClone(other);
  if (value === undefined) delete holder[last];
  else holder[last] = value;
  return JSON.parse(JSON.stringify(spec)) as Tree;
}

/** A key for a mapping that may have any. */
function keyFor(walked: readonly string[]): string {
  return walked.includes("portLevelMtls") ? "8080" : "x-sample";
}

/** By path of an object around the field: its other fields that must be there. */
function neededBeside(kind: Kind, field: Field): ReadonlyMap<string, Json> {
  const found = new Map<string, Tree>();
  for (const other of fieldsOf(KINDS[kind].schema)) {
    if (!other.required) continue;
    const parent = other.path.slice(0, -1).join(".");
    if (!field.path.join(".").startsWith(parent)) continue;
    const name = other.path.at(-1) ?? "";
    const [value] = valuesFor(kind, other);
    found.set(parent, { ...found.get(parent), [name]: nested(kind, other, value) });
  }
  return found;
}

/** An object that must be there holds what must be there in it. */
function nested(kind: Kind, field: Field, value: unknown): unknown {
  const inner = fieldsOf(KINDS[kind].schema).filter(
    (other) => other.required && other.path.length === field.path.length + 1 && field.path.every((step, at) => other.path[at] === step),
  );
  return inner.length === 0
    ? value
    : Object.fromEntries(inner.map((other) => [other.path.at(-1) ?? "", nested(kind, other, valuesFor(kind, other)[0])]));
}

function outputOf(kind: Kind, spec: Json, sample: Sample): { readonly output: string } | { readonly refused: string } {
  const { isFlat } = KINDS[kind] as KindInfo;
  const [apiVersion] = apiVersionsOf(KINDS[kind]);
  const namespace = kind === "MeshConfig" || kind === "TrustDomain" ? "weft-system" : "default";
  const creationTimestamp = "2026-02-02T00:00:00Z";
  const body = isFlat ? (spec as object) : { spec };
  const document = { apiVersion, kind, metadata: { name: "x", namespace, creationTimestamp }, ...body };
  const { resources, problems } = parseDocuments(
    [MESH, ...(sample.documents ? [sample.documents] : []), JSON.stringify(document)].join("\n---\n"),
    "x",
  );
  const errors = problems.filter(({ severity }) => severity === "error");
  if (errors.length > 0) return { refused: errors.map(formatProblem).join("\n") };
  const { entries, probes } = instancesOf(resources);
  const mesh = buildMesh([...resources, ...entries], { revision: 1, trustDomain: "mesh.local" });
  const output = [...mesh.workloads.keys()].map((key) => {
    const snapshot = buildSnapshot(mesh, key, []);
    return [...(snapshot?.resources ?? [])].map(([type, byName]) => [
      type,
      [...byName].map(([name, { version }]) => [name, version]).sort(),
    ]);
  });
  const processes = [...mesh.processes].map(([key, { concurrency, environment }]) => [key, concurrency, environment]);
  const federation = mesh.federation.map(({ source: _, ...domain }) => domain);
  const registrations = mesh.registrations.map(({ spiffeId, unix, hint }) => [spiffeId, unix, hint]);
  // What weft itself fetches counts too (a rule's timeout is for that), and how Envoy's process is started.
  return {
    output: JSON.stringify([[...mesh.workloads.keys()], output, probes, [...jwksNeeds(mesh)], processes, registrations, federation]),
  };
}
