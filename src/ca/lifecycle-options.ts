/** What a Lifecycle is made of, and whom it tells. */
import type { Clock } from "../lib/clock.ts";
import type { WeftError } from "../lib/errors.ts";
import type { KeyPair } from "./crypto.ts";
import type { Disk } from "./disk.ts";
import type { Journal } from "./journal.ts";
import type { KeyVault } from "./key-vault.ts";
import type { Lifetimes } from "./lifetimes.ts";
import type { Waiting } from "./propagation.ts";
import type { RotationReason } from "./schedule.ts";
import type { SvidType, TrustPropagation } from "./types.ts";
import type { UpstreamWatch } from "./upstream-watch.ts";

/** Told for logs, metrics, and for what must follow. Called synchronously; must not throw. Never given a key. */
export interface CaObserver {
  prepared?(event: { readonly type: SvidType; readonly id: string; readonly reason: RotationReason; readonly notAfter: number }): void;
  /** `leftBehind`: who does not trust it yet, and was waited for as long as the rules say. */
  activated?(event: {
    readonly type: SvidType;
    readonly id: string;
    readonly reason: RotationReason;
    readonly notAfter: number;
    readonly leftBehind: readonly string[];
  }): void;
  retired?(event: { readonly type: SvidType; readonly id: string }): void;
  /** At the beginning of a wait, and when it changes for whom. */
  waiting?(event: Waiting & { readonly type: SvidType }): void;
  /** A step could not be done, and is tried again. */
  failed?(event: { readonly error: WeftError; readonly retryInMs: number }): void;
  /** After each look at the schedule: what is to be warned of may have changed. */
  looked?(): void;
}

export interface LifecycleOptions {
  readonly disk: Disk;
  /** The folder `ca` of the data directory. */
  readonly dir: string;
  readonly clock: Clock;
  readonly lifetimes: Lifetimes;
  readonly vault: KeyVault;
  readonly upstream: UpstreamWatch | undefined;
  readonly propagation: TrustPropagation;
  readonly observer: CaObserver;
  /** What is on the disk. */
  readonly journal: Journal;
  /** By keyName. Those that are not there are lost. */
  readonly keys: ReadonlyMap<string, KeyPair>;
  /** Whether proxies may have been connected to an earlier process. */
  readonly restarted: boolean;
}
