/**
 * Other trust domains acknowledge nothing: they fetch the bundle when its refresh hint is over. So a new authority is in the bundle for as long as
 * that before it signs, like a proxy that is waited for.
 */
import type { TrustBundle, TrustPropagation } from "../ca/index.ts";
import type { Clock } from "../lib/clock.ts";

/** A poll under way when the hint is over, and what the other side then has to tell its proxies. */
const SLACK_MS = 5_000;

export interface AwaitingPeersOptions {
  readonly clock: Clock;
  readonly refreshHintMs: number;
}

export function awaitingPeers(proxies: TrustPropagation, { clock, refreshHintMs }: AwaitingPeersOptions): TrustPropagation {
  /** Since when a bundle was there to be fetched from this process, by the monotonic clock. */
  const published = new WeakMap<TrustBundle, number>();
  return {
    missing(bundle, type) {
      const { connected, away } = proxies.missing(bundle, type);
      const since = published.get(bundle) ?? clock.monotonic();
      published.set(bundle, since);
      if (clock.monotonic() - since >= refreshHintMs + SLACK_MS) return { connected, away };
      return { connected: [...connected, "trust domains that fetch the bundle"], away };
    },
  };
}
