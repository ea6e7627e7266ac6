/**
 * What a distributed engine (etcd, Redis) does for weft: it keeps one log of commits, in one order for all nodes, and a snapshot that a node can
 * start from. It knows nothing of resources: an entry is bytes. What a node serves is in its own SQLite database, which it brings up to date
 * from the log (src/store/replica); so an engine that is away takes nothing from what is served.
 */

/** A place in the log. Equal sequences with different ids are histories that parted: the engine lost writes that it had acknowledged. */
export interface Place {
  /** 0 is before the first entry. */
  readonly sequence: number;
  /** UUID of the entry; "" before the first. */
  readonly id: string;
}

export const START: Place = { sequence: 0, id: "" };

export interface LogEntry {
  readonly place: Place;
  readonly bytes: Uint8Array;
}

/** What a reader of the log is told, in order. */
export type LogEvent =
  | ({ readonly type: "entry" } & LogEntry)
  /**
   * As of now the log ends at `head`, and the reader was given all up to it: a proof that the engine is there and nothing is missing. Comes once the reader has caught up, and
   * at least every 10 s from then on.
   */
  | { readonly type: "current"; readonly head: Place }
  /** The log cannot go on from the reader's place: it was trimmed, or is another one by now. The reader takes the snapshot instead. It ends with this. */
  | { readonly type: "lost"; readonly reason: string };

export interface SharedLog {
  /** For people, without credentials: "etcd://10.0.0.1:2379,10.0.0.2:2379/weft". */
  readonly name: string;
  /**
   * The newest snapshot and its place; undefined where there is none, which is where the log is kept from its start.
   * @throws WeftError "unavailable"
   */
  snapshot(signal: AbortSignal): Promise<LogEntry | undefined>;
  /**
   * The entries after `after`, each whole, once and in order, those that are there and then those to come, until `signal` aborts (then it ends quietly).
   * A short interruption is mended inside (backoff with jitter, another member).
   * @throws WeftError "unavailable" where the engine does not answer, or refuses; the caller tries again. Unreachable where it can tell that there is
   * nobody to connect to
   */
  follow(after: Place, signal: AbortSignal): AsyncIterable<LogEvent>;
  /**
   * Appends an entry, durably and visibly to all at once, if the log ends at `after`; however large it is, nobody ever sees a part of it.
   * @returns "behind" where the log does not end there (nothing was changed)
   * @throws WeftError "unavailable": nothing was and will be appended; or UnknownOutcome: nobody knows whether it was, until the log is read
   */
  append(after: Place, entry: { readonly id: string; readonly bytes: Uint8Array }): Promise<"appended" | "behind">;
  /**
   * Replaces the snapshot, unless there is one of a later place; then drops the entries up to `trimThrough` and whatever a writer that died has left.
   * @throws WeftError "unavailable"
   */
  putSnapshot(snapshot: LogEntry, trimThrough: number): Promise<void>;
  /** Proves that an append would be accepted now (health), without making an entry. @throws WeftError "unavailable" */
  checkWritable(): Promise<void>;
  /** What this engine cannot promise, for the log at start and `weft check`: an outdated version, writes that a failover may lose. */
  warnings(): Promise<readonly string[]>;
  close(): Promise<void>;
}
