/**
 * What the proxies of a WorkloadGroup's instances said last of their applications. Local state, no resource: it changes with every hiccup,
 * and must make no revision. Kept in the data directory, because a restart of weft must neither empty nor fill a service.
 */
import { readFileSync, renameSync, writeFileSync } from "node:fs";
import { errnoOf } from "../lib/errors.ts";
import type { WorkloadHealth } from "../mesh/settings.ts";

export interface WorkloadHealthOptions {
  /** The file. */
  readonly path: string;
  /** Something changed that decides on endpoints. */
  readonly onChange: () => void;
  /** What cannot be read or written; weft goes on without. */
  readonly onTrouble: (message: string) => void;
}

export class WorkloadHealthKeeper {
  readonly #options: WorkloadHealthOptions;
  #all: ReadonlyMap<string, WorkloadHealth>;

  constructor(options: WorkloadHealthOptions) {
    this.#options = options;
    this.#all = this.#load();
  }

  /** By workload key; another map after each change. */
  get all(): ReadonlyMap<string, WorkloadHealth> {
    return this.#all;
  }

  report(key: string, health: WorkloadHealth): void {
    if (Bun.deepEquals(this.#all.get(key), health)) return;
    this.#set(new Map(this.#all).set(key, health));
  }

  /** The workload is gone, or another instance: nothing is known of it. */
  forget(key: string): void {
    if (!this.#all.has(key)) return;
    const left = new Map(this.#all);
    left.delete(key);
    this.#set(left);
  }

  #set(all: ReadonlyMap<string, WorkloadHealth>): void {
    this.#all = all;
    const { path, onChange, onTrouble } = this.#options;
    onChange();
    try {
      writeFileSync(`${path}.new`, `${JSON.stringify(Object.fromEntries(all), null, 2)}\n`, { mode: 0o600 });
      renameSync(`${path}.new`, path);
    } catch (reason) {
      onTrouble(`${path} cannot be written, after a restart instances are ready when they say so again: ${messageOf(reason)}`);
    }
  }

  #load(): ReadonlyMap<string, WorkloadHealth> {
    const { path, onTrouble } = this.#options;
    try {
      const kept = Object.entries(JSON.parse(readFileSync(path, "utf8")) as Record<string, Partial<WorkloadHealth> | null>);
      return new Map(
        kept.flatMap(([key, health]): [string, WorkloadHealth][] => {
          if (typeof health?.ready !== "boolean") return [];
          return [[key, typeof health.message === "string" ? { ready: health.ready, message: health.message } : { ready: health.ready }]];
        }),
      );
    } catch (reason) {
      if (errnoOf(reason) !== "ENOENT")
        onTrouble(`${path} cannot be read, instances are ready when they say so again: ${messageOf(reason)}`);
      return new Map();
    }
  }
}

function messageOf(reason: unknown): string {
  return reason instanceof Error ? reason.message : String(reason);
}
