/** Sizes and names of what the CA makes, and the life of weft's own tokens. The lifetimes of SVIDs and authorities are in lifetimes.ts. */

const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const DAY = 24 * 60 * MINUTE;

/**
 * Bytes of a serial number: 128 bits from the system's generator never meet again in practice, and, with DER's sign byte, stay within
 * the 20 octets of RFC 5280, 4.1.2.2.
 */
export const SERIAL_BYTES = 16;

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

/** So that a leaked admin token is recognised, by people and by secret scanners. */
export const ADMIN_TOKEN_PREFIX = "weft_admin_";

/** Bytes of the admin token's random part: 256 bits. */
export const ADMIN_TOKEN_BYTES = 32;

/** For AES-256, from which both keys of a seal are derived. */
export const SEAL_KEY_BYTES = 32;
