/**
 * Which workloads had a proxy. The ledger knows those of this process, for an hour or more: one that did not come back after a restart of weft, or
 * left yesterday, is to be named all the same. Local state, no resource: streams come and go without a revision.
 */
import { readFileSync, renameSync, writeFileSync } from "node:fs";
import * as v from "valibot";
import type { LedgerReader } from "../ads/index.ts";
import type { Clock } from "../lib/clock.ts";
import { errnoOf, WeftError } from "../lib/errors.ts";
import type { Mesh } from "../mesh/types.ts";

/** How long what changed may be unwritten: proxies come and go together. */
const WRITE_AFTER_MS = 10_000;
/** Who was away for so long is not expected any more. */
const EXPECTED_MS = 30 * 86_400_000;

const KnownSchema = v.object({
  node: v.string(),
  envoyVersion: v.string(),
  protocol: v.picklist(["delta", "sotw"]),
  address: v.string(),
  /** Milliseconds since the epoch. */
  connectedAt: v.number(),
  /** Absent of those that are there, and in the file of those that were there when weft ended. */
  disconnectedAt: v.optional(v.number()),
});
type Known = v.InferOutput<typeof KnownSchema>;
export type ProxyAway = Known & { readonly id: string; readonly disconnectedAt: number };

export interface KnownProxiesOptions {
  /** The file. */
  readonly path: string;
  readonly ledger: () => LedgerReader | undefined;
  readonly clock: Clock;
  /** What cannot be read or written; weft goes on without. */
  readonly onTrouble: (message: string) => void;
}

export class KnownProxies {
  readonly #options: KnownProxiesOptions;
  readonly #startedAt: number;
  readonly #known: Map<string, Known>;
  #cancel: (() => void) | undefined;
  #troubled = false;
  #mesh: Mesh | undefined;

  constructor(options: KnownProxiesOptions) {
    this.#options = options;
    this.#startedAt = options.clock.now();
    this.#known = this.#load();
    if (this.#known.size > 0) this.changed();
  }

  /** A stream came or went. */
  changed(): void {
    this.#cancel ??= this.#options.clock.after(WRITE_AFTER_MS, () => {
      this.#cancel = undefined;
      this.#save();
    });
  }

  /** A proxy is expected for as long as its workload is registered. */
  follow(mesh: Mesh): void {
    this.#mesh = mesh;
    for (const id of this.#known.keys()) {
      if (mesh.workloads.has(id)) continue;
      this.#known.delete(id);
      this.changed();
    }
  }

  /** Those that the ledger does not tell of. Who has not come back since weft started is away since then: what was before is not known. */
  away(): readonly ProxyAway[] {
    const { ledger, clock } = this.#options;
    const now = clock.now();
    return [...this.#known]
      .map(([id, known]) => ({ ...known, id, disconnectedAt: known.disconnectedAt ?? this.#startedAt }))
      .filter(({ id, disconnectedAt }) => now - disconnectedAt < EXPECTED_MS && ledger()?.proxy(id) === undefined);
  }

  /** To be called while the streams are still there: they end with weft, and not because proxies went away. */
  close(): void {
    if (!this.#cancel) return;
    this.#cancel();
    this.#cancel = undefined;
    this.#save();
  }

  #save(): void {
    const { path, ledger, clock, onTrouble } = this.#options;
    const now = clock.now();
    for (const [id, known] of this.#known) {
      const { disconnectedAt = this.#startedAt } = known;
      if (now - disconnectedAt >= EXPECTED_MS) this.#known.delete(id);
      else this.#known.set(id, { ...known, disconnectedAt });
    }
    for (const { id, node, envoyVersion, protocol, address, connectedAt, disconnectedAt } of ledger()?.proxies() ?? []) {
      if (this.#mesh?.workloads.has(id) === false) continue;
      this.#known.set(id, {
        node,
        envoyVersion,
        protocol,
        address,
        connectedAt,
        ...(disconnectedAt === undefined ? {} : { disconnectedAt }),
      });
    }
    try {
      writeFileSync(`${path}.new`, `${JSON.stringify(Object.fromEntries(this.#known))}\n`, { mode: 0o600 });
      renameSync(`${path}.new`, path);
      this.#troubled = false;
    } catch (reason) {
      if (!this.#troubled) {
        onTrouble(`${path} cannot be written, after a restart proxies that are away will not be named: ${WeftError.from(reason).message}`);
      }
      this.#troubled = true;
    }
  }

  #load(): Map<string, Known> {
    const { path, onTrouble } = this.#options;
    try {
      return new Map(Object.entries(v.parse(v.record(v.string(), KnownSchema), JSON.parse(readFileSync(path, "utf8")))));
    } catch (reason) {
      if (errnoOf(reason) !== "ENOENT") {
        onTrouble(`${path} cannot be read, proxies that do not come back will not be named: ${WeftError.from(reason).message}`);
      }
      return new Map();
    }
  }
}
