/** A patch as it is applied: decoded once, and what it touched on record, so that a NACK names it. */
import type { Message } from "@bufbuild/protobuf";
import { clone, type DescMessage, type JsonValue } from "@bufbuild/protobuf";
import { allMessages } from "../../envoy-api/index.ts";
import { PATCHED, readPatchValue } from "../../envoy-api/patch-value.ts";
import type { Provenance } from "../../lib/provenance.ts";
import type { EnvoyPatch } from "../../mesh/envoy-filters.ts";
import { memoize } from "../../mesh/memo.ts";
import { mergeMessage } from "./merge.ts";

export type Context = "SIDECAR_INBOUND" | "SIDECAR_OUTBOUND" | "GATEWAY";

export type ApplyTo = EnvoyPatch["applyTo"];

const decoded = memoize((patch: EnvoyPatch): { readonly message?: Message } => {
  try {
    const merging = patch.operation === "MERGE" || patch.operation === "MERGE_AND_REPLACE_LIST";
    return { message: patch.value && readPatchValue(patch.applyTo, patch.value as JsonValue, merging).message };
  } catch {
    // Validation refuses it; what a store holds from another weft, with other messages, is left out rather than failing the proxy.
    return {};
  }
});

/** The patches for one proxy, and which of them did something since. */
export class Patches {
  readonly #all: readonly EnvoyPatch[];
  readonly #context: Context;
  readonly #touched = new Set<Provenance>();

  constructor(all: readonly EnvoyPatch[], context: Context) {
    this.#all = all;
    this.#context = context;
  }

  get context(): Context {
    return this.#context;
  }

  /** In order; only those whose context is this side's. */
  of(applyTo: ApplyTo): readonly EnvoyPatch[] {
    return this.#all.filter((patch) => patch.applyTo === applyTo && isFor(patch, this.#context));
  }

  touch(patch: EnvoyPatch): void {
    this.#touched.add(patch.source);
  }

  get touched(): readonly Provenance[] {
    return [...this.#touched];
  }
}

function isFor({ match }: EnvoyPatch, context: Context): boolean {
  const asked = match.context ?? "ANY";
  return asked === "ANY" || asked === context;
}

/** A copy of the patch's value; undefined where it has none. */
export function patchValue<T extends Message>(patch: EnvoyPatch): T | undefined {
  const { message } = decoded(patch);
  return message && (clone(schemaOf(patch.applyTo), message) as T);
}

export function schemaOf(applyTo: ApplyTo): DescMessage {
  return allMessages().getMessage(PATCHED[applyTo]) as DescMessage;
}

export function isMerge({ operation }: EnvoyPatch): boolean {
  return operation === "MERGE" || operation === "MERGE_AND_REPLACE_LIST";
}

/** An insertion where there is no order adds (Istio, pilot/pkg/model/envoyfilter.go convertToEnvoyFilterWrapper). */
export function isAddition({ operation }: EnvoyPatch): boolean {
  return operation === "ADD" || operation.startsWith("INSERT_");
}

export function mergeValue(patch: EnvoyPatch, target: Message): boolean {
  const value = patchValue(patch);
  if (!value) return false;
  mergeMessage(schemaOf(patch.applyTo), target, value, patch.operation === "MERGE" ? "append" : "replace");
  return true;
}

/**
 * The operations of filters in a chain, that is of lists with an order. `named` says whether the match names one of them: without it an
 * insertion is at an end of the list, and REPLACE and REMOVE do nothing. True where something was done.
 */
export function patchList<T extends Message>(
  list: T[],
  patch: EnvoyPatch,
  { named, matches }: { readonly named: boolean; readonly matches: (item: T) => boolean },
): boolean {
  const { operation } = patch;
  if (operation === "REMOVE") {
    if (!named) return false;
    const kept = list.filter((item) => !matches(item));
    const removed = kept.length < list.length;
    list.splice(0, list.length, ...kept);
    return removed;
  }
  const value = patchValue<T>(patch);
  if (!value) return false;
  const at = named ? list.findIndex(matches) : -1;
  switch (operation) {
    case "ADD":
      list.push(value);
      return true;
    case "INSERT_FIRST":
      list.unshift(value);
      return true;
    case "INSERT_AFTER":
    case "INSERT_BEFORE": {
      if (named && at < 0) return false;
      if (!named) list.splice(operation === "INSERT_AFTER" ? list.length : 0, 0, value);
      else list.splice(operation === "INSERT_AFTER" ? at + 1 : at, 0, value);
      return true;
    }
    case "REPLACE":
      if (at < 0) return false;
      list.splice(at, 1, value);
      return true;
    default:
      return false;
  }
}
