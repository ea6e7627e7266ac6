/** The JWT authorities of a bundle, as the mesh takes them: a key set by the issuer that JWT-SVIDs name. */
import type { TrustBundle } from "../ca/index.ts";
import { issuerOf } from "../mesh/request-authentication.ts";

/** Sorted by kid, so that an authority which takes over changes nothing where all are known. */
export function jwtAuthorities({ trustDomain, jwt }: Pick<TrustBundle, "trustDomain" | "jwt">): ReadonlyMap<string, string> {
  const keys = jwt
    .map(({ kty, crv, x, y, kid, alg }) => ({ kty, crv, x, y, kid, alg, use: "sig" }))
    .sort((a, b) => ((a.kid ?? "") < (b.kid ?? "") ? -1 : 1));
  return new Map([[issuerOf(trustDomain), JSON.stringify({ keys })]]);
}
