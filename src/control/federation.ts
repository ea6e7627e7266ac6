/**
 * The bundles of federated trust domains: fetched by their refresh hints, kept in memory and in the data directory, each by itself. A bundle that
 * was good once stays in use while fetching fails or brings what cannot be taken. With a TrustDomain its bundle goes at once (SPIFFE Federation, 6.3).
 */
import type { TrustBundle } from "../ca/index.ts";
import type { Clock } from "../lib/clock.ts";
import { WeftError } from "../lib/errors.ts";
import type { Provenance } from "../lib/provenance.ts";
import type { FederatedDomain } from "../mesh/federation.ts";
import { judgeBundle } from "./federation-judge.ts";
import { detailOf } from "./jwks-fetch.ts";

/** Hints are kept to between these: sooner is no use to anybody, later a new authority may sign before its bundle is here. */
export const REFRESH_MS = { shortest: 5_000, longest: 3_600_000 } as const;
/** So that many wefts do not ask at one moment: a wait is shortened at random by up to this part. Never lengthened: a hint is a promise. */
const JITTER = 0.2;
/** While there is no bundle at all: doubles from the first to the second. With one, the next poll is the retry (SPIFFE Federation, 6.2). */
const RETRY_MS = { first: 1_000, longest: 60_000 } as const;

export interface FederationStatus {
  readonly trustDomain: string;
  readonly url: string;
  /** "ok"; "stale": the last good bundle is in use, and the last poll failed; "missing": there is none, and its SVIDs are refused. */
  readonly state: "ok" | "stale" | "missing";
  /** Why the last poll failed. */
  readonly error?: string;
  /** When the bundle in use was fetched, milliseconds since the epoch; absent for one that stands in the resource. */
  readonly fetchedAt?: number;
  readonly sequence?: number;
  readonly source: Provenance;
}

/** What is trusted besides the own trust domain: the same object until it changes. */
export interface Federation {
  /** Every federated trust domain, also those whose bundle is not there yet; sorted. */
  readonly domains: readonly string[];
  /** Of those whose bundle is there; sorted. Never merged: each verifies its own trust domain's SVIDs. */
  readonly bundles: readonly TrustBundle[];
  /** Other names of the own trust domain; sorted. */
  readonly aliases: readonly string[];
}

export interface KeptBundle {
  /** As it was fetched. */
  readonly document: string;
  /** Milliseconds since the epoch. */
  readonly fetchedAt: number;
  /** What stood in the resource then: an operator who writes another one there means it. */
  readonly bootstrap?: string;
}

/** Where bundles survive a restart. A failure to save is the implementation's to tell. */
export interface FederationCache {
  load(): ReadonlyMap<string, KeptBundle>;
  save(kept: ReadonlyMap<string, KeptBundle>): void;
}

/** The text that the endpoint answers; `bundleOf` gives the known bundle of a trust domain. @throws WeftError saying why there is none */
export type FetchBundle = (domain: FederatedDomain, bundleOf: (trustDomain: string) => TrustBundle | undefined) => Promise<string>;

export interface FederationOptions {
  readonly clock: Clock;
  /** From 0 to 1. */
  readonly random: () => number;
  readonly fetch: FetchBundle;
  readonly cache: FederationCache;
  /** Each poll's end. `detail`: of a failure, for the log only. */
  readonly onPolled: (status: FederationStatus, detail?: string) => void;
  readonly onForgotten: (trustDomain: string) => void;
}

interface Entry {
  domain: FederatedDomain;
  bundle: TrustBundle | undefined;
  kept: KeptBundle | undefined;
  error: string | undefined;
  failures: number;
  /** Stops the timer of the next poll. */
  cancel: () => void;
}

const NOTHING: Federation = { domains: [], bundles: [], aliases: [] };

export class FederatedBundles {
  readonly #options: FederationOptions;
  readonly #entries = new Map<string, Entry>();
  readonly #listeners = new Set<(federation: Federation) => void>();
  #loaded: ReadonlyMap<string, KeptBundle>;
  #followed: readonly FederatedDomain[] | undefined;
  #aliases: readonly string[] = [];
  #federation = NOTHING;

  constructor(options: FederationOptions) {
    this.#options = options;
    this.#loaded = options.cache.load();
  }

  get federation(): Federation {
    return this.#federation;
  }

  /** Calls `listener` after each change until the returned function is called; not at once. */
  onChange(listener: (federation: Federation) => void): () => void {
    const own = (federation: Federation) => listener(federation);
    this.#listeners.add(own);
    return () => this.#listeners.delete(own);
  }

  /** Sorted by trust domain. */
  status(): readonly FederationStatus[] {
    return this.#sorted().map(statusOf);
  }

