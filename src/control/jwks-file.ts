/** Fetched key sets in the data directory: a restart must not refuse tokens until every issuer has answered again. */
import { readFileSync, renameSync, writeFileSync } from "node:fs";
import { errnoOf } from "../lib/errors.ts";
import { usableJwks } from "../lib/jwks.ts";
import type { JwksCache, KeptJwks } from "./jwks.ts";

/** `onTrouble` is told what cannot be read or written; weft goes on without. */
export function jwksFile(path: string, onTrouble: (message: string) => void): JwksCache {
  return {
    load() {
      try {
        return parse(readFileSync(path, "utf8"));
      } catch (reason) {
        if (errnoOf(reason) !== "ENOENT") onTrouble(`${path} cannot be read, the keys in it are fetched again: ${messageOf(reason)}`);
        return new Map();
      }
    },
    save(kept) {
      try {
        writeFileSync(`${path}.new`, `${JSON.stringify(Object.fromEntries(kept), null, 2)}\n`, { mode: 0o600 });
        renameSync(`${path}.new`, path);
      } catch (reason) {
        onTrouble(`${path} cannot be written, after a restart keys are fetched anew: ${messageOf(reason)}`);
      }
    },
  };
}

/** Only what is usable: a damaged file must not become Envoy's configuration. */
function parse(text: string): ReadonlyMap<string, KeptJwks> {
  const kept = new Map<string, KeptJwks>();
  for (const [key, value] of Object.entries(JSON.parse(text) as Record<string, Partial<KeptJwks> | null>)) {
    if (typeof value?.jwks !== "string" || typeof value.fetchedAt !== "number") continue;
    const jwks = usableJwks(value.jwks);
    if (jwks !== undefined) kept.set(key, { jwks, fetchedAt: value.fetchedAt });
  }
  return kept;
}

function messageOf(reason: unknown): string {
  return reason instanceof Error ? reason.message : String(reason);
}
