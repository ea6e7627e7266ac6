/**
 * The public certificate authorities, for TLS out of the mesh that names no caCertificates. Envoy does not know its host's
 * (CertificateValidationContext.system_root_certs is not implemented, and means no check at all), so they come as a secret: Mozilla's list, as
 * this runtime holds it. Istio's name of the secret (security.SdsCertificateConfig).
 */
import { rootCertificates } from "node:tls";
import { create } from "@bufbuild/protobuf";
import { SecretSchema } from "../gen/envoy/extensions/transport_sockets/tls/v3/secret_pb.ts";
import type { EncodedResource } from "../lib/encoded.ts";
import { memoize } from "../mesh/memo.ts";
import type { OutboundCluster } from "../mesh/outbound-clusters.ts";
import { encodeResource } from "./encode.ts";

export const SYSTEM_ROOTS_SECRET = "file-root:system";

/** For the proxies of callers that have such a cluster; one object for all. */
export const systemRootsFor = memoize((clusters: readonly OutboundCluster[]): readonly EncodedResource[] => {
  return clusters.some(({ policy }) => usesSystemRoots(policy.tls)) ? systemRoots() : NONE;
});

const NONE: readonly EncodedResource[] = [];

function usesSystemRoots(tls: OutboundCluster["policy"]["tls"]): boolean {
  return (tls?.mode === "SIMPLE" || tls?.mode === "MUTUAL") && !tls.caCertificates && !tls.credentialName && !tls.insecureSkipVerify;
}

let made: readonly EncodedResource[] | undefined;

function systemRoots(): readonly EncodedResource[] {
  made ??= [encoded()];
  return made;
}

function encoded(): EncodedResource {
  const trustedCa = { specifier: { case: "inlineString" as const, value: rootCertificates.join("\n") } };
  const secret = create(SecretSchema, { name: SYSTEM_ROOTS_SECRET, type: { case: "validationContext", value: { trustedCa } } });
  return encodeResource(SecretSchema, SYSTEM_ROOTS_SECRET, secret, []);
}
