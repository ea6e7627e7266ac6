/** Whether what a rule of the analysis looked at is still the same. */
import { changedKeys } from "../../lib/persistent-map.ts";
import type { Kind } from "../../model/resource.ts";
import type { OutboundView } from "../outbound.ts";
import type { Endpoint, Mesh, Workload } from "../types.ts";
import type { Reads, Subject } from "./context.ts";

/** Each part is compared once. `addresses`: whether those of workloads count. */
export function comparison(before: Subject, now: Subject): (reads: Reads, addresses: boolean) => boolean {
  const kinds = new Map<Kind, boolean>();
  const parts = new Map<keyof Mesh, boolean>();
  const sameKind = (kind: Kind) => {
    const known = kinds.get(kind) ?? before.set.of(kind) === now.set.of(kind);
    kinds.set(kind, known);
    return known;
  };
  const samePart = (part: keyof Mesh) => {
    const known = parts.get(part) ?? (before.mesh[part] === now.mesh[part] || sameBesidesAddresses(part, before.mesh, now.mesh));
    parts.set(part, known);
    return known;
  };
  return ({ kinds: readKinds, parts: readParts }, addresses) =>
    [...readKinds].every(sameKind) && [...readParts].every((part) => (addresses ? before.mesh[part] === now.mesh[part] : samePart(part)));
}

function sameBesidesAddresses(part: keyof Mesh, before: Mesh, now: Mesh): boolean {
  if (part === "workloads") return sameValues(before.workloads, now.workloads, sameWorkload);
  if (part === "endpoints") return sameValues(before.endpoints, now.endpoints, sameEndpoints);
  // A view's assignments are the endpoints again.
  if (part === "outbound") return sameViews(before.outbound, now.outbound);
  return false;
}

function sameValues<V>(before: ReadonlyMap<string, V>, now: ReadonlyMap<string, V>, same: (a: V, b: V) => boolean): boolean {
  return changedKeys(before, now).every((key) => {
    const [a, b] = [before.get(key), now.get(key)];
    return a !== undefined && b !== undefined && same(a, b);
  });
}

function sameWorkload(a: Workload, b: Workload): boolean {
  return Bun.deepEquals({ ...a, address: "" }, { ...b, address: "" });
}

function sameEndpoints(a: readonly Endpoint[], b: readonly Endpoint[]): boolean {
  return a.length === b.length && a.every((one, at) => Bun.deepEquals({ ...one, address: "" }, { ...b[at], address: "" }));
}

function sameViews(before: Mesh["outbound"], now: Mesh["outbound"]): boolean {
  if (before.size !== now.size) return false;
  const pairs = new Map<OutboundView, OutboundView>();
  for (const [key, view] of now) {
    const old = before.get(key);
    if (!old || (pairs.get(view) ?? old) !== old) return false;
    pairs.set(view, old);
  }
  return [...pairs].every(([{ assignments: _, ...a }, { assignments: __, ...b }]) =>
    Object.entries(a).every(([field, value]) => b[field as keyof typeof b] === value),
  );
}
