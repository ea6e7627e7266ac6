/** From untrusted text to validated resources, with every problem of the text at its line and column. */
import type { Problem } from "../lib/problem.ts";
import { CODES, type CodeName, problem } from "./codes.ts";
import { parseResource } from "./parse-resource.ts";
import type { AnyResource } from "./resource.ts";
import { resourceKey } from "./resource.ts";
import { isMapping } from "./schema.ts";
import { type RawDocument, readYaml } from "./yaml-reader.ts";

/** As many problems as one input gets: a file full of nonsense must not become a bigger answer. */
export const MAX_PROBLEMS = 1000;

/**
 * All resources and problems of `text`: YAML with any number of documents, or JSON; a List is its items. A resource with an error is
 * left out of `resources`. `file` names the text in problems and provenance ("mesh.yaml", "<stdin>", "<http>").
 */
export function parseDocuments(text: string, file: string): ParsedDocuments {
  const steps = parseInSteps(text, file);
  for (;;) {
    const step = steps.next();
    if (step.done) return step.value;
  }
}

export interface ParsedDocuments {
  readonly resources: AnyResource[];
  readonly problems: Problem[];
}

/** As parseDocuments, but it yields every few milliseconds: megabytes take seconds, and a server has other work too. */
export function* parseInSteps(text: string, file: string): Generator<void, ParsedDocuments> {
  const { documents, problems } = yield* readYaml(text, file);
  const resources: AnyResource[] = [];
  const seen = new Map<string, AnyResource>();
  for (const raw of documents.flatMap((document) => itemsOf(document, file, problems))) {
    yield;
    const parsed = parseResource(raw, file);
    problems.push(...parsed.problems);
    if (!parsed.resource) continue;
    const duplicate = duplicateOf(parsed.resource, seen, raw, file);
    if (duplicate) problems.push(duplicate);
    else resources.push(parsed.resource);
  }
  problems.sort((a, b) => a.line - b.line || a.column - b.column);
  if (problems.length > MAX_PROBLEMS) {
    const message = `there are ${problems.length - MAX_PROBLEMS} more problems after these`;
    const { line, column } = problems[MAX_PROBLEMS] ?? { line: 1, column: 1 };
    problems.splice(MAX_PROBLEMS, problems.length, problem("syntax", { message, file, line, column }));
  }
  return { resources, problems };
}

/** A List (kubectl's, or a typed one such as VirtualServiceList) as its items. */
function itemsOf(raw: RawDocument, file: string, problems: Problem[]): RawDocument[] {
  const { value, places } = raw;
  if (!isMapping(value) || typeof value.kind !== "string" || !value.kind.endsWith("List")) return [raw];
  for (const key of Object.keys(value)) {
    if (["apiVersion", "kind", "metadata", "items"].includes(key)) continue;
    problems.push(problem("unknownField", { message: `${key} is no field of a List`, file, ...places.find([key], true) }));
  }
  const { items } = value;
  if (!Array.isArray(items)) {
    problems.push(problem("wrongType", { message: "items: a List needs a list of resources here", file, ...places.find(["items"]) }));
    return [];
  }
  const split = places.split("items");
  return items.flatMap((item: unknown, index) => {
    const own = split[index];
    return own ? [{ value: item, places: own }] : [];
  });
}

/** Two resources of one name, or two MeshConfigs: there is one mesh. */
function duplicateOf(resource: AnyResource, seen: Map<string, AnyResource>, raw: RawDocument, file: string): Problem | undefined {
  const { kind, metadata } = resource;
  const { name, namespace } = metadata;
  const key = kind === "MeshConfig" ? kind : resourceKey(kind, namespace, name);
  const first = seen.get(key);
  if (!first) {
    seen.set(key, resource);
    return undefined;
  }
  const line = first.source.lines[""] ?? 1;
  const message =
    kind === "MeshConfig"
      ? `there is a MeshConfig in line ${line} already; a mesh has one`
      : `${kind} ${namespace}/${name} is in line ${line} already`;
  return problem("duplicateResource", {
    message,
    file,
    ...raw.places.find([]),
    help: "keep one of the two",
    resource: { kind, namespace, name },
  });
}

/** The text in `bytes`, or the problem with the place of the first byte that is not UTF-8. */
export function decodeUtf8(bytes: Uint8Array, file: string): { readonly text: string } | { readonly problem: Problem } {
  try {
    return { text: new TextDecoder("utf-8", { fatal: true }).decode(bytes) };
  } catch {
    const name: CodeName = "notUtf8";
    const offset = firstInvalid(bytes);
    const before = new TextDecoder().decode(bytes.subarray(0, offset)).split("\n");
    const byte = (bytes[offset] ?? 0).toString(16).padStart(2, "0");
    const message = `the input is not UTF-8: byte 0x${byte} at offset ${offset} belongs to no character`;
    return {
      problem: problem(name, { message, file, line: before.length, column: (before.at(-1) ?? "").length + 1, help: CODES[name].mend }),
    };
  }
}

/** The offset of the first byte that is not part of valid UTF-8: the longest valid prefix, found by halving. */
function firstInvalid(bytes: Uint8Array): number {
  const valid = (length: number) => {
    try {
      // `stream` accepts a character that is cut off at the end.
      new TextDecoder("utf-8", { fatal: true }).decode(bytes.subarray(0, length), { stream: true });
      return true;
    } catch {
      return false;
    }
  };
  let low = 0;
  let high = bytes.length;
  while (low < high) {
    const middle = Math.ceil((low + high) / 2);
    if (valid(middle)) low = middle;
    else high = middle - 1;
  }
  if (low < bytes.length) return low;
  // Everything is valid but a last character that is cut off: the place is its first byte.
  while (low > 0 && ((bytes[low - 1] ?? 0) & 0xc0) === 0x80) low--;
  return Math.max(0, low - 1);
}
