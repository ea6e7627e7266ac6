import { describe, expect, test } from "bun:test";
import { accepts, documentWith, expectAccepted, problemsOf, refuses } from "./support.ts";

type Spec = Record<string, unknown>;

const ISSUER = "https://issuer.example";
const KEY = { kty: "EC", crv: "P-256", x: "3TMbKG9DkCAB2L1b2N4nZvaHLIMS7TvedUTXJwSjcnw", y: "HJEDGoTRlv1zC_OF1cWnkM9bdQIfxTposHUnZxc_xd8" };
const rule = (more: Spec): Spec => ({ jwtRules: [{ issuer: ISSUER, ...more }] });
const jwks = (...keys: unknown[]) => rule({ jwks: JSON.stringify({ keys }) });
const at = (field: string) => `spec.jwtRules[0].${field}`;

describe("RequestAuthentication", () => {
  accepts("RequestAuthentication", {
    "nothing but a selector": { selector: { matchLabels: { app: "orders" } } },
    "no rules": {},
    "an issuer alone, whose keys are found by discovery": rule({}),
    "the issuer of a trust domain, with audiences": { jwtRules: [{ issuer: "spiffe://mesh.local", audiences: ["orders"] }] },
    "the issuer of a trust domain with keys of its own, without": {
      jwtRules: [{ issuer: "spiffe://mesh.local", jwksUri: "https://issuer.example/keys" }],
    },
    "keys by URI and no issuer": { jwtRules: [{ jwksUri: "http://issuer.example/keys" }] },
    "inline keys, of any type": jwks(KEY, { kty: "RSA", n: "AQAB", e: "AQAB" }, { kty: "OKP", crv: "Ed25519", x: "AQAB" }),
    "a single key for a set": rule({ jwks: JSON.stringify(KEY) }),
    "all that a rule may say": rule({
      audiences: ["a"],
      fromHeaders: [{ name: "x-token", prefix: "Token " }, { name: "x-other" }],
      fromParams: ["token"],
      fromCookies: ["session"],
      outputPayloadToHeader: "x-payload",
      outputClaimToHeaders: [{ header: "x_claim-1", claim: "a.b" }],
      forwardOriginalToken: true,
      timeout: "10s",
      spaceDelimitedClaims: ["roles"],
    }),
  });

  refuses("RequestAuthentication", {
    "neither issuer nor jwksUri": [
      { jwtRules: [{ jwks: JSON.stringify({ keys: [KEY] }) }] },
      "missing",
      "spec.jwtRules[0]: needs issuer or jwksUri",
    ],
    "the issuer of a trust domain without audiences": [
      { jwtRules: [{ issuer: "spiffe://mesh.local" }] },
      "missing",
      "spec.jwtRules[0]: needs audiences",
    ],
    "an empty audience": [rule({ audiences: [""] }), "badValue", at("audiences[0]")],
    "keys by file": [rule({ jwksUri: "file:///etc/keys" }), "badValue", at("jwksUri: must be an http or https URL")],
    "keys at no URL": [rule({ jwksUri: "issuer.example/keys" }), "badValue", at("jwksUri")],
    "inline keys that are no JSON": [rule({ jwks: "keys" }), "badValue", at("jwks: is no JSON Web Key Set: it is no JSON")],
    "inline keys that are no set": [rule({ jwks: "{}" }), "badValue", at('jwks: is no JSON Web Key Set: it has no member "keys"')],
    "a key without a type": [jwks(KEY, { x: "1" }), "badValue", at('jwks: is no JSON Web Key Set: key 1 has no "kty"')],
    "a key that lacks a part": [jwks({ ...KEY, y: undefined }), "badValue", at('jwks: is no JSON Web Key Set: key 0 has no "y"')],
    "a header without a name": [rule({ fromHeaders: [{ prefix: "x" }] }), "missing", at("fromHeaders[0]: needs name")],
    "a header with an empty name": [rule({ fromHeaders: [{ name: "" }] }), "badHeader", at("fromHeaders[0].name")],
    "an empty parameter": [rule({ fromParams: [""] }), "badValue", at("fromParams[0]")],
    "an empty cookie": [rule({ fromCookies: [""] }), "badValue", at("fromCookies[0]")],
    "a claim without a header": [rule({ outputClaimToHeaders: [{ claim: "a" }] }), "missing", at("outputClaimToHeaders[0]: needs header")],
    "a claim in no header": [
      rule({ outputClaimToHeaders: [{ header: "x:y", claim: "a" }] }),
      "badHeader",
      at("outputClaimToHeaders[0].header"),
    ],
    "no time": [rule({ timeout: "0s" }), "badDuration", at("timeout")],
    "a target of Kubernetes": [{ targetRefs: [] }, "kubernetesOnly", "spec.targetRefs"],
    "a misspelt field": [rule({ jwks_uri: "https://x" }), "unknownField", at("jwks_uri")],
  });

  test("private keys are warned of, and keys by which nothing can be verified", () => {
    const warnings = (spec: Spec) => problemsOf(documentWith("RequestAuthentication", spec));
    expect(warnings(jwks(KEY))).toEqual([]);
    expect(warnings(jwks(KEY, { ...KEY, d: "AQAB" }))[0]).toContain("key 1 holds private key material");
    expect(warnings(jwks({ kty: "oct", k: "AQAB" }))[0]).toContain("key 0 holds private key material");
    expect(warnings(jwks())[0]).toContain("every token is refused");
    expect(warnings(jwks({ ...KEY, y: "AQAB" }))[0]).toContain("every token is refused");
    expectAccepted(documentWith("RequestAuthentication", jwks()));
  });
});

