/** JWT-SVIDs by identity and audience, each given out until half of its life is over. Signing is most of what a call costs. */
import type { Clock } from "../lib/clock.ts";
import type { KeptJwtSvid, WorkloadApiOptions } from "./types.ts";

export class JwtSvids {
  readonly #issue: WorkloadApiOptions["issueJwtSvid"];
  readonly #clock: Clock;
  readonly #most: number;
  /** The one that was not asked for longest first. */
  readonly #kept = new Map<string, Promise<KeptJwtSvid>>();

  constructor(issue: WorkloadApiOptions["issueJwtSvid"], clock: Clock, most: number) {
    this.#issue = issue;
    this.#clock = clock;
    this.#most = most;
  }

  /** @throws WeftError "invalid" (the audience), "unavailable" */
  async get(spiffeId: string, audience: readonly string[]): Promise<KeptJwtSvid> {
    const key = JSON.stringify([spiffeId, audience]);
    const kept = await this.#kept.get(key)?.catch(() => undefined);
    const now = this.#clock.now();
    // A token of the future was made while the clock was wrong.
    if (kept && kept.issuedAt <= now && now < (kept.issuedAt + kept.expiresAt) / 2) return this.#keep(key, Promise.resolve(kept));
    return this.#keep(key, this.#issue(spiffeId, audience));
  }

  /** The keys that sign may have changed: what they signed is not given out again. */
  clear(): void {
    this.#kept.clear();
  }

  #keep(key: string, svid: Promise<KeptJwtSvid>): Promise<KeptJwtSvid> {
    this.#kept.delete(key);
    this.#kept.set(key, svid);
    svid.catch(() => {
      if (this.#kept.get(key) === svid) this.#kept.delete(key);
    });
    const [oldest] = this.#kept.keys();
    if (this.#kept.size > this.#most && oldest !== undefined) this.#kept.delete(oldest);
    return svid;
  }
}
