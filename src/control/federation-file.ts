/** Fetched bundles in the data directory: a restart must not refuse another trust domain until its endpoint has answered again. */
import { readFileSync, renameSync, writeFileSync } from "node:fs";
import * as v from "valibot";
import { errnoOf } from "../lib/errors.ts";
import type { FederationCache } from "./federation.ts";

const KeptSchema = v.record(v.string(), v.object({ document: v.string(), fetchedAt: v.number(), bootstrap: v.optional(v.string()) }));

/** `onTrouble` is told what cannot be read or written; weft goes on without. */
export function federationFile(path: string, onTrouble: (message: string) => void): FederationCache {
  return {
    load() {
      try {
        return new Map(Object.entries(v.parse(KeptSchema, JSON.parse(readFileSync(path, "utf8")))));
      } catch (reason) {
        if (errnoOf(reason) !== "ENOENT") onTrouble(`${path} cannot be read, the bundles in it are fetched again: ${messageOf(reason)}`);
        return new Map();
      }
    },
    save(kept) {
      try {
        writeFileSync(`${path}.new`, `${JSON.stringify(Object.fromEntries(kept), null, 2)}\n`, { mode: 0o600 });
        renameSync(`${path}.new`, path);
      } catch (reason) {
        onTrouble(`${path} cannot be written, after a restart bundles are fetched anew: ${messageOf(reason)}`);
      }
    },
  };
}

function messageOf(reason: unknown): string {
  return reason instanceof Error ? reason.message : String(reason);
}
