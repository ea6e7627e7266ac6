/**
 * Which tokens of workloads and WorkloadGroups were taken back. Each token carries the epoch of its holder at its making; to revoke is to raise
 * the epoch, so that all older tokens are refused whatever clocks say, and a new one can be made at once.
 */
import * as v from "valibot";
import type { Caller } from "../admin/context.ts";
import type { TokenHolder } from "../ca/index.ts";
import { WeftError } from "../lib/errors.ts";
import type { Store } from "../store/store.ts";

const COLLECTION = "token-epochs";
const StoredSchema = v.object({ epoch: v.pipe(v.number(), v.integer(), v.minValue(0)) });

export class Revocations {
  readonly #store: Pick<Store, "writePrivate">;
  readonly #epochs = new Map<string, number>();

  private constructor(store: Pick<Store, "writePrivate">) {
    this.#store = store;
  }

  /** @throws WeftError "unavailable" where the store cannot be read, or holds what is none of them */
  static async open(store: Pick<Store, "readPrivate" | "writePrivate">): Promise<Revocations> {
    const revocations = new Revocations(store);
    for (const { id, value } of await store.readPrivate(COLLECTION)) {
      const parsed = v.safeParse(StoredSchema, value);
      // Not to be skipped: tokens that were taken back would be good again.
      if (!parsed.success) throw new WeftError("unavailable", `the store is damaged: the revocation of tokens of ${id} cannot be read`);
      revocations.#epochs.set(id, parsed.output.epoch);
    }
    return revocations;
  }

  /** 0 where no token of `holder` was ever taken back. */
  epochOf(holder: TokenHolder): number {
    return this.#epochs.get(keyOf(holder)) ?? 0;
  }

  /** All tokens of `holder` made until now are refused from now on, also after a restart. @throws WeftError "unavailable": nothing was revoked */
  async revoke(holder: TokenHolder, caller: Caller): Promise<void> {
    const id = keyOf(holder);
    const epoch = this.epochOf(holder) + 1;
    const audit = { ...caller, action: "revoke-token", outcome: "done", targets: [id] } as const;
    await this.#store.writePrivate({ collection: COLLECTION, puts: [{ id, value: { epoch } }], deletes: [], audit });
    this.#epochs.set(id, epoch);
  }
}

function keyOf({ kind, namespace, name }: TokenHolder): string {
  return `${kind} ${namespace}/${name}`;
}
