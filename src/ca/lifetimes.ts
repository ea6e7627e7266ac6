/**
 * Every lifetime of weft's identities, with its reason and the bounds within which an operator may set it; and the waits of a rotation, which
 * follow from them. Milliseconds, unless a name says else.
 */
import { WeftError } from "../lib/errors.ts";

const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** What an operator may set. */
export interface Lifetimes {
  /** Of an X.509-SVID. */
  readonly x509SvidMs: number;
  /** Of a JWT-SVID. */
  readonly jwtSvidMs: number;
  /** Of an X.509 authority's certificate, and of a JWT authority's key. */
  readonly authorityMs: number;
}

export const DEFAULT_LIFETIMES: Lifetimes = {
  /**
   * There is no revocation in SPIFFE: a stolen key is worth something until its certificate ends, so an hour. Renewed at half of it, that
   * leaves a workload half an hour to live through an outage of weft.
   */
  x509SvidMs: HOUR,
  /** A JWT-SVID is a bearer token (JWT-SVID, 7.1): who sees one has it. As SPIRE. */
  jwtSvidMs: 5 * MINUTE,
  /**
   * As SPIRE's ca_ttl: whoever steals an authority's key can make identities for a day at most, and a rotation that happens every day is one
   * that works. There is no longer-lived root above it, because its key would lie beside this one: who can read one can read both.
   */
  authorityMs: DAY,
};

/** An X.509-SVID: below, one failed renewal and a slow clock are an outage; above, a stolen key is worth too much. */
export const X509_SVID_BOUNDS = { least: 5 * MINUTE, most: DAY } as const;
/** A JWT-SVID: below, clocks that differ by the usual seconds refuse it; above, it is a password. */
export const JWT_SVID_BOUNDS = { least: MINUTE, most: HOUR } as const;
/** An authority: above, it is what it was before rotation. */
export const AUTHORITY_BOUNDS = { least: HOUR, most: 3650 * DAY } as const;

/**
 * Where in an authority's life the next one is made and published, and where that one takes over: as SPIRE (pkg/server/ca/manager). Between
 * them lies a third of the life, in which every peer learns of the next; after them a sixth, in which the SVIDs under the old one end.
 */
export const PREPARE_AT = 1 / 2;
export const ACTIVATE_AT = 5 / 6;

/**
 * An authority's last sixth must hold an SVID's whole life: then no SVID is cut short by the end of its authority. So an authority lives at least
 * six times as long as what it signs.
 */
export const AUTHORITY_PER_SVID = 1 / (1 - ACTIVATE_AT);

/** @throws WeftError "invalid" naming the setting and its bounds. */
export function checkLifetimes(lifetimes: Lifetimes): Lifetimes {
  const { x509SvidMs, jwtSvidMs, authorityMs } = lifetimes;
  within("svidLifetime", x509SvidMs, X509_SVID_BOUNDS);
  within("jwtSvidLifetime", jwtSvidMs, JWT_SVID_BOUNDS);
  within("caLifetime", authorityMs, AUTHORITY_BOUNDS);
  // The ratio is 6 but for the rounding of fractions.
  const needed = Math.round(AUTHORITY_PER_SVID * Math.max(x509SvidMs, jwtSvidMs));
  if (authorityMs < needed) {
    throw new WeftError(
      "invalid",
      `caLifetime is ${hours(authorityMs)}, and must be at least ${hours(needed)}: six times an SVID's lifetime`,
      {
        help: "an SVID never outlives its CA: make caLifetime longer, or svidLifetime shorter",
      },
    );
  }
  return lifetimes;
}

function within(name: string, value: number, { least, most }: { readonly least: number; readonly most: number }): void {
  if (value >= least && value <= most) return;
  throw new WeftError("invalid", `${name} is ${hours(value)}, and must be from ${hours(least)} to ${hours(most)}`);
}

/** "90m", "24h": as the setting is written. */
function hours(milliseconds: number): string {
  return milliseconds % HOUR === 0 ? `${milliseconds / HOUR}h` : `${milliseconds / MINUTE}m`;
}

/** How far notBefore lies in the past, so that a peer whose clock is slow accepts a new certificate at once. Istio backdates as much. */
export const NOT_BEFORE_BACKDATE_MS = 2 * MINUTE;

/** Where in its life an SVID is replaced: at half, as SPIRE does, so that a failed renewal has as long again to be mended. */
export const RENEW_AT = 0.5;
/** Spread of that moment, in both directions, so that workloads that started together do not renew together. */
export const RENEW_JITTER = 0.1;
/** After a forced rotation all SVIDs are issued again within this time, at random: 500 a second are possible, and Envoys have other work. */
export const REISSUE_SPREAD_MS = 10 * SECOND;

/** First wait after a failed issuance or a failed step of a rotation, doubled each time up to the longest; shortened at random by up to half. */
export const RETRY_FIRST_MS = SECOND;
export const RETRY_LONGEST_MS = MINUTE;

/**
 * The longest sleep before wall time, and an operator's files, are looked at again. Certificates end by the wall clock, timers run by the monotonic
 * one, which stands still while a machine is suspended.
 */
export const WALL_CLOCK_CHECK_MS = 30 * SECOND;

/** How long an SVID without subscribers is kept: an Envoy that reconnects within it is not sent a new one. */
export const LINGER_MS = 30 * SECOND;

/** Validity of the certificate that a health check signs and throws away. */
export const PROBE_LIFETIME_MS = MINUTE;

/** How much the clocks of a token's maker and reader may differ (JWT-SVID, Appendix A: "a small amount of leeway"). */
export const JWT_SVID_LEEWAY_MS = 30 * SECOND;

/** How often others should fetch the bundle again (SPIFFE Trust Domain and Bundle, 4.1.2; 6.1 suggests five minutes). Seconds. */
export const BUNDLE_REFRESH_HINT_S = 300;

/** How often proxies are asked for while a rotation waits for them. */
export const PROPAGATION_CHECK_MS = SECOND;

/**
 * How long a new authority is in the bundle at least before it signs. X.509: Envoy acknowledges a secret on its main thread, and its workers
 * take it a moment later. JWT: who verifies tokens fetches the bundle when its refresh hint is over, and acknowledges nothing.
 */
export const PUBLISHED_AT_LEAST_MS = { x509: SECOND, jwt: BUNDLE_REFRESH_HINT_S * SECOND } as const;

/**
 * After a restart weft does not know who was connected before. Envoy tries again at least every 30 s (its default back-off), so who is not
 * back after a minute is not on its way.
 */
export const RECONNECT_GRACE_MS = MINUTE;

/** A connected proxy that refuses the bundle, or does not answer, holds a rotation up for this part of an authority's life, no longer. */
export const STRAGGLERS_HOLD = 1 / 2;

/**
 * How long before its end an operator's certificate is warned of: a month, to have a new one signed; or a quarter of its life, where that is
 * shorter.
 */
export const UPSTREAM_WARNING_MS = 30 * DAY;
export const UPSTREAM_WARNING_PART = 1 / 4;
