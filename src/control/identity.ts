/** The CA and what follows from it, joined with logs, metrics and the ledger of ADS. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import {
  type CaObserver,
  type Lifetimes,
  type LocalAuthority,
  type OpenedAuthority,
  openAuthority,
  type SecretSource,
  SvidManager,
  type SvidObserver,
  type SvidType,
  TokenManager,
  type TokenManagerOptions,
  type TrustPropagation,
} from "../ca/index.ts";
import type { Clock } from "../lib/clock.ts";
import type { WeftError } from "../lib/errors.ts";
import { logger } from "../telemetry/log.ts";
import type { Metrics } from "../telemetry/metrics.ts";

/** Where the operator's files are, and how long what weft signs lives. All absent: weft owns its root, and the defaults hold. */
export interface CaSettings {
  readonly lifetimes?: Lifetimes;
  readonly upstream?: { readonly certificate: string; readonly key: string; readonly roots?: string };
  readonly keyEncryptionFile?: string;
}

/** This weft's part in a mesh of several (cluster.ts). */
export interface IdentityInMesh {
  readonly isAuthority: boolean;
  authorityOver(inner: TrustPropagation, openLocal: (propagation: TrustPropagation) => Promise<LocalAuthority>): Promise<OpenedAuthority>;
  forced(type: SvidType): void;
  onReissue(reissue: (type: SvidType) => void): () => void;
}

export interface IdentityOptions {
  /** Absent where weft is alone with its store. */
  readonly cluster?: IdentityInMesh;
  readonly data: string;
  readonly trustDomain: string;
  readonly clock: Clock;
  readonly metrics: Metrics;
  readonly settings: CaSettings;
  readonly propagation: TrustPropagation;
  /** $CREDENTIALS_DIRECTORY: where systemd puts what LoadCredential= names. */
  readonly credentials: string | undefined;
  /** As SvidManagerOptions has it. */
  readonly revokedAt: (spiffeId: string) => number;
}

export interface Identity {
  readonly authority: OpenedAuthority;
  readonly svids: SvidManager;
  /** The JWT-SVIDs that proxies add to calls. */
  readonly tokens: TokenManager;
  close(): void;
}

/** A warning that stands is told again after this long: the first may have been overlooked. */
const WARN_AGAIN_MS = 24 * 3_600_000;
/** More names are no more help in a log line. */
const MOST_NAMES = 10;

/** @throws WeftError as openAuthority */
export async function openIdentity(options: IdentityOptions): Promise<Identity> {
  const { data, trustDomain, clock, metrics, settings, credentials, cluster: inMesh } = options;
  const isCredential = (path: string) => isSystemdCredential(path, credentials);
  const { lifetimes, upstream } = settings;
  const keyEncryption = keyEncryptionOf(settings, credentials);
  let identity: Identity | undefined;
  const look = watchWarnings(metrics, clock);
  // The first authorities of a new mesh are no news: everything is new then.
  const isNew = !existsSync(join(data, "ca"));
  const reissue = (type: SvidType) => (type === "x509" ? identity?.svids : identity?.tokens)?.reissue();
  const openLocal = (propagation: TrustPropagation): Promise<LocalAuthority> =>
    openAuthority({
      dir: data,
      trustDomain,
      clock,
      propagation,
      ...(lifetimes ? { lifetimes } : {}),
      ...(upstream ? { upstream: { ...upstream, isCredential } } : {}),
      ...(keyEncryption ? { keyEncryption } : {}),
      observer: observeCa(
        metrics,
        (type) => {
          inMesh?.forced(type);
          reissue(type);
        },
        () => identity && look(identity.authority),
        () => isNew && identity === undefined,
      ),
    });
  const authority: OpenedAuthority = inMesh
    ? await inMesh.authorityOver(options.propagation, openLocal)
    : await openLocal(options.propagation);
  const remote = inMesh !== undefined && !inMesh.isAuthority;
  const svids: SvidManager = new SvidManager({
    authority,
    clock,
    random: Math.random,
    remote,
    revokedAt: options.revokedAt,
    observer: observeSvids(metrics, () => svids.nextExpiry()),
  });
  const tokens = new TokenManager({ authority, clock, random: Math.random, remote, observer: observeTokens(metrics) });
  const stopReissues = inMesh?.onReissue(reissue);
  // What other authorities do, the observer of this node's own does not tell of.
  const stopLooking = inMesh && authority.onBundle(() => look(authority));
  identity = {
    authority,
    svids,
    tokens,
    close() {
      stopReissues?.();
      stopLooking?.();
      tokens.close();
      svids.close();
      authority.close();
    },
  };
  look(authority);
  authority.start();
  return identity;
}

const isSystemdCredential = (path: string, credentials: string | undefined) =>
  credentials !== undefined && path.startsWith(`${credentials}/`);

/** What keys in the data directory are encrypted with; undefined where they are not. */
export const keyEncryptionOf = ({ keyEncryptionFile: path }: CaSettings, credentials: string | undefined): SecretSource | undefined =>
  path === undefined ? undefined : { path, credential: isSystemdCredential(path, credentials) };

/** Whether the CA signs; and what about it must be looked at, for people. @throws WeftError "unavailable" */
export async function checkCa(authority: OpenedAuthority): Promise<string> {
  await authority.check();
  const warnings = authority.warnings();
  return warnings.length === 0 ? "ok" : `warning: ${warnings.map(({ message }) => message).join("; ")}`;
}

