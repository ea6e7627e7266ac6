import { create } from "@bufbuild/protobuf";
import { SecretSchema } from "../gen/envoy/extensions/transport_sockets/tls/v3/secret_pb.ts";
import { SPIFFECertValidatorConfigSchema } from "../gen/envoy/extensions/transport_sockets/tls/v3/tls_spiffe_validator_config_pb.ts";
import type { EncodedResource } from "../lib/encoded.ts";
import type { Credential } from "../mesh/credentials.ts";
import { memoize } from "../mesh/memo.ts";
import type { TokenNeed } from "../mesh/token-injection.ts";
import { encodeResource, packAny } from "./encode.ts";

/** Istio's names of the two secrets of a workload (pkg/model/authentication.go SDSDefaultResourceName, SDSRootResourceName), which SPIRE's agent has too. */
export const SVID_SECRET = "default";
export const BUNDLE_SECRET = "ROOTCA";
/** SPIRE's name (agent configuration, sds.default_all_bundles_name) of the bundles of every trust domain that is trusted. */
export const ALL_BUNDLES_SECRET = "ALL";

interface Svid {
  readonly spiffeId: string;
  /** PEM. */
  readonly chainPem: string;
  readonly privateKeyPem: string;
}

/** Trust domains besides the own one. */
export interface Federated {
  /** All of them, also those whose bundle is not known. */
  readonly domains: readonly string[];
  /** Never merged: each verifies the SVIDs of its own trust domain. */
  readonly bundles: readonly { readonly trustDomain: string; readonly x509Pem: string }[];
  /** Other names of the own trust domain, for which its own roots vouch. */
  readonly aliases: readonly string[];
}

const NOBODY: Federated = { domains: [], bundles: [], aliases: [] };

export interface SecretInput {
  /** Absent for a workload without an identity. */
  readonly svid?: Svid;
  readonly trustDomain: string;
  /** The CA certificates that peers must trust, PEM. */
  readonly bundlePem: string;
  readonly federated?: Federated;
}

/**
 * A workload's secrets: its X.509-SVID with the key, as "default" and under its SPIFFE ID; the bundle of its trust domain as "ROOTCA", under the
 * trust domain's ID, and as "ALL"; those of other trust domains under theirs, and in "ALL". A proxy may get its own workload's only. The key stands in the bytes: show a secret through describeResource,
 * which hides it, and in no other way.
 */
export function secretResources({ svid, trustDomain, bundlePem, federated }: SecretInput): EncodedResource[] {
  return [
    ...(svid ? [svidResource(SVID_SECRET, svid), svidResource(svid.spiffeId, svid)] : []),
    ...bundleResources(trustDomain, bundlePem, federated),
  ];
}

function svidResource(name: string, { chainPem, privateKeyPem }: Svid): EncodedResource {
  const value = { certificateChain: inline(chainPem), privateKey: inline(privateKeyPem) };
  return encodeResource(SecretSchema, name, create(SecretSchema, { name, type: { case: "tlsCertificate", value } }), []);
}

/** The last ones made: all proxies get the same, and a rotation asks about them again and again. */
let last: { readonly key: string; readonly federated: Federated; readonly resources: readonly EncodedResource[] } | undefined;

/**
 * The bundles alone, under each of their names: what a proxy with an identity trusts is one of them. "ROOTCA" is the own roots as they are while
 * no other trust domain is known; with one, by which roots a certificate is verified goes by its trust domain.
 */
export function bundleResources(trustDomain: string, pem: string, federated: Federated = NOBODY): readonly EncodedResource[] {
  const key = `${trustDomain}\n${pem}`;
  if (last?.key !== key || last.federated !== federated) {
    const { domains, bundles, aliases } = federated;
    const own = { trustDomain, x509Pem: pem };
    // A bundle without roots has taken everything back, and Envoy takes no empty one.
    const others = bundles.filter(({ x509Pem }) => x509Pem !== "");
    const named = aliases
      .filter((alias) => alias !== trustDomain && !domains.includes(alias))
      .map((alias) => ({ ...own, trustDomain: alias }));
    const resources = [
      domains.length === 0 ? bundleResource(BUNDLE_SECRET, pem) : validatorResource(BUNDLE_SECRET, [own, ...named, ...others]),
      ...[own, ...others].map((one) => bundleResource(`spiffe://${one.trustDomain}`, one.x509Pem)),
      validatorResource(ALL_BUNDLES_SECRET, [own, ...others]),
    ];
    last = { key, federated, resources };
  }
  return last.resources;
}

function bundleResource(name: string, pem: string): EncodedResource {
  const bundle = create(SecretSchema, { name, type: { case: "validationContext", value: { trustedCa: inline(pem) } } });
  return encodeResource(SecretSchema, name, bundle, []);
}

/** Envoy's SPIFFE validator holds a certificate against the bundle of its own trust domain, and no other's. */
function validatorResource(name: string, all: Federated["bundles"]): EncodedResource {
  const validator = create(SPIFFECertValidatorConfigSchema, {
    trustDomains: all.map(({ trustDomain, x509Pem }) => ({ name: trustDomain, trustBundle: inline(x509Pem) })),
  });
  const customValidatorConfig = {
    name: "envoy.tls.cert_validator.spiffe",
    typedConfig: packAny(SPIFFECertValidatorConfigSchema, validator),
  };
  const bundles = create(SecretSchema, { name, type: { case: "validationContext", value: { customValidatorConfig } } });
  return encodeResource(SecretSchema, name, bundles, []);
}

/** A JWT-SVID as the value of a header. It is as secret as a key: what holds of keys above holds of it. */
export function tokenResource({ secret: name, prefix }: TokenNeed, token: string): EncodedResource {
  const secret = create(SecretSchema, { name, type: { case: "genericSecret", value: { secret: inline(`${prefix}${token}`) } } });
  return encodeResource(SecretSchema, name, secret, []);
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
