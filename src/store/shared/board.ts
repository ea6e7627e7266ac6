/**
 * Where nodes tell each other what is true now and worth nothing later: that they are there, which proxies they have, which of their workloads
 * are ready. A card is gone when its node has not renewed it for a while. It is a hint: nothing durable hangs on it, and no revision is made.
 */

export interface Board {
  /**
   * Puts up or renews the card of that name: JSON text, at most 512 KiB. It is taken down by the engine when it was not renewed for `ttlMs`.
   * @throws WeftError "unavailable"
   */
  post(name: string, text: string, ttlMs: number): Promise<void>;
  /** @throws WeftError "unavailable" */
  withdraw(name: string): Promise<void>;
  /**
   * All cards by name, now and whenever one comes, changes or goes, until `signal` aborts; changes that come together may be told together.
   * @throws WeftError "unavailable" where the engine cannot be reached: nothing is known of the others then; the caller tries again
   */
  watch(signal: AbortSignal): AsyncIterable<ReadonlyMap<string, string>>;
}
