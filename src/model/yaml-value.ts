/** One YAML node as a JSON value, with the place of each part: what JSON cannot say is refused, and aliases cannot explode. */
import { type Document, isAlias, isMap, isPair, isScalar, isSeq, type Node, type Scalar, type YAMLMap } from "yaml";
import type { CodeName } from "./codes.ts";
import type { Places } from "./places.ts";

/** Parts that aliases may add to one input, all together. */
export const MAX_ALIASED_PARTS = 10_000;

export type Complain = (name: CodeName, offset: number, message: string, help?: string) => void;

export class ValueReader {
  #places: Places;
  #complain: Complain;
  #budget: { left: number };
  #anchors = new Map<string, Node>();
  /** Nodes that are being read: an alias to one of them would never end. */
  #open = new Set<unknown>();
  #inAlias = 0;

  /** `budget` is shared by all documents of an input. */
  constructor(places: Places, complain: Complain, budget: { left: number }) {
    this.#places = places;
    this.#complain = complain;
    this.#budget = budget;
  }

  document(document: Document.Parsed): unknown {
    return this.#read(document.contents, "", undefined);
  }

  #read(node: unknown, path: string, key: number | undefined): unknown {
    if (this.#inAlias > 0 && this.#budget.left-- <= 0) return null;
    if (isAlias(node)) return this.#alias(node.source, path, key, offsetOf(node));
    const value = offsetOf(node) ?? key ?? 0;
    this.#places.set(path, { value, key, collection: isMap(node) || isSeq(node) });
    if (node === null || node === undefined) return null;
    const anchor = (node as { anchor?: string }).anchor;
    if (anchor) this.#anchors.set(anchor, node as Node);
    if (isScalar(node)) return this.#scalar(node, value);
    this.#open.add(node);
    const read = isMap(node) ? this.#map(node, path) : isSeq(node) ? node.items.map((item, i) => this.#item(item, join(path, i))) : null;
    this.#open.delete(node);
    return read;
  }

  #item(node: unknown, path: string): unknown {
    const text = endsWithColon(node);
    if (text === undefined) return this.#read(node, path, undefined);
    this.#places.set(path, { value: offsetOf(node) ?? 0, collection: false });
    return text;
  }

  #alias(name: string, path: string, key: number | undefined, offset = 0): unknown {
    const target = this.#anchors.get(name);
    // The alias stands for the value: problems in it are shown where the alias is used.
    if (!target || this.#open.has(target)) {
      this.#places.set(path, { value: offset, key, collection: false });
      this.#complain(
        target ? "aliasBomb" : "syntax",
        offset,
        target ? `*${name} stands for something that contains it` : `*${name} has no anchor &${name}`,
      );
      return null;
    }
    const exhausted = this.#budget.left < 0;
    this.#inAlias++;
    const value = this.#read(target, path, key);
    this.#inAlias--;
    if (!exhausted && this.#budget.left < 0) this.#complain("aliasBomb", offset, `aliases stand for more than ${MAX_ALIASED_PARTS} values`);
    return value;
  }

  #scalar(node: Scalar, offset: number): unknown {
    const { value } = node;
    if (typeof value === "number") {
      if (!Number.isFinite(value)) this.#complain("unsupportedYaml", offset, `${node.source ?? value} is no number that JSON knows`);
      if (/^[-+]?0[0-9]+$/.test(node.source ?? "")) {
        const help = "write it without the leading zero, or in quotes";
        this.#complain("unsupportedYaml", offset, `${node.source} is octal in YAML 1.1 (Kubernetes), and decimal in YAML 1.2`, help);
      }
      return value;
    }
    if (value === null || typeof value === "string" || typeof value === "boolean") return value;
    this.#complain("unsupportedYaml", offset, "the value is neither string, number nor boolean");
    return null;
  }

  #map(node: YAMLMap, path: string): Record<string, unknown> {
    const result: Record<string, unknown> = {};
    const seen = new Map<string, number>();
    const merged: unknown[] = [];
    for (const pair of node.items) {
      if (!isPair(pair)) continue;
      const offset = offsetOf(pair.key) ?? 0;
      if (isScalar(pair.key) && pair.key.source === "<<" && pair.key.type === "PLAIN") {
        merged.push(pair.value);
        continue;
      }
      const key = isScalar(pair.key) ? String(pair.key.value) : undefined;
      if (key === undefined) this.#complain("unsupportedYaml", offset, "a key must be a string", "put templates such as {{ x }} in quotes");
      else if (key === "__proto__") this.#complain("unknownField", offset, "__proto__ is no field of any kind");
      else if (seen.has(key)) {
        const first = this.#places.position(seen.get(key) ?? 0).line;
        const next = path === "" && key === "apiVersion" ? "where another resource begins, a line with --- goes before it" : undefined;
        this.#complain("duplicateKey", offset, `${JSON.stringify(key)} occurs twice; the first is in line ${first}`, next);
      } else {
        seen.set(key, offset);
        result[key] = this.#read(pair.value, join(path, key), offset);
      }
    }
    for (const part of merged) this.#merge(part, path, result);
    return result;
  }

  /** YAML 1.1's merge key, which Kubernetes' users have: what is there already stays. */
  #merge(node: unknown, path: string, into: Record<string, unknown>): void {
    if (isSeq(node)) {
      for (const item of node.items) this.#merge(item, path, into);
      return;
    }
    const target = isAlias(node) ? this.#anchors.get(node.source) : node;
    if (!isMap(target) || this.#open.has(target)) {
      this.#complain("unsupportedYaml", offsetOf(node) ?? 0, "<< takes a mapping, or an alias of one");
      return;
    }
    this.#inAlias++;
    this.#open.add(target);
    for (const pair of target.items) {
      if (!isScalar(pair.key)) continue;
      const key = String(pair.key.value);
      if (pair.key.source === "<<" && pair.key.type === "PLAIN") this.#merge(pair.value, path, into);
      else if (key !== "__proto__" && !Object.hasOwn(into, key)) into[key] = this.#read(pair.value, join(path, key), offsetOf(pair.key));
    }
    this.#open.delete(target);
    this.#inAlias--;
    if (this.#budget.left < 0) this.#complain("aliasBomb", offsetOf(node) ?? 0, `aliases stand for more than ${MAX_ALIASED_PARTS} values`);
  }
}

/**
 * "2001:db8::" in [2001:db8::, 10.0.0.0/8]: a mapping without a value in YAML 1.2, but text to every tool of Kubernetes (YAML 1.1), which
 * is what such an address means.
 */
function endsWithColon(node: unknown): string | undefined {
  if (!isMap(node) || !node.flow || node.items.length !== 1 || node.range === undefined || node.range === null) return undefined;
  const [pair] = node.items;
  const { key, value } = pair ?? {};
  if (!isScalar(key) || key.type !== "PLAIN" || !isScalar(value) || value.value !== null || value.source !== "") return undefined;
  const end = key.range?.[1];
  // In braces, or with a space after the colon, it is a mapping.
  const isBare = node.range[0] === key.range?.[0] && end !== undefined && value.range?.[0] === end + 1 && node.range[1] === end + 1;
  return isBare ? `${key.source ?? ""}:` : undefined;
}

const join = (path: string, key: string | number) => (path === "" ? String(key) : `${path}.${key}`);

function offsetOf(node: unknown): number | undefined {
  const range = (node as { range?: readonly number[] | null } | null | undefined)?.range;
  return range?.[0];
}
