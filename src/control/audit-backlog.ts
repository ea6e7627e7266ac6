/**
 * Audit records of a node whose shared store is away, on the node's own disk until they can be written down: what it does for its own workloads meanwhile
 * is done, and goes on record later. One line of JSON each in DATA/audit-backlog.jsonl (0600).
 */
import { closeSync, fsyncSync, openSync, readFileSync, renameSync, rmSync, writeSync } from "node:fs";
import * as v from "valibot";
import type { AuditEvent } from "../lib/audit.ts";
import type { Clock } from "../lib/clock.ts";
import { errnoOf, WeftError } from "../lib/errors.ts";
import type { Store } from "../store/store.ts";

export interface AuditBacklogOptions {
  readonly store: Pick<Store, "recordAudit" | "standing" | "onPrivate">;
  readonly path: string;
  readonly clock: Clock;
  readonly onTrouble: (message: string) => void;
}

/** Of deeds. Refusals are let go earlier: whoever makes them shall not keep deeds from being done. */
const MOST = 10_000;
const MOST_REFUSED = 1_000;
/** Tried so often, besides when the store says that it is in touch. */
const AGAIN_MS = 5_000;

const LineSchema = v.object({
  who: v.string(),
  from: v.string(),
  action: v.string(),
  outcome: v.picklist(["done", "refused"]),
  targets: v.array(v.string()),
  reason: v.optional(v.string()),
  count: v.optional(v.number()),
});

export class AuditBacklog {
  readonly #options: AuditBacklogOptions;
  /** Oldest first; as in the file. */
  #events: AuditEvent[];
  #writing: Promise<void> | undefined;
  #cancel = () => {};
  readonly #stop: () => void;

  constructor(options: AuditBacklogOptions) {
    this.#options = options;
    this.#events = read(options.path);
    this.#stop = options.store.onPrivate((collection) => {
      if (collection === "") this.#look();
    });
    this.#look();
  }

  get size(): number {
    return this.#events.length;
  }

  /** Into the store; where that follows an engine which is away, onto this node's disk. @throws WeftError "unavailable" where neither can be */
  async record(event: AuditEvent): Promise<void> {
    const { store } = this.#options;
    if (store.standing?.().inTouch !== false) {
      try {
        return void (await store.recordAudit(event));
      } catch (reason) {
        if (!store.standing || WeftError.from(reason).code !== "unavailable") throw reason;
      }
    }
    this.#keep(event);
  }

  async close(): Promise<void> {
    this.#stop();
    this.#cancel();
    await this.#writing;
  }

  #keep(event: AuditEvent): void {
    const { store, path, clock } = this.#options;
    if (this.#events.length >= (event.outcome === "done" ? MOST : MOST_REFUSED)) {
      throw new WeftError(
        "unavailable",
        `${store.standing?.().engine ?? "the store"} is away, and ${path} is full of what is to be audited`,
        {
          help: "bring the engine back",
        },
      );
    }
    const late = `on record later, it was at ${new Date(clock.now()).toISOString()}`;
    const kept = { ...event, reason: event.reason === undefined ? late : `${event.reason} (${late})` };
    append(path, "a", [kept]);
    this.#events.push(kept);
    this.#again();
  }

  #look(): void {
    if (this.#events.length > 0 && this.#options.store.standing?.().inTouch !== false) this.#write();
    else this.#again();
  }

  #again(): void {
    this.#cancel();
    if (this.#events.length > 0) this.#cancel = this.#options.clock.after(AGAIN_MS, () => this.#look());
  }

  #write(): void {
    this.#writing ??= this.#writeAll()
      .catch((reason) => this.#options.onTrouble(`what is to be audited is kept on this node for now: ${WeftError.from(reason).message}`))
      .finally(() => {
        this.#writing = undefined;
        this.#again();
      });
  }

  /** A record may come twice, after an end in the midst of it or an answer that was lost; none is left out. */
  async #writeAll(): Promise<void> {
    const { store, path } = this.#options;
    let written = 0;
    try {
      for (let event = this.#events[0]; event; event = this.#events[written]) {
        await store.recordAudit(event);
        written += 1;
      }
    } finally {
      this.#events = this.#events.slice(written);
      if (this.#events.length === 0) rmSync(path, { force: true });
      else if (written > 0) replace(path, this.#events);
    }
  }
}

/** @throws WeftError "unavailable": the disk */
function append(path: string, flags: "a" | "w", events: readonly AuditEvent[]): void {
  try {
    const file = openSync(path, flags, 0o600);
    try {
      writeSync(file, events.map((event) => `${JSON.stringify(event)}\n`).join(""));
      fsyncSync(file);
    } finally {
      closeSync(file);
    }
  } catch (cause) {
    throw new WeftError("unavailable", `${path} cannot be written: ${errnoOf(cause) ?? "unknown"}`, {
      help: "make room on its disk",
      cause,
    });
  }
}

/** @throws WeftError "unavailable" */
function read(path: string): AuditEvent[] {
  try {
    const lines = readFileSync(path, "utf8").split("\n");
    // The last one was cut off by the end of the process, and not answered for.
    const torn = lines.pop() !== "";
    const events = lines.map((line) => v.parse(LineSchema, JSON.parse(line)));
    if (torn) replace(path, events);
    return events;
  } catch (cause) {
    if (errnoOf(cause) === "ENOENT") return [];
    throw new WeftError("unavailable", `${path}, what is still to be audited, cannot be read`, {
      help: "put it back from a backup, or remove it",
      cause,
    });
  }
}

function replace(path: string, events: readonly AuditEvent[]): void {
  append(`${path}.new`, "w", events);
  renameSync(`${path}.new`, path);
}
