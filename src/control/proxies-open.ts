/** The proxies: ADS, what proves whose each stream is, and which of them are expected. */
import { join } from "node:path";
import { type AdsServer, createAdsServer } from "../ads/index.ts";
import { DEFAULT_LIFETIMES, type WorkloadTokens } from "../ca/index.ts";
import type { Clock } from "../lib/clock.ts";
import { WeftError } from "../lib/errors.ts";
import { logger } from "../telemetry/log.ts";
import type { Metrics } from "../telemetry/metrics.ts";
import type { Tracing } from "../telemetry/tracing.ts";
import type { UnixNames } from "../workload-api/unix-names.ts";
import { Attestation } from "./attestation.ts";
import type { AuditTrail } from "./audit-trail.ts";
import type { Cluster } from "./cluster.ts";
import { ProxyFeeds, type SecretsOf } from "./feeds.ts";
import type { Identity } from "./identity.ts";
import type { Journal } from "./journal.ts";
import { KnownProxies } from "./known-proxies.ts";
import { createObserver } from "./observer.ts";
import type { Presence } from "./presence.ts";
import type { Reconciler } from "./reconciler.ts";
import type { Registrations } from "./registration.ts";
import type { Revocations } from "./revocations.ts";

const HOUR_MS = 3_600_000;

export interface OpenProxiesOptions {
  readonly data: string;
  readonly clock: Clock;
  readonly metrics: Metrics;
  readonly tracing: Tracing;
  readonly journal: Journal;
  readonly audit: AuditTrail;
  readonly cluster: Cluster | undefined;
  readonly authority: Identity["authority"];
  readonly x509SvidMs?: number;
  readonly tokens: WorkloadTokens;
  readonly revocations: Revocations;
  readonly registrations: Registrations;
  readonly presence: Presence;
  readonly users: UnixNames;
  readonly secretsOf: SecretsOf;
  readonly reconciler: Reconciler;
  readonly onTrouble: (message: string) => void;
}

export interface OpenedProxies {
  readonly ads: AdsServer;
  readonly attestation: Attestation;
  readonly known: KnownProxies;
  /** To be told of each Mesh. */
  readonly feeds: ProxyFeeds;
}

/** ADS does not listen yet. */
export function openProxies(options: OpenProxiesOptions): OpenedProxies {
  const { data, clock, cluster, authority, x509SvidMs = DEFAULT_LIFETIMES.x509SvidMs } = options;
  const { tokens, revocations, registrations, presence, users, secretsOf, reconciler, onTrouble } = options;
  const log = logger("run");
  const attestation = new Attestation({
    tokens,
    registrations,
    bundle: () => authority.bundle(),
    mesh: () => reconciler.mesh,
    revocations,
    userNumber: (name) => users.uidOf(name),
    clock,
  });
  const feeds = new ProxyFeeds({
    secretsOf,
    clock,
    serves: (proxy, workload) => registrations.serves(proxy, workload) && attestation.holds(proxy, workload),
    onTrouble: ({ id }, reason) =>
      log.error("the configuration of proxy {proxy} could not be made; it keeps what it has. This is a defect of weft: report it", {
        proxy: id,
        reason: WeftError.from(reason),
      }),
  });
  const known: KnownProxies = new KnownProxies({ path: join(data, "proxies.json"), ledger: () => ads.ledger, clock, onTrouble });
  const onStreams = () => {
    known.changed();
    presence.streamsChanged();
  };
  const ads = createAdsServer({
    async authenticate(credentials) {
      if (cluster?.expelled) throw cluster.expelled;
      return await attestation.authenticate(credentials);
    },
    source: registrations.watching(feeds),
    clock,
    // For as long as one that left may come back with an SVID that is still good: a rotation of the CA waits for it.
    rememberMs: Math.max(HOUR_MS, x509SvidMs),
    observer: createObserver({ ...options, onStreams }),
  });
  return { ads, attestation, known, feeds };
}