function observeCa(metrics: Metrics, reissue: (type: SvidType) => void, looked: () => void, isFirst: () => boolean): CaObserver {
  const log = logger("ca");
  const level = () => (isFirst() ? "debug" : "info");
  return {
    prepared({ type, id, reason, notAfter }) {
      const until = new Date(notAfter).toISOString();
      log[level()]("the next {type} authority {id} is made ({reason}), and in the bundle; it is good until {until}", {
        type,
        id,
        reason,
        until,
      });
    },
    activated({ type, id, reason, leftBehind }) {
      metrics.caRotations.inc({ authority: type, reason });
      log[level()]("the {type} authority {id} signs from now on ({reason})", { type, id, reason });
      if (leftBehind.length > 0) {
        log.warning(
          "{count} proxies do not trust the new {type} authority yet, and were waited for long enough: {names}. Look at `weft proxies`",
          {
            type,
            count: leftBehind.length,
            names: shorten(leftBehind),
          },
        );
      }
      if (reason !== "scheduled") reissue(type);
    },
    retired: ({ type, id }) => log.info("the {type} authority {id} is trusted no more: nothing that it signed is valid", { type, id }),
    waiting({ type, names, until }) {
      const end = new Date(until).toISOString();
      log.info("the next {type} authority waits for {count} before it signs, until {end} at the latest: {names}", {
        type,
        count: names.length,
        end,
        names: shorten(names),
      });
    },
    failed: ({ error, retryInMs }) =>
      log.error("the CA could not take its next step: {reason}; {help}; trying again in {retryInMs} ms", {
        reason: error.message,
        help: error.help ?? "what signs now goes on signing",
        retryInMs,
      }),
    looked,
  };
}

const shorten = (names: readonly string[]) => [...names.slice(0, MOST_NAMES), ...(names.length > MOST_NAMES ? ["..."] : [])].join(", ");

/** Tells each warning once a day, in the log and as a metric; and when the authorities end. */
function watchWarnings(metrics: Metrics, clock: Clock): (authority: OpenedAuthority) => void {
  const log = logger("ca");
  const told = new Map<string, number>();
  return (authority) => {
    const { x509, jwt, warnings } = authority.report();
    const ends = (all: typeof x509) =>
      Math.max(0, ...all.filter(({ state }) => state === "active").map(({ notAfter }) => Date.parse(notAfter)));
    metrics.certificateExpiry.set({ certificate: "ca" }, ends(x509) / 1000);
    metrics.certificateExpiry.set({ certificate: "jwt-authority" }, ends(jwt) / 1000);
    const issuers = x509
      .filter(({ state }) => state === "active")
      .flatMap(({ issuers = [] }) => issuers.map(({ notAfter }) => Date.parse(notAfter)));
    if (issuers.length > 0) metrics.certificateExpiry.set({ certificate: "upstream" }, Math.min(...issuers) / 1000);
    metrics.caWarnings.reset();
    for (const { code } of warnings) metrics.caWarnings.set({ code }, 1);

    const now = clock.monotonic();
    for (const code of [...told.keys()]) if (!warnings.some((warning) => warning.code === code)) told.delete(code);
    for (const { code, message, help } of warnings) {
      if (now - (told.get(code) ?? Number.NEGATIVE_INFINITY) < WARN_AGAIN_MS) continue;
      told.set(code, now);
      log.warning("{message}; {help}", { code, message, help });
    }
  };
}

/** With its mend: a line of the log is read by itself. */
const reasonOf = ({ message, help }: WeftError): string => (help === undefined ? message : `${message}: ${help}`);

function observeSvids(metrics: Metrics, nextExpiry: () => number | undefined): SvidObserver {
  const log = logger("ca");
  return {
    issued({ spiffeId, serial, notAfter }) {
      metrics.svidsIssued.inc();
      metrics.certificateExpiry.set({ certificate: "svid" }, (nextExpiry() ?? notAfter) / 1000);
      log.debug("issued an X.509-SVID for {spiffeId}", { spiffeId, serial });
    },
    failed({ spiffeId, error, retryInMs, expires }) {
      const until = expires === undefined ? "it has none yet" : `the present one ends at ${new Date(expires).toISOString()}`;
      log.error("no X.509-SVID could be issued for {spiffeId}: {reason}; {until}; trying again in {retryInMs} ms. Look at `weft ca show`", {
        spiffeId,
        reason: reasonOf(error),
        until,
        retryInMs: Math.round(retryInMs),
      });
    },
  };
}

function observeTokens(metrics: Metrics): NonNullable<TokenManagerOptions["observer"]> {
  const log = logger("ca");
  return {
    issued({ spiffeId, audience }) {
      metrics.jwtSvidsIssued.inc();
      log.debug("issued a JWT-SVID for {spiffeId} to show to {audience}", { spiffeId, audience });
    },
    failed({ spiffeId, audience, error, retryInMs, expires }) {
      const until = expires === undefined ? "there is none yet" : `the present one ends at ${new Date(expires).toISOString()}`;
      log.error(
        "no JWT-SVID for {audience} could be issued for {spiffeId}: {reason}; {until}; trying again in {retryInMs} ms. Look at `weft ca show`",
        { spiffeId, audience, reason: reasonOf(error), until, retryInMs: Math.round(retryInMs) },
      );
    },
  };
}
