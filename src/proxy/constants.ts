/** The supervisor's waits, with their reasons. Milliseconds. */

/** First wait before a crashed Envoy is started again, doubled each time: short, because its workload is unreachable meanwhile. */
export const RESTART_FIRST_MS = 250;

/** The longest wait: a crash that needs an operator should not cost a machine its processor. */
export const RESTART_LONGEST_MS = 30_000;

/** An Envoy that ran this long was healthy: its next crash starts counting anew. */
export const HEALTHY_RUN_MS = 60_000;

/** This many crashes with no healthy run between them are a loop, and are called so. */
export const CRASH_LOOP = 3;

/** How long requests in flight may take to end after SIGTERM; shorter than the 30 s after which container runtimes kill. */
export const DRAIN_LIMIT_MS = 20_000;

/**
 * How long clients with open connections get, at the least, to hear that they should go: with the next answer on each. An idle connection
 * that is closed at once may have a request on its way, which nobody tries again (Istio's MINIMUM_DRAIN_DURATION is 5 s).
 */
export const DRAIN_LEAST_MS = 1_000;

/** How often a draining Envoy is asked whether it is idle. */
export const DRAIN_POLL_MS = 100;

/** How long an Envoy may take to answer on its admin port. */
export const ADMIN_TIMEOUT_MS = 2_000;

/** How long Envoy may take to end after its own SIGTERM. */
export const TERMINATE_LIMIT_MS = 5_000;

/** How long a start after a crash waits for a new bootstrap: the last one works too, and the workload is unreachable meanwhile. */
export const BOOTSTRAP_LIMIT_MS = 2_000;

/** A token is renewed when this share of its life is over: the other half is there for a weft that is away. */
export const TOKEN_RENEW_SHARE = 1 / 2;

/** How often Envoy is asked whether it has a stream to weft: twice without one, and its token is renewed early. */
export const CONNECTION_CHECK_MS = 5_000;

/**
 * How often weft is asked whom to trust, where its ADS is reached over TLS. A rotation of the CA waits three times as long before it signs (control,
 * trust-files.ts), so that no proxy meets a certificate whose root it does not have.
 */
export const TRUST_CHECK_MS = 10_000;

/** First wait after a token could not be renewed, doubled each time. */
export const TOKEN_RETRY_FIRST_MS = 1_000;

/** The longest such wait: a weft that comes back is asked within a minute. */
export const TOKEN_RETRY_LONGEST_MS = 60_000;

/** Less than this share of its token's life left: then it is told that there is no new one. */
export const TOKEN_LOW_SHARE = 1 / 3;
