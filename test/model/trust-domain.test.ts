import { expect, test } from "bun:test";
import { parseDocuments } from "../../src/model/parse.ts";
import { accepts, documentWith, refuses } from "./support.ts";

const web = (url: string) => ({ bundleEndpoint: { url, profile: "https_web" } });
const URL = "https://bundle.other.example:8443/production/bundle.json?v=1";
const spiffe = (endpointSPIFFEID?: string) => ({ bundleEndpoint: { url: URL, profile: "https_spiffe", endpointSPIFFEID } });

accepts("TrustDomain", {
  "web PKI": web(URL),
  "SPIFFE authentication": spiffe("spiffe://other.example/ns/weft-system/sa/weft"),
  "an endpoint of a third trust domain": spiffe("spiffe://third.example/bundles"),
  "a name that no resource can have": { ...web(URL), trustDomain: "other_one.example" },
});

refuses("TrustDomain", {
  "no endpoint": [{}, "missing", "spec"],
  "no profile": [{ bundleEndpoint: { url: URL } }, "missing", "spec.bundleEndpoint"],
  "another profile": [{ bundleEndpoint: { url: URL, profile: "http" } }, "notOneOf", "spec.bundleEndpoint.profile"],
  "plain http": [web("http://bundle.other.example/"), "badValue", "spec.bundleEndpoint.url"],
  "no URL": [web("bundle.other.example"), "badValue", "spec.bundleEndpoint.url"],
  "a user in the URL": [web("https://a:b@bundle.other.example/"), "badValue", "spec.bundleEndpoint.url"],
  "a fragment in the URL": [web("https://bundle.other.example/#a"), "badValue", "spec.bundleEndpoint.url"],
  "https_spiffe without an identity": [spiffe(), "missing", "spec.bundleEndpoint"],
  "https_web with an identity": [
    { bundleEndpoint: { url: URL, profile: "https_web", endpointSPIFFEID: "spiffe://other.example/a" } },
    "together",
    "spec.bundleEndpoint.endpointSPIFFEID",
  ],
  "an identity without a path": [spiffe("spiffe://other.example"), "badValue", "spec.bundleEndpoint.endpointSPIFFEID"],
  "an identity with a slash at its end": [spiffe("spiffe://other.example/a/"), "badValue", "spec.bundleEndpoint.endpointSPIFFEID"],
  "an identity with a relative path": [spiffe("spiffe://other.example/a/../b"), "badValue", "spec.bundleEndpoint.endpointSPIFFEID"],
  "an identity in capitals": [spiffe("spiffe://Other.example/a"), "badValue", "spec.bundleEndpoint.endpointSPIFFEID"],
  "a trust domain in capitals, which is not made small": [{ ...web(URL), trustDomain: "Other.example" }, "badValue", "spec.trustDomain"],
  "a trust domain with a scheme": [{ ...web(URL), trustDomain: "spiffe://other.example" }, "badValue", "spec.trustDomain"],
  "a trust domain with a port": [{ ...web(URL), trustDomain: "other.example:443" }, "badValue", "spec.trustDomain"],
  "cluster.local, which is the own one in every policy": [{ ...web(URL), trustDomain: "cluster.local" }, "badValue", "spec.trustDomain"],
  "a bundle that is no JSON": [{ ...web(URL), bundle: "-----BEGIN CERTIFICATE-----" }, "badValue", "spec.bundle"],
  "a bundle without roots": [{ ...web(URL), bundle: '{"keys": [{"use": "jwt-svid"}]}' }, "badValue", "spec.bundle"],
  "a bundle whose root is none": [{ ...web(URL), bundle: '{"keys": [{"use": "x509-svid", "x5c": ["AAAA"]}]}' }, "badValue", "spec.bundle"],
});

test("A TrustDomain holds for the whole mesh, so it belongs to the root namespace, whatever is left out", () => {
  const { resources } = parseDocuments(documentWith("TrustDomain", web(URL)), "a.yaml");
  expect(resources[0]?.metadata.namespace).toBe("weft-system");
});
