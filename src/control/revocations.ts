/**
 * Which tokens of workloads and WorkloadGroups were taken back. Each token carries the epoch of its holder at its making; to revoke is to raise
 * the epoch, so that all older tokens are refused whatever clocks say, and a new one can be made at once.
 *
 * An X.509-SVID is shared by all workloads of its SPIFFE ID, and says neither which of them holds it nor an epoch. So with a workload its SPIFFE
 * ID is revoked: what was made before, by the clock that dates it, opens nothing, whoever shows it.
 */
import * as v from "valibot";
import type { Caller } from "../admin/context.ts";
import type { TokenHolder } from "../ca/index.ts";
import type { Clock } from "../lib/clock.ts";
import { WeftError } from "../lib/errors.ts";
import type { PrivateRecord, Store } from "../store/store.ts";

export const REVOCATIONS = "token-epochs";
/** `at`: milliseconds since the epoch; none where an earlier weft wrote it. */
const StoredSchema = v.object({ epoch: v.pipe(v.number(), v.integer(), v.minValue(0)), at: v.optional(v.number()) });

/** Each time somebody else has revoked something of the same, so it ends. */
const MOST_TRIES = 10;

export class Revocations {
  readonly #store: Pick<Store, "readPrivate" | "writePrivate">;
  readonly #clock: Clock;
  readonly #epochs = new Map<string, number>();
  readonly #times = new Map<string, number>();

  private constructor(store: Pick<Store, "readPrivate" | "writePrivate">, clock: Clock) {
    this.#store = store;
    this.#clock = clock;
  }

  /** @throws WeftError "unavailable" where the store cannot be read, or holds what is none of them */
  static async open(store: Pick<Store, "readPrivate" | "writePrivate">, clock: Clock): Promise<Revocations> {
    const revocations = new Revocations(store, clock);
    await revocations.reload();
    return revocations;
  }

  /** After another node revoked something; nothing that was revoked comes back. @throws as `open`, after all that can be read was taken up */
  async reload(): Promise<void> {
    await this.#reload();
  }

  /** @returns the records as they are stored. @throws as `reload`, of `ids` alone where they are given */
  async #reload(ids?: readonly string[]): Promise<ReadonlyMap<string, PrivateRecord["value"]>> {
    const records = await this.#store.readPrivate(REVOCATIONS);
    const damaged = records.filter(({ id, value }) => !this.#take(id, value)).find(({ id }) => ids?.includes(id) ?? true);
    // Not to be skipped: tokens that were taken back would be good again.
    if (damaged) throw new WeftError("unavailable", `the store is damaged: the revocation of tokens of ${damaged.id} cannot be read`);
    return new Map(records.map(({ id, value }) => [id, value]));
  }

  /** @returns whether it could be read */
  #take(id: string, value: unknown): boolean {
    const parsed = v.safeParse(StoredSchema, value);
    if (!parsed.success) return false;
    this.#epochs.set(id, Math.max(this.#epochs.get(id) ?? 0, parsed.output.epoch));
    this.#times.set(id, Math.max(this.#times.get(id) ?? 0, parsed.output.at ?? 0));
    return true;
  }

  /** 0 where no token of `holder` was ever taken back. */
  epochOf(holder: TokenHolder): number {
    return this.#epochs.get(keyOf(holder)) ?? 0;
  }

  /**
   * When it was done last, milliseconds since the epoch; 0 where never. Certificates carry no epoch: those made before are refused. By the clock, but
   * the one that dates them.
   */
  timeOf(holder: TokenHolder): number {
    return this.#times.get(keyOf(holder)) ?? 0;
  }

  /** As timeOf, of the X.509-SVIDs of a SPIFFE ID. */
  timeOfSvids(spiffeId: string): number {
    return this.#times.get(spiffeId) ?? 0;
  }

  /**
   * All tokens of `holder` and all X.509-SVIDs of `spiffeIds` made until now are refused from now on, also after a restart.
   * @throws WeftError "unavailable": nothing was revoked
   */
  async revoke(holder: TokenHolder, spiffeIds: readonly string[], caller: Caller): Promise<void> {
    const targets = [keyOf(holder), ...spiffeIds];
    for (let tries = 1; ; tries++) {
      const stored = await this.#reload(targets);
      // By a clock that is behind another node's, what that one has revoked would be good again.
      const puts = targets.map((id) => ({
        id,
        value: { epoch: (this.#epochs.get(id) ?? 0) + 1, at: Math.max(this.#clock.now(), this.#times.get(id) ?? 0) },
      }));
      try {
        await this.#store.writePrivate({
          collection: REVOCATIONS,
          puts,
          deletes: [],
          // Two nodes that raise an epoch to the same number would leave what was made between them good.
          expects: targets.map((id) => ({ id, value: stored.get(id) })),
          audit: { ...caller, action: "revoke-token", outcome: "done", targets },
        });
        for (const { id, value } of puts) this.#take(id, value);
        return;
      } catch (reason) {
        if (!(reason instanceof WeftError) || reason.code !== "conflict" || tries === MOST_TRIES) throw reason;
      }
    }
  }
}

function keyOf({ kind, namespace, name }: TokenHolder): string {
  return `${kind} ${namespace}/${name}`;
}
