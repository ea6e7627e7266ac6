/**
 * The key sets that policies refer to by URI: fetched, refreshed, and kept, in memory and in the data directory, so that a restart finds them.
 * A set that was good once stays in use while fetching fails; without one, tokens are refused, which is the mesh's part. Keys that no policy
 * asks for any more are forgotten.
 */
import type { Clock } from "../lib/clock.ts";
import { WeftError } from "../lib/errors.ts";
import type { Provenance } from "../lib/provenance.ts";
import { sameProvenance } from "../mesh/policy-scope.ts";
import type { JwksNeed } from "../mesh/request-authentication.ts";
import { detailOf, type FetchJwks } from "./jwks-fetch.ts";

/** Istio's (PILOT_JWT_PUB_KEY_REFRESH_INTERVAL); a server that lets its keys be kept for less is asked sooner. */
const LONGEST_REFRESH_MS = 20 * 60_000;
const SHORTEST_REFRESH_MS = 5_000;
/** After a failure: doubles from the first to the second. */
const RETRY_MS = { first: 1_000, longest: 60_000 };

export interface JwksStatus {
  /** What is fetched: the key set, or the issuer's discovery document. */
  readonly uri: string;
  readonly issuers: readonly string[];
  /** "ok"; "stale": the last good keys are in use, and fetching fails; "missing": there are none, and tokens are refused. */
  readonly state: "ok" | "stale" | "missing";
  /** Why the last fetch failed. */
  readonly error?: string;
  /** When the keys in use were fetched: milliseconds since the epoch. */
  readonly fetchedAt?: number;
  readonly sources: readonly Provenance[];
}

export interface KeptJwks {
  readonly jwks: string;
  /** Milliseconds since the epoch. */
  readonly fetchedAt: number;
}

/** Where the keys survive a restart. A failure to save is the implementation's to tell. */
export interface JwksCache {
  load(): ReadonlyMap<string, KeptJwks>;
  save(kept: ReadonlyMap<string, KeptJwks>): void;
}

export interface JwksKeeperOptions {
  readonly clock: Clock;
  readonly fetch: FetchJwks;
  readonly cache: JwksCache;
  /** `keys` changed. */
  readonly onChange: () => void;
  /** Each fetch's end. `detail`: of a failure, for the log only. */
  readonly onFetched: (status: JwksStatus, ok: boolean, detail?: string) => void;
  /** The URI is asked for no more. */
  readonly onForgotten?: (uri: string) => void;
}

interface Entry {
  need: JwksNeed;
  kept: KeptJwks | undefined;
  error: string | undefined;
  failures: number;
  /** Stops the timer of the next fetch; what a fetch under way brings for a forgotten entry is dropped. */
  cancel: () => void;
}

export class JwksKeeper {
  #options: JwksKeeperOptions;
  #entries = new Map<string, Entry>();
  #loaded: ReadonlyMap<string, KeptJwks>;

  constructor(options: JwksKeeperOptions) {
    this.#options = options;
    this.#loaded = options.cache.load();
  }

  /** By jwksKey: for MeshOptions.jwks. What the last weft saved is there from the start, before anybody asks for it. */
  keys(): ReadonlyMap<string, string> {
    const keys = new Map([...this.#loaded].map(([key, { jwks }]) => [key, jwks]));
    for (const [key, { kept }] of this.#entries) if (kept) keys.set(key, kept.jwks);
    return keys;
  }

  /** Sorted by URI. */
  status(): readonly JwksStatus[] {
    return [...this.#entries.values()].map(statusOf).sort((a, b) => (a.uri < b.uri ? -1 : a.uri > b.uri ? 1 : 0));
  }

  /** What the newest mesh asks for, all of it. New ones are fetched at once. */
  need(needs: ReadonlyMap<string, JwksNeed>): void {
    let forgotten = [...this.#loaded.keys()].some((key) => !needs.has(key));
    for (const [key, entry] of this.#entries) {
      if (needs.has(key)) continue;
      entry.cancel();
      this.#entries.delete(key);
      this.#options.onForgotten?.(entry.need.source.url);
      forgotten = true;
    }
    for (const [key, need] of needs) {
      const entry = this.#entries.get(key);
      if (entry) {
        if (!sameNeed(entry.need, need)) entry.need = need;
      } else {
        const fresh: Entry = { need, kept: this.#loaded.get(key), error: undefined, failures: 0, cancel: () => {} };
        this.#entries.set(key, fresh);
        void this.#fetch(key, fresh);
      }
    }
    this.#loaded = new Map();
    if (forgotten) this.#save();
  }

  close(): void {
    for (const entry of this.#entries.values()) entry.cancel();
    this.#entries.clear();
  }

  async #fetch(key: string, entry: Entry): Promise<void> {
    const { clock, fetch, onChange, onFetched } = this.#options;
    const live = () => this.#entries.get(key) === entry;
    let wait: number;
    let detail: string | undefined;
    try {
      const { jwks, maxAgeMs = LONGEST_REFRESH_MS } = await fetch(entry.need.source, entry.need.timeoutMs);
      if (!live()) return;
      const changed = entry.kept?.jwks !== jwks;
      entry.kept = { jwks, fetchedAt: clock.now() };
      entry.error = undefined;
      entry.failures = 0;
      wait = Math.min(Math.max(maxAgeMs, SHORTEST_REFRESH_MS), LONGEST_REFRESH_MS);
      if (changed) {
        this.#save();
        onChange();
      }
    } catch (reason) {
      if (!live()) return;
      entry.error = WeftError.from(reason).message;
      detail = detailOf(reason);
      wait = Math.min(RETRY_MS.first * 2 ** Math.min(entry.failures, 16), RETRY_MS.longest);
      entry.failures += 1;
    }
    entry.cancel = clock.after(wait, () => void this.#fetch(key, entry));
    onFetched(statusOf(entry), entry.error === undefined, detail);
  }

  #save(): void {
    const kept = [...this.#entries].flatMap(([key, entry]) => (entry.kept ? [[key, entry.kept] as const] : []));
    this.#options.cache.save(new Map(kept.sort(([a], [b]) => (a < b ? -1 : 1))));
  }
}

function statusOf({ need, kept, error }: Entry): JwksStatus {
  const { source, issuers, sources } = need;
  return {
    uri: source.url,
    issuers,
    state: error === undefined && kept ? "ok" : kept ? "stale" : "missing",
    ...(error === undefined ? {} : { error }),
    ...(kept ? { fetchedAt: kept.fetchedAt } : {}),
    sources,
  };
}

function sameNeed(a: JwksNeed, b: JwksNeed): boolean {
  return (
    a.timeoutMs === b.timeoutMs &&
    a.issuers.join("\n") === b.issuers.join("\n") &&
    a.sources.length === b.sources.length &&
    a.sources.every((source, index) => sameProvenance(source, b.sources[index]))
  );
}
