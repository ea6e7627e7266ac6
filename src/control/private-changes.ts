/** Takes up what another node changed of what weft keeps for itself: access tokens, and what was revoked. */
import { WeftError } from "../lib/errors.ts";
import type { Store } from "../store/store.ts";
import { ACCESS_TOKENS, type AccessTokens } from "./access-tokens.ts";
import { REVOCATIONS, type Revocations } from "./revocations.ts";

export interface PrivateReaders {
  readonly store: Pick<Store, "onPrivate">;
  readonly access: Pick<AccessTokens, "reload">;
  readonly revocations: Pick<Revocations, "reload">;
  readonly log: { warning(message: string): void };
}

/**
 * From now on, and what has come since they were opened: a store that catches up does not wait for that.
 * @param onRevoked after what was revoked was read, and whoever revoked it here has gone on with it
 * @returns what ends it
 */
export function followPrivate({ store, access, revocations, log }: PrivateReaders, onRevoked: () => void): () => void {
  const read = async (collection: string) => {
    if (collection === ACCESS_TOKENS) await access.reload();
    if (collection !== REVOCATIONS) return;
    await revocations.reload();
    setImmediate(onRevoked);
  };
  const take = (collection: string) => {
    read(collection).catch((reason) =>
      log.warning(`what another node changed of ${collection} cannot be taken up, what was known stays: ${WeftError.from(reason).message}`),
    );
  };
  const stop = store.onPrivate(take);
  for (const collection of [ACCESS_TOKENS, REVOCATIONS]) take(collection);
  return stop;
}
