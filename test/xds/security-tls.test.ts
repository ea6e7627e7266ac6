import { describe, expect, test } from "bun:test";
import { fromBinary } from "@bufbuild/protobuf";
import { AnySchema, anyUnpack } from "@bufbuild/protobuf/wkt";
import type { TransportSocket } from "../../src/gen/envoy/config/core/v3/base_pb.ts";
import { SecretSchema } from "../../src/gen/envoy/extensions/transport_sockets/tls/v3/secret_pb.ts";
import { UpstreamTlsContextSchema } from "../../src/gen/envoy/extensions/transport_sockets/tls/v3/tls_pb.ts";
import type { EncodedResource } from "../../src/lib/encoded.ts";
import { secretResources } from "../../src/xds/secret.ts";
import { type ClientTlsOptions, clientMutualTls, clientTls } from "../../src/xds/tls.ts";

function contextOf(socket: TransportSocket) {
  const context = socket.configType.case === "typedConfig" ? anyUnpack(socket.configType.value, UpstreamTlsContextSchema) : undefined;
  if (!context) throw new Error("no TLS context");
  const validation = context.commonTlsContext?.validationContextType;
  const rules = validation?.case === "combinedValidationContext" ? validation.value.defaultValidationContext : undefined;
  return {
    context,
    common: context.commonTlsContext,
    validation,
    names: rules?.matchTypedSubjectAltNames.map(({ matcher }) => matcher?.matchPattern),
  };
}

describe("Client TLS", () => {
  test("Mutual TLS in the mesh offers ALPN istio and asks for the server's SPIFFE IDs, in one order", () => {
    const { context, common, names } = contextOf(
      clientMutualTls({ sni: "outbound_.80_._.a", spiffeIds: ["spiffe://m/b", "spiffe://m/a"] }),
    );
    expect(context.sni).toBe("outbound_.80_._.a");
    expect(common?.alpnProtocols).toEqual(["istio"]);
    expect(common?.tlsCertificateSdsSecretConfigs[0]).toMatchObject({
      name: "default",
      sdsConfig: { configSourceSpecifier: { case: "ads" } },
    });
    expect(names).toEqual([
      { case: "exact", value: "spiffe://m/a" },
      { case: "exact", value: "spiffe://m/b" },
    ]);
    expect(contextOf(clientMutualTls({ sni: "a", spiffeIds: [], http2: true })).common?.alpnProtocols).toEqual(["istio", "h2"]);
  });

  test("SIMPLE trusts the public roots where no CA is named, and skips the check only when told to", () => {
    const trust = (options: Partial<ClientTlsOptions>) => {
      const { validation } = contextOf(clientTls({ mode: "SIMPLE", ...options }));
      if (validation?.case === "combinedValidationContext") return validation.value.validationContextSdsSecretConfig?.name;
      return validation?.case === "validationContext" ? (validation.value.trustedCa?.specifier.value ?? "nothing") : undefined;
    };
    expect(trust({})).toBe("file-root:system");
    expect(trust({ caCertificates: "/ca.pem" })).toBe("/ca.pem");
    expect(trust({ caCertificates: "/ca.pem", insecureSkipVerify: true })).toBe("nothing");
  });

  test("MUTUAL presents the named certificate, SIMPLE none", () => {
    const files = { clientCertificate: "/c.pem", privateKey: "/k.pem" };
    expect(contextOf(clientTls({ mode: "MUTUAL", ...files })).common?.tlsCertificates).toHaveLength(1);
    expect(contextOf(clientTls({ mode: "SIMPLE", ...files })).common?.tlsCertificates).toHaveLength(0);
  });
});

describe("Secrets", () => {
  const decode = (resource: EncodedResource) => anyUnpack(fromBinary(AnySchema, resource.any), SecretSchema);

  const spiffeId = "spiffe://mesh.local/ns/default/sa/web";

  test("A workload gets its SVID as `default` and by its SPIFFE ID, the bundle as `ROOTCA`, by its trust domain's ID and as `ALL`", () => {
    const input = { svid: { spiffeId, chainPem: "CHAIN", privateKeyPem: "KEY" }, trustDomain: "mesh.local", bundlePem: "CA" };
    const [svid, byId, bundle, byTrustDomain, all] = secretResources(input).map(decode);
    const pair = {
      case: "tlsCertificate",
      value: { certificateChain: { specifier: { value: "CHAIN" } }, privateKey: { specifier: { value: "KEY" } } },
    };
    expect(svid).toMatchObject({ name: "default", type: pair });
    expect(byId).toMatchObject({ name: spiffeId, type: pair });
    const authorities = { case: "validationContext", value: { trustedCa: { specifier: { value: "CA" } } } };
    expect(bundle).toMatchObject({ name: "ROOTCA", type: authorities });
    expect(byTrustDomain).toMatchObject({ name: "spiffe://mesh.local", type: authorities });
    expect(all).toMatchObject({
      name: "ALL",
      type: { case: "validationContext", value: { customValidatorConfig: { name: "envoy.tls.cert_validator.spiffe" } } },
    });
  });

  test("A workload without an identity gets the bundle alone", () => {
    const names = secretResources({ trustDomain: "mesh.local", bundlePem: "CA" }).map(({ name }) => name);
    expect(names).toEqual(["ROOTCA", "spiffe://mesh.local", "ALL"]);
  });
});
