/** Every lifetime and limit of weft's identities, with its reason. */

const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/**
 * The CA's certificate. It is a long-lived root that signs SVIDs itself: short windows need a prepared next CA and a bundle that carries
 * both, so that no peer meets an issuer that it does not know; until there is one, a root that outlives the installation is the safe choice.
 */
export const CA_LIFETIME_MS = 10 * 365 * DAY;

/**
 * An X.509-SVID. There is no revocation in SPIFFE: a stolen key is worth something until its certificate ends, so an hour. Renewed at half
 * of it, that leaves a workload half an hour to live through an outage of weft.
 */
export const SVID_LIFETIME_MS = HOUR;

/** How far notBefore lies in the past, so that a peer whose clock is slow accepts a new certificate at once. Istio backdates as much. */
export const NOT_BEFORE_BACKDATE_MS = 2 * MINUTE;

/**
 * Bytes of a serial number: 128 bits from the system's generator never meet again in practice, and, with DER's sign byte, stay within
 * the 20 octets of RFC 5280, 4.1.2.2.
 */
export const SERIAL_BYTES = 16;

/** Where in its life a certificate is replaced: at half, as SPIRE does, so that a failed renewal has as long again to be mended. */
export const RENEW_AT = 0.5;

/** Spread of that moment, in both directions, so that workloads that started together do not renew together. */
export const RENEW_JITTER = 0.1;

/** First wait after a failed issuance, doubled each time up to the longest; each shortened at random by up to half. */
export const RETRY_FIRST_MS = SECOND;
export const RETRY_LONGEST_MS = MINUTE;

/**
 * The longest sleep before wall time is looked at again. Certificates end by the wall clock, timers run by the monotonic one, which stands
 * still while a machine is suspended.
 */
export const WALL_CLOCK_CHECK_MS = 30 * SECOND;

/** How long an SVID without subscribers is kept: an Envoy that reconnects within it is not sent a new one. */
export const LINGER_MS = 30 * SECOND;

/** Validity of the certificate that a health check signs and throws away. */
export const PROBE_LIFETIME_MS = MINUTE;

/** Who a workload token is for: nothing else may accept it, and ADS accepts nothing else. */
export const TOKEN_AUDIENCE = "weft-ads";

/** Who a group token is for: registration, and never a stream. */
export const GROUP_TOKEN_AUDIENCE = "weft-registration";

/** The token's `typ`, so that no other JWT that weft signs can pass for it (RFC 8725, 3.11). */
export const TOKEN_TYPE = "weft-workload+jwt";

/** The only algorithm, on both sides: what the header says never chooses it (RFC 8725, 3.1). */
export const TOKEN_ALGORITHM = "ES256";

/**
 * A workload token. It stands in a bootstrap file that nothing renews yet, and a proxy whose token ended cannot come back by itself: so
 * a quarter of a year, the longest that is still changed by routine.
 */
export const TOKEN_LIFETIME_MS = 90 * DAY;

/** The longest life that anybody may ask for: a token cannot be taken back, only outlive its use. */
export const TOKEN_LONGEST_LIFETIME_MS = 366 * DAY;

/** How much the clocks of the weft that issued a token and the one that reads it may differ. */
export const TOKEN_CLOCK_SKEW_MS = MINUTE;

/** A token longer than this is not looked at. Ours have about 400 characters. */
export const TOKEN_LONGEST = 4096;

/** How often others should fetch the bundle again (SPIFFE Trust Domain and Bundle, 4.1.2). */
export const BUNDLE_REFRESH_HINT_S = 300;

/** So that a leaked admin token is recognised, by people and by secret scanners. */
export const ADMIN_TOKEN_PREFIX = "weft_admin_";

/** Bytes of the admin token's random part: 256 bits. */
export const ADMIN_TOKEN_BYTES = 32;

/** For AES-256, from which both keys of a seal are derived. */
export const SEAL_KEY_BYTES = 32;
