import { describe, expect, test } from "bun:test";
import { fromBinary } from "@bufbuild/protobuf";
import { AnySchema, anyUnpack } from "@bufbuild/protobuf/wkt";
import { SecretSchema } from "../../src/gen/envoy/extensions/transport_sockets/tls/v3/secret_pb.ts";
import { SPIFFECertValidatorConfigSchema } from "../../src/gen/envoy/extensions/transport_sockets/tls/v3/tls_spiffe_validator_config_pb.ts";
import { bundleResources, type Federated } from "../../src/xds/secret.ts";

const OWN = "own\n";
const federated = (more: Partial<Federated> = {}): Federated => ({
  domains: ["other.example"],
  bundles: [{ trustDomain: "other.example", x509Pem: "other\n" }],
  aliases: ["cluster.local", "old.local"],
  ...more,
});

/** The roots of a secret by trust domain; those of a plain validation context by "". */
function rootsOf(name: string, other?: Federated): Record<string, string> | undefined {
  const resource = bundleResources("mesh.local", OWN, other).find((one) => one.name === name);
  const any = resource && fromBinary(AnySchema, resource.any);
  const secret = any && anyUnpack(any, SecretSchema);
  if (secret?.type.case !== "validationContext") return undefined;
  const { trustedCa, customValidatorConfig } = secret.type.value;
  if (trustedCa) return { "": String(trustedCa.specifier.value) };
  const validator = customValidatorConfig?.typedConfig && anyUnpack(customValidatorConfig.typedConfig, SPIFFECertValidatorConfigSchema);
  return Object.fromEntries((validator?.trustDomains ?? []).map((one) => [one.name, String(one.trustBundle?.specifier.value)]));
}

describe("What proxies trust", () => {
  test("is the own roots as they are, byte for byte, while no other trust domain is known", () => {
    expect(rootsOf("ROOTCA")).toEqual({ "": OWN });
    const none: Federated = { domains: [], bundles: [], aliases: ["old.local"] };
    expect(bundleResources("mesh.local", OWN, none).map(({ name, version }) => [name, version])).toEqual(
      bundleResources("mesh.local", OWN).map(({ name, version }) => [name, version]),
    );
  });

  test("goes by the trust domain of a certificate with one, the own one under its other names too", () => {
    expect(rootsOf("ROOTCA", federated())).toEqual({
      "mesh.local": OWN,
      "cluster.local": OWN,
      "old.local": OWN,
      "other.example": "other\n",
    });
    expect(rootsOf("ALL", federated())).toEqual({ "mesh.local": OWN, "other.example": "other\n" });
    expect(rootsOf("spiffe://other.example", federated())).toEqual({ "": "other\n" });
    expect(rootsOf("spiffe://mesh.local", federated())).toEqual({ "": OWN });
  });

  test("holds nothing of a trust domain whose bundle is not known, or empty", () => {
    const own = { "mesh.local": OWN, "cluster.local": OWN, "old.local": OWN };
    expect(rootsOf("ROOTCA", federated({ bundles: [] }))).toEqual(own);
    expect(rootsOf("ROOTCA", federated({ bundles: [{ trustDomain: "other.example", x509Pem: "" }] }))).toEqual(own);
    expect(rootsOf("spiffe://other.example", federated({ bundles: [] }))).toBeUndefined();
  });

  test("never lets the own roots vouch for another trust domain, though policies call it by the own one's name", () => {
    expect(rootsOf("ROOTCA", federated({ aliases: ["other.example"] }))).toEqual({ "mesh.local": OWN, "other.example": "other\n" });
    expect(rootsOf("ROOTCA", federated({ aliases: ["other.example"], bundles: [] }))).toEqual({ "mesh.local": OWN });
  });
});
