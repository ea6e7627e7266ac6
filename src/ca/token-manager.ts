/** Keeps a current JWT-SVID for every workload and audience that a proxy sends tokens for. */
import type { Clock } from "../lib/clock.ts";
import { type Failure, Renewals } from "./renewals.ts";
import type { JwtSvid, SpiffeAuthority } from "./types.ts";

export interface TokenManagerOptions {
  readonly authority: Pick<SpiffeAuthority, "issueJwtSvid">;
  readonly clock: Clock;
  /** Uniform in [0, 1). */
  readonly random: () => number;
  /** RenewalsOptions.remote. */
  readonly remote?: boolean;
  /** Told for metrics and logs: never the token. Called synchronously; must not throw. */
  readonly observer?: {
    issued?(event: { readonly spiffeId: string; readonly audience: string }): void;
    failed?(event: Omit<Failure, "key"> & { readonly spiffeId: string; readonly audience: string }): void;
  };
}

export interface TokenListener {
  /** The token now, and each that replaces it. */
  readonly onToken: (token: JwtSvid) => void;
  /** Issuance failed, and is tried again. */
  readonly onFailure?: () => void;
}

type KeptToken = JwtSvid & { readonly notBefore: number; readonly notAfter: number };

/** The key that entries go by: no SPIFFE ID holds a space. */
const keyOf = (spiffeId: string, audience: string) => `${spiffeId} ${audience}`;
const partsOf = (key: string) => {
  const space = key.indexOf(" ");
  return { spiffeId: key.slice(0, space), audience: key.slice(space + 1) };
};

export class TokenManager {
  readonly #renewals: Renewals<KeptToken>;
  readonly #onFailure = new Map<string, Set<() => void>>();
  /** Keys of which there is no token, because issuance failed. */
  readonly #missing = new Set<string>();

  constructor({ authority, clock, random, observer, remote }: TokenManagerOptions) {
    this.#renewals = new Renewals({
      issue: async (key) => {
        const { spiffeId, audience } = partsOf(key);
        const svid = await authority.issueJwtSvid(spiffeId, [audience]);
        return { ...svid, notBefore: svid.issuedAt, notAfter: svid.expiresAt };
      },
      clock,
      random,
      remote,
      issued: ({ spiffeId, audience: [audience = ""] }) => {
        this.#missing.delete(keyOf(spiffeId, audience));
        observer?.issued?.({ spiffeId, audience });
      },
      failed: ({ key, ...failure }) => {
        if (failure.expires === undefined) this.#missing.add(key);
        observer?.failed?.({ ...partsOf(key), ...failure });
        for (const tell of [...(this.#onFailure.get(key) ?? [])]) tell();
      },
    });
  }

  /** Until the returned function is called. */
  subscribe(spiffeId: string, audience: string, { onToken, onFailure }: TokenListener): () => void {
    const key = keyOf(spiffeId, audience);
    const failures = this.#onFailure.get(key) ?? new Set();
    this.#onFailure.set(key, failures);
    // Wrapped, so that one function given twice is two.
    const tell = () => onFailure?.();
    failures.add(tell);
    if (this.#missing.has(key)) tell();
    const stop = this.#renewals.subscribe(key, onToken);
    return () => {
      stop();
      failures.delete(tell);
      if (failures.size > 0) return;
      this.#onFailure.delete(key);
      this.#missing.delete(key);
    };
  }

  /** Replaces every token: what signed them is to be used no more. */
  reissue(): void {
    this.#renewals.reissue();
  }

  close(): void {
    this.#renewals.close();
  }
}
