/** Names as users type them, and what the API calls by them. */

import { findKind, KINDS } from "../model/index.ts";
import type { Kind } from "../model/resource.ts";
import { UsageError } from "./verb.ts";

/** For messages: every kind with its short name. */
export const KIND_NAMES = Object.values(KINDS)
  .map(({ kind, shortNames }) => (shortNames.length > 0 ? `${kind} (${shortNames.join(", ")})` : kind))
  .join(", ");

export const parseText = (input: string) => input;

/** Any of a kind's names ("vs", "virtualservices"). @throws UsageError with a suggestion */
export function parseKind(text: string): Kind {
  const { found, later, suggestion } = findKind(text);
  if (found) return found.kind;
  if (later) throw new UsageError(`${later} is a kind of Istio's that weft does not translate yet`, `it takes: ${KIND_NAMES}`);
  throw new UsageError(`There is no kind "${text}"${suggestion ? `: did you mean ${suggestion}?` : ""}`, `kinds: ${KIND_NAMES}`);
}

/** Kinds for the shell's completion. */
export const proposeKinds = (partial: string) =>
  Object.values(KINDS)
    .map((info) => info.kind.toLowerCase())
    .filter((kind) => kind.startsWith(partial.toLowerCase()));

/** "NS/NAME", or "NAME" in namespace default. @throws UsageError */
export function parseWorkload(text: string): { readonly namespace: string; readonly name: string } {
  const parts = text.split("/");
  const [namespace, name] = parts.length === 1 ? ["default", parts[0]] : parts;
  if (parts.length > 2 || !namespace || !name) throw new UsageError(`"${text}" names no workload: write NAME or NAMESPACE/NAME`);
  return { namespace, name };
}

/** The API's path of a resource. */
export function resourcePath(id: { readonly kind: string; readonly namespace: string; readonly name: string }): string {
  return `/v1/resources/${[id.kind, id.namespace, id.name].map(encodeURIComponent).join("/")}`;
}

export const namespaceFlag = { kind: "parsed", parse: parseText, optional: true, placeholder: "NS" } as const;