  /** What the newest mesh federates with, all of it, and the own trust domain's other names. New ones are fetched at once. */
  follow(domains: readonly FederatedDomain[], aliases: readonly string[]): void {
    if (domains === this.#followed && aliases === this.#aliases) return;
    this.#followed = domains;
    this.#aliases = aliases;
    const names = new Set(domains.map(({ trustDomain }) => trustDomain));
    let forgotten = [...this.#loaded.keys()].some((name) => !names.has(name));
    for (const [name, entry] of this.#entries) {
      if (names.has(name)) continue;
      entry.cancel();
      this.#entries.delete(name);
      this.#options.onForgotten(name);
      forgotten = true;
    }
    for (const domain of domains) this.#take(domain);
    this.#loaded = new Map();
    if (forgotten) this.#save();
    this.#publish();
  }

  close(): void {
    for (const entry of this.#entries.values()) entry.cancel();
    this.#entries.clear();
    this.#listeners.clear();
  }

  #take(domain: FederatedDomain): void {
    const { trustDomain, bootstrap } = domain;
    const before = this.#entries.get(trustDomain);
    const kept = before ? before.kept : this.#loaded.get(trustDomain);
    if (before && sameEndpoint(before.domain, domain) && before.domain.bootstrap === bootstrap) {
      before.domain = domain;
      return;
    }
    before?.cancel();
    const isMeant = bootstrap !== undefined && bootstrap !== (before ? before.domain.bootstrap : kept?.bootstrap);
    const entry: Entry = {
      domain,
      bundle: isMeant || !kept ? undefined : (before?.bundle ?? read(trustDomain, kept.document)),
      kept: isMeant ? undefined : kept,
      error: undefined,
      failures: 0,
      cancel: () => {},
    };
    if (!entry.bundle && bootstrap !== undefined) entry.bundle = read(trustDomain, bootstrap);
    this.#entries.set(trustDomain, entry);
    void this.#poll(entry);
  }

  async #poll(entry: Entry): Promise<void> {
    const { clock, fetch, onPolled } = this.#options;
    const { domain } = entry;
    const { trustDomain } = domain;
    const isLive = () => this.#entries.get(trustDomain) === entry;
    let detail: string | undefined;
    try {
      const document = await fetch(domain, (name) => this.#entries.get(name)?.bundle);
      if (!isLive()) return;
      const bundle = judgeBundle(trustDomain, document, entry.bundle);
      const isNew = bundle !== entry.bundle || !entry.kept;
      entry.bundle = bundle;
      entry.kept = {
        document,
        fetchedAt: clock.now(),
        ...(entry.domain.bootstrap === undefined ? {} : { bootstrap: entry.domain.bootstrap }),
      };
      entry.error = undefined;
      entry.failures = 0;
      if (isNew) {
        this.#save();
        this.#publish();
      }
    } catch (reason) {
      if (!isLive()) return;
      entry.error = WeftError.from(reason).message;
      detail = detailOf(reason);
      entry.failures += 1;
    }
    entry.cancel = clock.after(this.#pause(entry), () => void this.#poll(entry));
    onPolled(statusOf(entry), detail);
  }

  #pause({ bundle, failures }: Entry): number {
    const shortened = (milliseconds: number) => milliseconds * (1 - JITTER * this.#options.random());
    if (!bundle) return shortened(Math.min(RETRY_MS.longest, RETRY_MS.first * 2 ** Math.min(failures - 1, 16)));
    return shortened(Math.min(REFRESH_MS.longest, Math.max(REFRESH_MS.shortest, bundle.refreshHint * 1_000)));
  }

  #publish(): void {
    const entries = this.#sorted();
    const next: Federation = {
      domains: entries.map(({ domain }) => domain.trustDomain),
      bundles: entries.flatMap(({ bundle }) => bundle ?? []),
      // Alone they mean nothing: then a change of theirs need not be told.
      aliases: entries.length > 0 ? this.#aliases : [],
    };
    const { domains, bundles, aliases } = this.#federation;
    const isSame =
      aliases.join() === next.aliases.join() &&
      domains.join() === next.domains.join() &&
      bundles.length === next.bundles.length &&
      bundles.every((bundle, index) => bundle === next.bundles[index]);
    if (isSame) return;
    this.#federation = next;
    for (const listener of [...this.#listeners]) listener(next);
  }

  #sorted(): readonly Entry[] {
    return [...this.#entries].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, entry]) => entry);
  }

  #save(): void {
    this.#options.cache.save(new Map(this.#sorted().flatMap(({ domain, kept }) => (kept ? [[domain.trustDomain, kept] as const] : []))));
  }
}

/** What was good when it was written, and is read again; a damaged file counts as none. */
function read(trustDomain: string, document: string): TrustBundle | undefined {
  try {
    return judgeBundle(trustDomain, document, undefined);
  } catch {
    return undefined;
  }
}

function statusOf({ domain, bundle, kept, error }: Entry): FederationStatus {
  const { trustDomain, url, source } = domain;
  return {
    trustDomain,
    url,
    state: bundle ? (error === undefined ? "ok" : "stale") : "missing",
    ...(error === undefined ? {} : { error }),
    ...(kept ? { fetchedAt: kept.fetchedAt } : {}),
    ...(bundle ? { sequence: bundle.sequence } : {}),
    source,
  };
}

function sameEndpoint(a: FederatedDomain, b: FederatedDomain): boolean {
  return a.url === b.url && a.endpointSpiffeId === b.endpointSpiffeId;
}
