/** Which proxies do not trust a bundle yet, by the ledger of ADS: the CA waits for them before it signs with what is new in it. */
import type { LedgerReader } from "../ads/index.ts";
import type { TrustPropagation } from "../ca/index.ts";
import type { Mesh } from "../mesh/types.ts";
import { bundleResource } from "../xds/secret.ts";

export interface PropagationSources {
  /** Undefined while no proxy can be connected. */
  readonly ledger: () => LedgerReader | undefined;
  readonly mesh: () => Mesh | undefined;
}

/**
 * Proxies hold the bundle as a secret, which carries root certificates only: so they are asked about the X.509 authority. A proxy that left while
 * its workload is registered may come back with an SVID that is still good.
 */
export function trustPropagation({ ledger, mesh }: PropagationSources): TrustPropagation {
  return {
    missing(bundle, type) {
      const reader = ledger();
      if (type !== "x509" || !reader) return { connected: [], away: [] };
      const { typeUrl, name, version } = bundleResource(bundle.x509Pem);
      const mayReturn = (id: string) => mesh()?.workloads.get(id)?.spiffeId !== undefined;
      const away = reader.proxies().filter(({ disconnectedAt, id }) => disconnectedAt !== undefined && mayReturn(id));
      return { connected: reader.lagging(typeUrl, name, version), away: away.map(({ id }) => id) };
    },
  };
}
