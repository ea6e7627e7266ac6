/** Fetched key sets and bundles in the data directory: a restart must not refuse tokens, or another trust domain, until every issuer has answered again. */
import { readFileSync, renameSync, writeFileSync } from "node:fs";
import * as v from "valibot";
import { errnoOf } from "../lib/errors.ts";
import { usableJwks } from "../lib/jwks.ts";
import type { KeptBundle } from "./federation.ts";
import type { KeptJwks } from "./jwks.ts";

/** What a file holds. */
interface Form<T> {
  /** In messages. */
  readonly what: string;
  /** Only what is usable: a damaged file must not become Envoy's configuration. @throws where it is none of weft's */
  readonly parse: (content: unknown) => ReadonlyMap<string, T>;
}

export const KEPT_KEYS: Form<KeptJwks> = {
  what: "keys",
  parse(content) {
    const kept = new Map<string, KeptJwks>();
    for (const [key, value] of Object.entries(v.parse(v.record(v.string(), v.unknown()), content))) {
      const parsed = v.safeParse(v.object({ jwks: v.string(), fetchedAt: v.number() }), value);
      const jwks = parsed.success ? usableJwks(parsed.output.jwks) : undefined;
      if (parsed.success && jwks !== undefined) kept.set(key, { jwks, fetchedAt: parsed.output.fetchedAt });
    }
    return kept;
  },
};

const KeptBundleSchema = v.object({ document: v.string(), fetchedAt: v.number(), bootstrap: v.optional(v.string()) });

/** The bundles' texts are judged by who takes them (federation.ts). */
export const KEPT_BUNDLES: Form<KeptBundle> = {
  what: "bundles",
  parse: (content) => new Map(Object.entries(v.parse(v.record(v.string(), KeptBundleSchema), content))),
};

/** `onTrouble` is told what cannot be read or written; weft goes on without. */
export function keptDocuments<T>(path: string, { what, parse }: Form<T>, onTrouble: (message: string) => void) {
  return {
    load(): ReadonlyMap<string, T> {
      try {
        return parse(JSON.parse(readFileSync(path, "utf8")));
      } catch (reason) {
        if (errnoOf(reason) !== "ENOENT") onTrouble(`${path} cannot be read, the ${what} in it are fetched again: ${messageOf(reason)}`);
        return new Map();
      }
    },
    save(kept: ReadonlyMap<string, T>): void {
      try {
        writeFileSync(`${path}.new`, `${JSON.stringify(Object.fromEntries(kept), null, 2)}\n`, { mode: 0o600 });
        renameSync(`${path}.new`, path);
      } catch (reason) {
        onTrouble(`${path} cannot be written, after a restart ${what} are fetched anew: ${messageOf(reason)}`);
      }
    },
  };
}

function messageOf(reason: unknown): string {
  return reason instanceof Error ? reason.message : String(reason);
}
