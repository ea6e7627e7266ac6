/** Which proxies do not trust a bundle yet, by the ledger of ADS: the CA waits for them before it signs with what is new in it. */
import type { LedgerReader } from "../ads/index.ts";
import type { TrustBundle, TrustPropagation } from "../ca/index.ts";
import { issuerOf } from "../mesh/request-authentication.ts";
import type { Mesh } from "../mesh/types.ts";
import { jwtResource } from "../xds/filters/jwt.ts";
import { bundleResources, type Federated } from "../xds/secret.ts";
import { jwtAuthorities } from "./jwt-authorities.ts";

export interface PropagationSources {
  /** Undefined while no proxy can be connected. */
  readonly ledger: () => LedgerReader | undefined;
  readonly mesh: () => Mesh | undefined;
  /** Whom proxies trust besides; nobody where absent. */
  readonly federation?: () => Federated;
}

/**
 * Proxies hold the root certificates as a secret, under one of its names, and the keys of JWT-SVIDs in their JWT filters. A proxy that left while
 * its workload is registered may come back with an SVID that is still good, or verify one.
 */
export function trustPropagation({ ledger, mesh, federation }: PropagationSources): TrustPropagation {
  return {
    missing(bundle, type) {
      const reader = ledger();
      if (!reader) return { connected: [], away: [] };
      if (type === "jwt") return withoutKeys(reader, bundle, mesh());
      const federated = federation?.();
      const others = new Set(federated?.domains.map(issuerOf));
      const names = bundleResources(bundle.trustDomain, bundle.x509Pem, federated).filter(({ name }) => !others.has(name));
      const lagging = new Set(names.flatMap(({ typeUrl, name, version }) => reader.lagging(typeUrl, name, version)));
      const mayReturn = (id: string) => mesh()?.workloads.get(id)?.spiffeId !== undefined;
      return { connected: [...lagging].sort(), away: leftBy(reader, mayReturn) };
    },
  };
}

/** Those whose filter verifies the trust domain's tokens, and does not know all of its keys. */
function withoutKeys(reader: LedgerReader, bundle: TrustBundle, mesh: Mesh | undefined): ReturnType<TrustPropagation["missing"]> {
  const issuer = issuerOf(bundle.trustDomain);
  const keys = jwtAuthorities(bundle).get(issuer);
  const connected = new Set<string>();
  const verifying = new Set<string>();
  const known = new Map<string, ReadonlySet<string>>();
  for (const [id, authentication] of mesh?.authentication ?? []) {
    const rules = authentication.rules.filter((rule) => rule.keys.authority === issuer);
    if (rules.length === 0) continue;
    verifying.add(id);
    const { typeUrl, name, version } = jwtResource(authentication);
    // A Mesh that was not built of this bundle yet has told nobody of it.
    const isTold = rules.every((rule) => rule.keys.jwks === keys);
    const key = isTold ? version : "";
    const lagging = known.get(key) ?? new Set(reader.lagging(typeUrl, name, key));
    known.set(key, lagging);
    if (lagging.has(id)) connected.add(id);
  }
  return { connected: [...connected].sort(), away: leftBy(reader, (id) => verifying.has(id)) };
}

function leftBy(reader: LedgerReader, counts: (id: string) => boolean): readonly string[] {
  return reader.proxies().flatMap(({ disconnectedAt, id }) => (disconnectedAt !== undefined && counts(id) ? [id] : []));
}
