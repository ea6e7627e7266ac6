/** Renews the token of a running Envoy before it ends, or when it is not taken any more, and tells when that does not work. */
import type { Clock } from "../lib/clock.ts";
import { CONNECTION_CHECK_MS, TOKEN_LOW_SHARE, TOKEN_RENEW_SHARE, TOKEN_RETRY_FIRST_MS, TOKEN_RETRY_LONGEST_MS } from "./constants.ts";
import type { TokenLife } from "./token-life.ts";

export interface RenewOptions {
  readonly clock: Clock;
  /** The token that Envoy has now. */
  readonly life: TokenLife;
  /** Puts a new one in its place, and tells how long that is good; undefined where it does not say. */
  readonly renew: () => Promise<TokenLife | undefined>;
  /** Whether Envoy has a stream to weft; rejects where Envoy does not say. */
  readonly isConnected: () => Promise<boolean>;
  readonly log: (level: "info" | "warn", message: string) => void;
}

/** Goes on until the returned function is called. */
export function keepTokenFresh(options: RenewOptions): () => void {
  const keeper = new TokenKeeper(options);
  return () => keeper.stop();
}

class TokenKeeper {
  readonly #options: RenewOptions;
  #life: TokenLife;
  #stopped = false;
  #trying = false;
  #failures = 0;
  #disconnected = 0;
  #cancelRenewal = () => {};
  #cancelCheck = () => {};

  constructor(options: RenewOptions) {
    this.#options = options;
    this.#life = options.life;
    this.#plan();
    this.#watch();
  }

  stop(): void {
    this.#stopped = true;
    this.#cancelRenewal();
    this.#cancelCheck();
  }

  #plan(): void {
    const { clock } = this.#options;
    const { issuedAt, expiresAt } = this.#life;
    const dueAt = issuedAt + (expiresAt - issuedAt) * TOKEN_RENEW_SHARE;
    this.#cancelRenewal = clock.after(Math.max(0, dueAt - clock.now()), () => void this.#try());
  }

  /** A token that was revoked, or that a weft with another key does not know, is found out by Envoy alone. */
  #watch(): void {
    const { clock, isConnected } = this.#options;
    this.#cancelCheck = clock.after(CONNECTION_CHECK_MS, async () => {
      const connected = await isConnected().catch(() => true);
      if (this.#stopped) return;
      this.#disconnected = connected ? 0 : this.#disconnected + 1;
      this.#watch();
      // Once may be a restart of weft's; while it is tried again anyway, that is enough.
      if (this.#disconnected === 2 && this.#failures === 0) {
        this.#disconnected = 0;
        this.#cancelRenewal();
        await this.#try();
      }
    });
  }

  async #try(): Promise<void> {
    const { clock, renew, log } = this.#options;
    if (this.#trying) return;
    this.#trying = true;
    try {
      const next = await renew();
      if (this.#stopped) return;
      if (this.#failures > 0) log("info", "weft answers again: this Envoy has a new token");
      this.#failures = 0;
      if (!next) return;
      this.#life = next;
      this.#plan();
    } catch (reason) {
      if (this.#stopped) return;
      this.#failures += 1;
      this.#tell(reason);
      const waitMs = Math.min(TOKEN_RETRY_LONGEST_MS, TOKEN_RETRY_FIRST_MS * 2 ** (this.#failures - 1));
      this.#cancelRenewal = clock.after(waitMs, () => void this.#try());
    } finally {
      this.#trying = false;
    }
  }

  /** Not before it is late: weft may be away for a while. Then with each try, a minute apart. */
  #tell(reason: unknown): void {
    const { clock, log } = this.#options;
    const { issuedAt, expiresAt } = this.#life;
    const left = expiresAt - clock.now();
    if (left > (expiresAt - issuedAt) * TOKEN_LOW_SHARE) return;
    const end = new Date(expiresAt).toISOString();
    const why = reason instanceof Error ? reason.message : String(reason);
    log(
      "warn",
      `there is no new token (${why}); the present one ${left > 0 ? `ends at ${end}` : `ended at ${end}`}. Without one this Envoy goes on with what ` +
        "it has, but cannot connect to weft again; it is tried again",
    );
  }
}
