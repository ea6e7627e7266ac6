/** Keeps the file of whom Envoy trusts at ADS up to date. */
import type { Clock } from "../lib/clock.ts";
import type { AdsTls } from "./bootstrap.ts";
import { TRUST_CHECK_MS } from "./constants.ts";
import { writeTrustFile } from "./trust-file.ts";

export class TrustFollower {
  readonly path: string;
  readonly #clock: Clock;
  #written: AdsTls | undefined;

  constructor(path: string, clock: Clock) {
    this.path = path;
    this.#clock = clock;
  }

  /** What a bootstrap says; nothing to do where Envoy goes to ADS without TLS. */
  async take(tls: AdsTls | undefined): Promise<void> {
    if (!tls || (tls.roots === this.#written?.roots && tls.spiffeId === this.#written.spiffeId)) return;
    await writeTrustFile(this.path, tls);
    this.#written = tls;
  }

  /**
   * Asks for the roots (PEM) every TRUST_CHECK_MS until the returned function is called. Where there is no answer, what is trusted stays, and it
   * is asked again: the renewal of the token tells of a weft that is away for long.
   */
  follow(roots: (() => Promise<string>) | undefined): () => void {
    if (!roots || !this.#written) return () => {};
    let stopped = false;
    let cancel = () => {};
    const wait = () => {
      cancel = this.#clock.after(TRUST_CHECK_MS, () => void ask());
    };
    const ask = async () => {
      const pem = await roots().catch(() => undefined);
      if (stopped) return;
      if (pem !== undefined && this.#written) await this.take({ ...this.#written, roots: pem }).catch(() => {});
      if (!stopped) wait();
    };
    wait();
    return () => {
      stopped = true;
      cancel();
    };
  }
}