describe("Providers of external authorization", () => {
  const service = { service: "authz.default.mesh.local", port: 9000 };
  const provider = (more: Spec, kind = "envoyExtAuthzHttp", name = "authz"): Spec => ({
    extensionProviders: [{ name, [kind]: { ...service, ...more } }],
  });
  const meta = { namespace: "weft-system" };
  const place = (field: string, kind = "envoyExtAuthzHttp") => `spec.extensionProviders[0].${kind}.${field}`;

  accepts(
    "MeshConfig",
    {
      "a provider over HTTP": provider({
        pathPrefix: "/x",
        statusOnError: "503",
        failOpen: true,
        includeRequestHeadersInCheck: ["a", "b*", "*c"],
      }),
      "a provider over gRPC": provider({ timeout: "1s" }, "envoyExtAuthzGrpc"),
      "a provider in a namespace, or at an address": {
        extensionProviders: [
          { name: "a", envoyExtAuthzHttp: { service: "ops/authz.example.com", port: 1 } },
          { name: "b", envoyExtAuthzHttp: { service: "10.0.0.1", port: 65535 } },
        ],
      },
    },
    meta,
  );

  refuses(
    "MeshConfig",
    {
      "a provider twice": [
        {
          extensionProviders: [
            { name: "a", envoyExtAuthzHttp: service },
            { name: "a", envoyExtAuthzGrpc: service },
          ],
        },
        "duplicateItem",
        "spec.extensionProviders[1].name",
      ],
      "a provider of nothing": [{ extensionProviders: [{ name: "a" }] }, "missing", "spec.extensionProviders[0]: needs a provider"],
      "a provider of two protocols": [
        { extensionProviders: [{ name: "a", envoyExtAuthzHttp: service, envoyExtAuthzGrpc: service }] },
        "exclusive",
        "spec.extensionProviders[0]",
      ],
      "a provider without a name": [
        { extensionProviders: [{ name: "", envoyExtAuthzHttp: service }] },
        "badValue",
        "spec.extensionProviders[0].name",
      ],
      "a provider with a name that is no DNS label": [
        provider({}, "envoyExtAuthzHttp", "My_Authz"),
        "badName",
        "spec.extensionProviders[0].name",
      ],
      "a provider without a service": [
        provider({ service: undefined }),
        "missing",
        "spec.extensionProviders[0].envoyExtAuthzHttp: needs service",
      ],
      "a provider at a URL": [provider({ service: "http://authz" }), "badHost", place("service")],
      "a provider at port 0": [provider({ port: 0 }), "outOfRange", place("port")],
      "a status that does not exist": [provider({ statusOnError: "299" }), "badValue", place("statusOnError")],
      "a path that does not begin with a slash": [provider({ pathPrefix: "check" }), "badValue", place("pathPrefix")],
      "a star for all headers": [provider({ headersToUpstreamOnAllow: ["*"] }), "badPattern", place("headersToUpstreamOnAllow[0]")],
      "a body of no size": [provider({ includeRequestBodyInCheck: {} }), "missing", place("includeRequestBodyInCheck")],
      "headers over gRPC": [
        provider({ headersToUpstreamOnAllow: ["a"] }, "envoyExtAuthzGrpc"),
        "unknownField",
        place("headersToUpstreamOnAllow", "envoyExtAuthzGrpc"),
      ],
    },
    meta,
  );
});
