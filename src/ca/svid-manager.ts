/** Keeps a current X.509-SVID for every workload that somebody asks for: one per SPIFFE ID. */
import type { Clock } from "../lib/clock.ts";
import type { WeftError } from "../lib/errors.ts";
import { NOT_BEFORE_BACKDATE_MS } from "./lifetimes.ts";
import { Renewals } from "./renewals.ts";
import type { SpiffeAuthority, X509Svid } from "./types.ts";

export type SvidListener = (svid: X509Svid) => void;

export interface SvidManagerOptions {
  readonly authority: Pick<SpiffeAuthority, "issueX509">;
  readonly clock: Clock;
  /** Uniform in [0, 1). */
  readonly random: () => number;
  readonly observer?: SvidObserver;
  /** When the X.509-SVIDs of `spiffeId` were revoked last, ms since the epoch; 0 where never. Each gets one with a later notBefore as soon as that can be. */
  readonly revokedAt?: (spiffeId: string) => number;
  /** RenewalsOptions.remote. */
  readonly remote?: boolean;
}

/** Told for metrics and logs. Called synchronously; must not throw. Never given a key. */
export interface SvidObserver {
  issued?(event: { readonly spiffeId: string; readonly serial: string; readonly notAfter: number; readonly milliseconds: number }): void;
  /** The old SVID, where there is one, stays in use until `expires` (ms since the epoch). */
  failed?(event: {
    readonly spiffeId: string;
    readonly error: WeftError;
    readonly attempt: number;
    readonly retryInMs: number;
    readonly expires?: number;
  }): void;
}

export class SvidManager extends Renewals<X509Svid> {
  constructor({ authority, clock, random, observer, revokedAt, remote }: SvidManagerOptions) {
    super({
      issue: (spiffeId) => authority.issueX509(spiffeId),
      clock,
      random,
      remote,
      replaceAt(spiffeId) {
        const at = revokedAt?.(spiffeId) ?? 0;
        // notBefore is in whole seconds.
        return at === 0 ? undefined : at + NOT_BEFORE_BACKDATE_MS + 1_000;
      },
      issued: ({ spiffeId, serial, notAfter }, milliseconds) => observer?.issued?.({ spiffeId, serial, notAfter, milliseconds }),
      failed: ({ key: spiffeId, ...failure }) => observer?.failed?.({ spiffeId, ...failure }),
    });
  }
}
