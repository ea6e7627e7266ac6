/** What one client may take of the server. */
export interface AdsLimits {
  /** Of one request, bytes. A request that names 50,000 resources stays below. */
  readonly maxMessageBytes: number;
  readonly maxStreams: number;
  readonly maxStreamsPerConnection: number;
  /** To one listener. */
  readonly maxConnections: number;
  /** To the TLS listener, from one address: a machine may run many proxies, and none may keep the others out. */
  readonly maxConnectionsPerAddress: number;
  /** How long a connection may be open before the first of its streams has proved whose it is, milliseconds. */
  readonly unprovenMs: number;
  /** Calls that a connection may make before one of them has proved whose it is. Envoy makes one for all types, or one for each secret. */
  readonly maxUnprovenCalls: number;
  /** Calls of a connection thereafter: so many at once, and so many a second in the long run. */
  readonly callsBurst: number;
  readonly callsPerSecond: number;
  /** Names that one stream may subscribe to, of one type. */
  readonly maxNames: number;
  /** Types that one stream may ask for, known or not. */
  readonly maxTypes: number;
  /** How long it may take to find out who opens a stream, milliseconds. */
  readonly authenticateMs: number;
  /** How long a stream may be open without a request, milliseconds. */
  readonly firstRequestMs: number;
  /** How many streams may be on their way into sync at a time, and how long one of them may hold up the next, milliseconds (admission.ts). */
  readonly syncsAtOnce: number;
  readonly syncPatienceMs: number;
  /** How often a connection is asked for a sign of life, and how long the answer may take, milliseconds. */
  readonly pingEveryMs: number;
  readonly pingTimeoutMs: number;
}

export const DEFAULT_LIMITS: AdsLimits = {
  maxMessageBytes: 4 * 1024 * 1024,
  maxStreams: 20_000,
  maxStreamsPerConnection: 100,
  maxConnections: 20_000,
  maxConnectionsPerAddress: 2_000,
  unprovenMs: 15_000,
  maxUnprovenCalls: 32,
  callsBurst: 200,
  callsPerSecond: 20,
  maxNames: 100_000,
  maxTypes: 32,
  authenticateMs: 10_000,
  firstRequestMs: 10_000,
  // Slow proxies are admitted 640 a second: 5,000 before the first of them gives up its initial fetch (Envoy's initial_fetch_timeout, 15 s).
  syncsAtOnce: 64,
  syncPatienceMs: 100,
  pingEveryMs: 30_000,
  pingTimeoutMs: 20_000,
};
