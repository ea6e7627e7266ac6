/** The responses of the Workload API, whole each time (SPIFFE Workload API, 4.3). */
import { createPrivateKey, X509Certificate } from "node:crypto";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import type { TrustBundle, X509Svid } from "../ca/index.ts";
import {
  JWTBundlesResponseSchema,
  X509BundlesResponseSchema,
  X509SVIDResponseSchema,
  type X509SVIDSchema,
} from "../gen/spiffe/workload_pb.ts";
import type { Entitlement } from "./registrations.ts";

const idOf = ({ trustDomain }: TrustBundle) => `spiffe://${trustDomain}`;

const CERTIFICATE = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g;

/** Certificates one after the other, as ASN.1 DER. */
function derOf(pem: string): Uint8Array {
  return Buffer.concat((pem.match(CERTIFICATE) ?? []).map((one) => new X509Certificate(one).raw));
}

/** Bundles and SVIDs are objects that never change: what was made of one holds for as long as it lives. */
function kept<Key extends object, Value>(make: (key: Key) => Value): (key: Key) => Value {
  const known = new WeakMap<Key, Value>();
  return (key) => {
    const found = known.get(key) ?? make(key);
    known.set(key, found);
    return found;
  };
}

const x509BundleOf = kept(({ x509Pem }: TrustBundle) => derOf(x509Pem));

/** A JWK Set with the keys for JWT-SVIDs, and no others (6.2.2). */
const jwtBundleOf = kept(({ jwt }: TrustBundle) =>
  new TextEncoder().encode(JSON.stringify({ keys: jwt.map((key) => ({ ...key, use: "jwt-svid" })) })),
);

const partsOf = kept((svid: X509Svid) => ({
  x509Svid: derOf(svid.chainPem),
  x509SvidKey: new Uint8Array(createPrivateKey(svid.privateKeyPem).export({ type: "pkcs8", format: "der" })),
}));

/** @param svids In the order of the entitlements */
export function x509SvidResponse(
  entitlements: readonly Entitlement[],
  svids: readonly X509Svid[],
  own: TrustBundle,
  federated: readonly TrustBundle[],
) {
  const bundle = x509BundleOf(own);
  return create(X509SVIDResponseSchema, {
    svids: svids.map(
      (svid, index): MessageInitShape<typeof X509SVIDSchema> => ({
        spiffeId: svid.spiffeId,
        ...partsOf(svid),
        bundle,
        hint: entitlements[index]?.hint ?? "",
      }),
    ),
    federatedBundles: Object.fromEntries(federated.map((one) => [idOf(one), x509BundleOf(one)])),
  });
}

export function x509BundlesResponse(bundles: readonly TrustBundle[]) {
  return create(X509BundlesResponseSchema, { bundles: Object.fromEntries(bundles.map((one) => [idOf(one), x509BundleOf(one)])) });
}

export function jwtBundlesResponse(bundles: readonly TrustBundle[]) {
  return create(JWTBundlesResponseSchema, { bundles: Object.fromEntries(bundles.map((one) => [idOf(one), jwtBundleOf(one)])) });
}
