import { create } from "@bufbuild/protobuf";
import { SecretSchema } from "../gen/envoy/extensions/transport_sockets/tls/v3/secret_pb.ts";
import type { EncodedResource } from "../lib/encoded.ts";
import type { Credential } from "../mesh/credentials.ts";
import { memoize } from "../mesh/memo.ts";
import { encodeResource } from "./encode.ts";

/** Istio's names of the two secrets of a workload (pkg/model/authentication.go SDSDefaultResourceName, SDSRootResourceName). */
export const SVID_SECRET = "default";
export const BUNDLE_SECRET = "ROOTCA";

export interface SecretInput {
  /** PEM; absent for a workload without an identity. */
  readonly svid?: { readonly chainPem: string; readonly privateKeyPem: string };
  /** The CA certificates that peers must trust, PEM. */
  readonly bundlePem: string;
}

/**
 * A workload's secrets: its X.509-SVID with the key, and the bundle. A proxy may get its own workload's only. The key stands in the bytes: show
 * a secret through describeResource, which hides it, and in no other way.
 */
export function secretResources({ svid, bundlePem }: SecretInput): EncodedResource[] {
  const secrets: EncodedResource[] = [];
  if (svid) {
    const certificate = create(SecretSchema, {
      name: SVID_SECRET,
      type: { case: "tlsCertificate", value: { certificateChain: inline(svid.chainPem), privateKey: inline(svid.privateKeyPem) } },
    });
    secrets.push(encodeResource(SecretSchema, SVID_SECRET, certificate, []));
  }
  secrets.push(bundleResource(bundlePem));
  return secrets;
}

/** The last one made: all proxies get the same, and a rotation asks about it again and again. */
let last: { readonly pem: string; readonly resource: EncodedResource } | undefined;

/** The bundle alone: what every proxy with an identity trusts. */
export function bundleResource(pem: string): EncodedResource {
  if (last?.pem !== pem) {
    const bundle = create(SecretSchema, { name: BUNDLE_SECRET, type: { case: "validationContext", value: { trustedCa: inline(pem) } } });
    last = { pem, resource: encodeResource(SecretSchema, BUNDLE_SECRET, bundle, []) };
  }
  return last.resource;
}
/** What a proxy may have of Secrets (Istio, pilot/pkg/xds/sds.go toEnvoyTLSSecret, toEnvoyCaSecret). */
export const credentialResources = memoize((credentials: readonly Credential[]): readonly EncodedResource[] =>
  credentials.map((one) => credentialResource(one)),
);

const credentialResource = memoize(({ name, content, source }: Credential): EncodedResource => {
  const secret = create(SecretSchema, {
    name,
    type:
      "chain" in content
        ? { case: "tlsCertificate", value: { certificateChain: inline(content.chain), privateKey: inline(content.key) } }
        : {
            case: "validationContext",
            value: { trustedCa: inline(content.authorities), crl: content.revocations ? inline(content.revocations) : undefined },
          },
  });
  return encodeResource(SecretSchema, name, secret, [source]);
});

function inline(pem: string) {
  return { specifier: { case: "inlineString" as const, value: pem } };
}
