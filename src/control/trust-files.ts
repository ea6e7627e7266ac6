/**
 * Proxies on other machines know weft by roots in a file beside them, which `weft proxy run` keeps up to date by asking (proxy/constants.ts,
 * TRUST_CHECK_MS). What a proxy has acknowledged over SDS says nothing of that file: a rotation gives it time.
 */
import type { LedgerReader } from "../ads/index.ts";
import type { TrustBundle, TrustPropagation } from "../ca/index.ts";
import type { Clock } from "../lib/clock.ts";

/** Three times asked: one answer may be lost. */
const TRUST_FILES_MS = 30_000;

/** `propagation`, and besides it those that are connected over TLS, until a bundle has been there for long enough. */
export function awaitingTrustFiles(
  propagation: TrustPropagation,
  { ledger, clock }: { readonly ledger: () => LedgerReader | undefined; readonly clock: Clock },
): TrustPropagation {
  /** By bundle: when it was seen first, on the monotonic clock. */
  const since = new WeakMap<TrustBundle, number>();
  return {
    missing(bundle, type) {
      const missing = propagation.missing(bundle, type);
      if (type !== "x509") return missing;
      const first = since.get(bundle) ?? clock.monotonic();
      since.set(bundle, first);
      if (clock.monotonic() - first >= TRUST_FILES_MS) return missing;
      const remote = (ledger()?.proxies() ?? []).filter(
        ({ transport, disconnectedAt }) => transport === "tls" && disconnectedAt === undefined,
      );
      return { ...missing, connected: [...new Set([...missing.connected, ...remote.map(({ id }) => id)])].sort() };
    },
  };
}
