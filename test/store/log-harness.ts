/** What the tests of shared logs and boards share: readers that remember what they were told, and limits on every wait. */
import { afterEach } from "bun:test";
import type { Board } from "../../src/store/shared/board.ts";
import { type LogEntry, type LogEvent, type Place, type SharedLog, START } from "../../src/store/shared/log.ts";

/** As one node holds it. */
export interface Client {
  readonly log: SharedLog;
  readonly board: Board;
}

/** A log that nobody has written to, and the first client of it. */
export interface Engine extends Client {
  /** One more client of the same log, as another node would open it. */
  another(): Promise<Client>;
  /** Closes all clients, and removes what they left. */
  dispose(): Promise<void>;
}

export type OpenEngine = () => Promise<Engine>;

/** No wait of a test is longer, unless it says so. */
const LIMIT_MS = 20_000;

export function within<T>(promise: Promise<T>, what: string, milliseconds = LIMIT_MS): Promise<T> {
  let timer: ReturnType<typeof setTimeout>;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what}: not within ${milliseconds} ms`)), milliseconds);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

/** Opens engines for one describe block, and disposes of them, and of all their readers, after each of its tests. */
export function engines(open: OpenEngine) {
  const opened: Engine[] = [];
  const aborts: AbortController[] = [];
  afterEach(async () => {
    for (const abort of aborts.splice(0)) abort.abort();
    for (const engine of opened.splice(0)) await engine.dispose();
  });
  return {
    async start(): Promise<Engine> {
      const engine = await open();
      opened.push(engine);
      return engine;
    },
    read(log: SharedLog, after: Place = START): Reader {
      const abort = new AbortController();
      aborts.push(abort);
      return new Reader(log, after, abort);
    },
    /** The board as `board` tells it: `until` waits for a state. */
    look(board: Board): Onlooker {
      const abort = new AbortController();
      aborts.push(abort);
      return new Onlooker(board, abort);
    },
  };
}

/** Takes events one by one, as they are asked for, and keeps the entries. */
export class Reader {
  readonly entries: LogEntry[] = [];
  readonly #abort: AbortController;
  readonly #events: AsyncIterator<LogEvent>;

  constructor(log: SharedLog, after: Place, abort: AbortController) {
    this.#abort = abort;
    this.#events = log.follow(after, abort.signal)[Symbol.asyncIterator]();
  }

  /** "ended" once the log has. */
  async next(limitMs?: number): Promise<LogEvent | "ended"> {
    const { value, done } = await within(this.#events.next(), "the next event of the log", limitMs);
    if (done) return "ended";
    if (value.type === "entry") this.entries.push({ place: value.place, bytes: value.bytes });
    return value;
  }

  /** Takes events up to the first that fits; throws where the log ends before. */
  async until<T extends LogEvent["type"]>(type: T, fits: (event: Extract<LogEvent, { type: T }>) => boolean = () => true) {
    for (;;) {
      const event = await this.next();
      if (event === "ended") throw new Error(`the log ended before "${type}"`);
      if (event.type !== type && event.type === "lost") throw new Error(`the log was lost before "${type}": ${event.reason}`);
      const wanted = event as Extract<LogEvent, { type: T }>;
      if (event.type === type && fits(wanted)) return wanted;
    }
  }

  /** Up to the proof that the log ends at `head`. */
  async upTo(head: Place): Promise<readonly LogEntry[]> {
    await this.until("current", (event) => event.head.sequence === head.sequence && event.head.id === head.id);
    return this.entries;
  }

  abort(): void {
    this.#abort.abort();
  }
}

export class Onlooker {
  readonly #abort: AbortController;
  readonly #states: AsyncIterator<ReadonlyMap<string, string>>;
  #last: ReadonlyMap<string, string> | undefined;

  constructor(board: Board, abort: AbortController) {
    this.#abort = abort;
    this.#states = board.watch(abort.signal)[Symbol.asyncIterator]();
  }

  async next(): Promise<ReadonlyMap<string, string> | "ended"> {
    const { value, done } = await within(this.#states.next(), "the board's next state");
    if (done) return "ended";
    this.#last = value;
    return value;
  }

  /** The first state, from the last one seen, that fits. */
  async until(fits: (cards: ReadonlyMap<string, string>) => boolean): Promise<ReadonlyMap<string, string>> {
    while (this.#last === undefined || !fits(this.#last)) {
      if ((await this.next()) === "ended") throw new Error("the board's watch ended");
    }
    return this.#last;
  }

  abort(): void {
    this.#abort.abort();
  }
}

/** `size` bytes that differ from place to place. */
export function bytesOf(size: number, seed = 1): Uint8Array {
  const bytes = new Uint8Array(size);
  let state = seed * 2_654_435_761;
  for (let index = 0; index < size; index++) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    bytes[index] = state >>> 24;
  }
  return bytes;
}

export const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);
export const utf8 = (content: string): Uint8Array => new TextEncoder().encode(content);

/** An entry after `after` that holds `content`: its place, and what append() said. */
export async function append(log: SharedLog, after: Place, content: string | Uint8Array) {
  const id = crypto.randomUUID();
  const bytes = typeof content === "string" ? utf8(content) : content;
  const place: Place = { sequence: after.sequence + 1, id };
  return { place, outcome: await within(log.append(after, { id, bytes }), "the append", 60_000) };
}

/** Entries one after the other; throws where one is not appended. @returns all their places, `after` first */
export async function appendAll(log: SharedLog, after: Place, contents: readonly (string | Uint8Array)[]): Promise<Place[]> {
  const places = [after];
  for (const content of contents) {
    const { place, outcome } = await append(log, places.at(-1) ?? after, content);
    if (outcome !== "appended") throw new Error(`${outcome} instead of appended`);
    places.push(place);
  }
  return places;
}

/** Where the log ends now. */
export async function headOf(log: SharedLog): Promise<Place> {
  const abort = new AbortController();
  const { sequence, id } = (await snapshotPlace(log, abort.signal)) ?? START;
  const reader = new Reader(log, { sequence, id }, abort);
  const { head } = await reader.until("current");
  reader.abort();
  return head;
}

async function snapshotPlace(log: SharedLog, signal: AbortSignal): Promise<Place | undefined> {
  return (await within(log.snapshot(signal), "the snapshot"))?.place;
}
