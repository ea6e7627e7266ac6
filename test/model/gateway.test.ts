import { describe, expect, test } from "bun:test";
import { accepts, documentWith, expectRefused, problemsOf, refuses } from "./support.ts";

const HTTP = { number: 80, name: "http", protocol: "HTTP" };
const HTTPS = { number: 443, name: "https", protocol: "HTTPS" };
const FILES = { serverCertificate: "/etc/cert.pem", privateKey: "/etc/key.pem" };
const server = (more: object) => ({ servers: [{ port: HTTP, hosts: ["*"], ...more }] });
const tls = (settings: object) => server({ port: HTTPS, tls: settings });

describe("A Gateway", () => {
  accepts("Gateway", {
    "no selector: every gateway proxy": server({}),
    "a host of one namespace": server({ hosts: ["ns/a.example.com", "./b.example.com", "*/c.example.com"] }),
    "a wildcard host and an IP address": server({ hosts: ["*.example.com", "10.0.0.1"] }),
    "an address to bind": server({ bind: "10.0.0.1" }),
    "any case of a protocol": server({ port: { ...HTTP, protocol: "http2" } }),
    "a redirect at plain HTTP": server({ tls: { httpsRedirect: true } }),
    "the same port number twice": { servers: [server({}).servers[0], { port: { ...HTTP, name: "other" }, hosts: ["a.example.com"] }] },
    "TLS that passes through, which is the default mode": tls({}),
    "certificates from files": tls({ mode: "SIMPLE", ...FILES, minProtocolVersion: "TLSV1_2", maxProtocolVersion: "TLSV1_3" }),
    "client certificates": tls({ mode: "MUTUAL", ...FILES, caCertificates: "/etc/ca.pem", caCrl: "/etc/crl.pem" }),
    "optional client certificates": tls({ mode: "OPTIONAL_MUTUAL", ...FILES, caCertificates: "/etc/ca.pem" }),
    "the mesh's own TLS": tls({ mode: "ISTIO_MUTUAL" }),
    "a cipher suite that nobody knows, with a warning": tls({ mode: "SIMPLE", ...FILES, cipherSuites: ["NONE"] }),
  });
  refuses("Gateway", {
    "no servers": [{ servers: [] }, "missing", "spec.servers"],
    "no hosts": [server({ hosts: [] }), "missing", "spec.servers[0].hosts"],
    "no port": [{ servers: [{ hosts: ["*"] }] }, "missing", "spec.servers[0]"],
    "a port without a name": [server({ port: { ...HTTP, name: "" } }), "missing", "spec.servers[0].port.name"],
    "a protocol that nobody knows": [server({ port: { ...HTTP, protocol: "SMTP" } }), "notOneOf", "spec.servers[0].port.protocol"],
    "a port's name twice": [{ servers: [server({}).servers[0], server({}).servers[0]] }, "duplicateItem", "spec.servers[1].port.name"],
    "a short host": [server({ hosts: ["orders"] }), "badHost", "spec.servers[0].hosts[0]"],
    "half a wildcard": [server({ hosts: ["*a.example.com"] }), "badHost", "spec.servers[0].hosts[0]"],
    "a namespace that is none": [server({ hosts: ["n_s/a.example.com"] }), "badHost", "spec.servers[0].hosts[0]"],
    "a name to bind": [server({ bind: "front" }), "badAddress", "spec.servers[0].bind"],
    "HTTPS without tls": [server({ port: HTTPS }), "missing", "spec.servers[0]"],
    "TLS at plain HTTP": [server({ tls: { mode: "SIMPLE", ...FILES } }), "exclusive", "spec.servers[0].tls"],
    "TLS at plain TCP": [server({ port: { ...HTTP, protocol: "TCP" }, tls: {} }), "exclusive", "spec.servers[0].tls"],
    "SIMPLE without a key": [tls({ mode: "SIMPLE", serverCertificate: "/etc/cert.pem" }), "missing", "spec.servers[0].tls"],
    "MUTUAL without a CA": [tls({ mode: "MUTUAL", ...FILES }), "missing", "spec.servers[0].tls"],
    "certificates of its own beside the mesh's": [
      tls({ mode: "ISTIO_MUTUAL", serverCertificate: "/etc/cert.pem" }),
      "exclusive",
      "spec.servers[0].tls.serverCertificate",
    ],
    "a revocation list where no client shows a certificate": [
      tls({ mode: "SIMPLE", ...FILES, caCrl: "/etc/crl.pem" }),
      "exclusive",
      "spec.servers[0].tls.caCrl",
    ],
    "a stored certificate beside one in files": [
      tls({ mode: "SIMPLE", credentialName: "c", ...FILES }),
      "exclusive",
      "spec.servers[0].tls",
    ],
    "a stored certificate beside the mesh's own": [
      tls({ mode: "ISTIO_MUTUAL", credentialName: "c" }),
      "exclusive",
      "spec.servers[0].tls.credentialName",
    ],
    "a ConfigMap": [
      tls({ mode: "SIMPLE", credentialName: "configmap://ns/c" }),
      "notYet",
      "spec.servers[0].tls.credentialName: configmap://",
    ],
    "a public key's hash that is none": [
      tls({ mode: "MUTUAL", credentialName: "c", verifyCertificateSpki: ["x"] }),
      "badValue",
      "spec.servers[0].tls.verifyCertificateSpki[0]",
    ],
    "a certificate's hash that is none": [
      tls({ mode: "MUTUAL", credentialName: "c", verifyCertificateHash: ["x"] }),
      "badValue",
      "spec.servers[0].tls.verifyCertificateHash[0]",
    ],
    AUTO_PASSTHROUGH: [tls({ mode: "AUTO_PASSTHROUGH" }), "notYet", "spec.servers[0].tls.mode"],
    "a Unix socket": [server({ bind: "unix:///run/front.sock" }), "notYet", "spec.servers[0].bind"],
    "a default endpoint": [server({ defaultEndpoint: "127.0.0.1:80" }), "notYet", "spec.servers[0].defaultEndpoint"],
  });

  test("may not have a dot in its name", () => {
    expectRefused(documentWith("Gateway", server({}), { name: "front.edge" }), "badName", "metadata.name");
  });

  test("is warned about what TLS settings do not do", () => {
    const warnings = (settings: object) => problemsOf(documentWith("Gateway", tls(settings)));
    expect(warnings(FILES)).toEqual([
      expect.stringContaining("tls.serverCertificate: has no effect with PASSTHROUGH"),
      expect.stringContaining("tls.privateKey: has no effect with PASSTHROUGH"),
    ]);
    expect(warnings({ mode: "SIMPLE", ...FILES, minProtocolVersion: "TLSV1_0" })).toEqual([expect.stringContaining("needs cipherSuites")]);
    expect(warnings({ mode: "ISTIO_MUTUAL", cipherSuites: ["AES128-SHA"] })).toEqual([expect.stringContaining("ISTIO_MUTUAL")]);
  });
});
