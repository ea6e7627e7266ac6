/** The fields of a TrustDomain. What a bundle changes for proxies is held in test/control and test/envoy. */
import type { Json, Sample } from "./samples.ts";

const url = "https://bundle.other.example/";

export const TRUST_DOMAIN_BASE: Json = { trustDomain: "other.example", bundleEndpoint: { url, profile: "https_web" } };
const BY_SPIFFE: Json = {
  trustDomain: "other.example",
  bundleEndpoint: { url, profile: "https_spiffe", endpointSPIFFEID: "spiffe://other.example/bundles" },
};

/** A certificate that may sign, of nobody. */
const ROOT =
  "MIIBoDCCAUegAwIBAgIUPJBLacPL/fbrf+ohvax4Mm/1fAMwCgYIKoZIzj0EAwIwGDEWMBQGA1UEAwwNYS5leGFtcGxlLmNvbTAgFw0yNjExMjMwMTExMTBaGA8yMTI2MTAzMDAxMTExMFowGDEWMBQGA1UEAwwNYS5leGFtcGxlLmNvbTBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABKx2Om9UkIYOlN2D7dCqXkjuyMusHaHNI4dGvd+6TsFZLFVx5Yrsx8sdWO5FjimiYm+jS1vCmUnKVrDaKcKLQWajbTBrMB0GA1UdDgQWBBTVx1K9RIGhVzvevQ1kJMSNn1pktjAfBgNVHSMEGDAWgBTVx1K9RIGhVzvevQ1kJMSNn1pktjAPBgNVHRMBAf8EBTADAQH/MBgGA1UdEQQRMA+CDWEuZXhhbXBsZS5jb20wCgYIKoZIzj0EAwIDRwAwRAIgWl9o7tNFGOyp29L3AR5xMsVRmoAs5pQ1w8HWv+2C8e0CIEkzX1uiN6xUTPG05zusSGluDhZRN0wxi2jZIYAM0O/n";

export const TRUST_DOMAIN_SAMPLES: readonly (readonly [RegExp, Sample])[] = [
  [/^TrustDomain\.trustDomain$/, { value: "third.example" }],
  [/^TrustDomain\.bundleEndpoint\.url$/, { value: "https://elsewhere.other.example/" }],
  [/^TrustDomain\.bundleEndpoint\.profile$/, { value: "https_spiffe", beside: { endpointSPIFFEID: "spiffe://other.example/bundles" } }],
  [/^TrustDomain\.bundleEndpoint\.endpointSPIFFEID$/, { value: "spiffe://other.example/others", base: BY_SPIFFE }],
  [/^TrustDomain\.bundle$/, { value: JSON.stringify({ keys: [{ use: "x509-svid", kty: "EC", x5c: [ROOT] }] }) }],
];
