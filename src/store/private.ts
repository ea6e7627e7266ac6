/** What every backend's private records share. */
import { WeftError } from "../lib/errors.ts";
import type { PrivateChange } from "./store.ts";

/**
 * @param stored the JSON that is stored under an id
 * @throws WeftError "conflict" where an id of `requires` is not there, one of `absent` is, or one of `expects` is another
 */
export function checkRequired(
  { collection, requires, absent, expects }: Pick<PrivateChange, "collection" | "requires" | "absent" | "expects">,
  stored: (id: string) => string | undefined,
): void {
  const has = (id: string) => stored(id) !== undefined;
  const taken = absent?.find(has);
  if (taken !== undefined) {
    throw new WeftError("conflict", `${collection} ${JSON.stringify(taken)} is there already; nothing was changed`, {
      help: "somebody else was first: read again",
    });
  }
  const changed = expects?.find(({ id, value }) => stored(id) !== (value && JSON.stringify(value)));
  if (changed !== undefined) {
    throw new WeftError("conflict", `${collection} ${JSON.stringify(changed.id)} has changed; nothing was changed`, {
      help: "somebody else was first: read again",
    });
  }
  const missing = requires?.find((id) => !has(id));
  if (missing === undefined) return;
  throw new WeftError("conflict", `${collection} ${JSON.stringify(missing)} is not there any more; nothing was changed`, {
    help: "somebody else used or removed it first: read again",
  });
}

/** Who is told of changes. */
export class PrivateListeners {
  readonly #listeners = new Set<(collection: string) => void>();

  /** @returns what ends it */
  add(listener: (collection: string) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  tell(collection: string): void {
    for (const listener of [...this.#listeners]) listener(collection);
  }
}
