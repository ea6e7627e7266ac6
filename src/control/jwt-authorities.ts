/** The JWT authorities of a bundle, as the mesh takes them: a key set by the issuer that JWT-SVIDs name. */
import type { TrustBundle } from "../ca/index.ts";
import { usableJwks } from "../lib/jwks.ts";
import { issuerOf } from "../mesh/request-authentication.ts";

/** Sorted by kid, so that an authority which takes over changes nothing where all are known. */
export function jwtAuthorities({ trustDomain, jwt }: Pick<TrustBundle, "trustDomain" | "jwt">): ReadonlyMap<string, string> {
  const keys = jwt
    .map(({ kty, crv, x, y, n, e, kid, alg }) => ({ kty, crv, x, y, n, e, kid, alg, use: "sig" }))
    .sort((a, b) => ((a.kid ?? "") < (b.kid ?? "") ? -1 : 1));
  return new Map([[issuerOf(trustDomain), JSON.stringify({ keys })]]);
}

/** Those of the own trust domain and of federated ones, each by its own issuer: nobody's keys verify another's tokens. */
export function allJwtAuthorities(own: TrustBundle, others: readonly TrustBundle[]): ReadonlyMap<string, string> {
  const foreign = others.flatMap((bundle) =>
    [...jwtAuthorities(bundle)].flatMap(([issuer, keys]) => {
      // What another trust domain publishes may be of a sort that Envoy does not know.
      const usable = usableJwks(keys);
      return usable === undefined ? [] : [[issuer, usable] as const];
    }),
  );
  return new Map([...foreign, ...jwtAuthorities(own)]);
}
