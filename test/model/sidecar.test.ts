import { describe } from "bun:test";
import { accepts, refuses } from "./support.ts";

const egress = (...hosts: string[]) => ({ egress: [{ hosts }] });
const port = { number: 8080, protocol: "HTTP" };
const ingress = (...listeners: object[]) => ({ ingress: listeners.map((listener) => ({ port, ...listener })) });
const listeners = (...all: object[]) => ({ egress: all.map((listener) => ({ port, hosts: ["*/*"], ...listener })) });
const FILES = { serverCertificate: "/cert.pem", privateKey: "/key.pem" };
const tls = (more: object) => ingress({ port: { number: 8443, protocol: "HTTPS" }, tls: { mode: "SIMPLE", ...FILES, ...more } });
const unix = { port: { number: 0, protocol: "HTTP" } };
const at = (defaultEndpoint: string) => ingress({ defaultEndpoint });

describe("A Sidecar", () => {
  accepts("Sidecar", {
    "hosts of every form": egress(
      "*/*",
      "./*",
      "shop/*.example.com",
      "*/orders.default.svc.cluster.local",
      "~/*",
      "~shop/*",
      "~./a.example.com",
    ),
    "the same host twice, with a warning": egress("./*", "./*"),
    "a workloadSelector without labels, with a warning": { workloadSelector: {}, ...egress("*/*") },
    "nothing but a policy for unknown services": { outboundTrafficPolicy: { mode: "REGISTRY_ONLY" } },
    "nothing but a pool": { inboundConnectionPool: { tcp: { maxConnections: 1 } } },
    "an application on loopback": at("127.0.0.1:9001"),
    "an application on loopback of IPv6": at("[::1]:9001"),
    "an application at the workload's address": at("0.0.0.0:9001"),
    "an application on a Unix socket": at("unix:///run/app.sock"),
    "an HTTP pool at a TCP port, with a warning": {
      ingress: [{ port: { number: 1, protocol: "TCP" }, connectionPool: { http: { maxRetries: 1 } } }],
    },
    "no capture": ingress({ captureMode: "NONE" }),
    "an ingress at an address of its own": ingress({ bind: "0.0.0.0" }),
    "TLS at an ingress, ended by files": tls({}),
    "TLS at an ingress that asks for certificates": tls({ mode: "MUTUAL", caCertificates: "/ca.pem" }),
    "egress listeners with ports, and one for all other calls last": {
      egress: [
        { port: { number: 9090, protocol: "HTTP", name: "egresshttp" }, bind: "127.0.0.1", captureMode: "NONE", hosts: ["prod/*"] },
        { port: { number: 3306, protocol: "MYSQL" }, hosts: ["*/mysql.example.com"] },
        { port: { number: 8888, protocol: "HTTP_PROXY" }, bind: "::1", hosts: ["*/*"] },
        { hosts: ["*/*"] },
      ],
    },
    "egress listeners at Unix sockets": listeners({ ...unix, bind: "unix:///run/a.sock" }, { ...unix, bind: "unix://@abstract" }),
    "an application on an abstract Unix socket": at("unix://@app"),
  });
  refuses("Sidecar", {
    "nothing at all": [{}, "missing", "spec"],
    "a workloadSelector alone": [{ workloadSelector: { labels: { a: "b" } } }, "missing", "spec"],
    "an empty egress": [{ egress: [] }, "missing", "spec"],
    "no hosts": [egress(), "missing", "spec.egress[0].hosts"],
    "a host without a namespace": [egress("orders.default.mesh.local"), "badHost", "spec.egress[0].hosts[0]"],
    "a host without a name": [egress("./"), "badHost", "spec.egress[0].hosts[0]"],
    "a short name": [egress("./orders"), "badHost", "spec.egress[0].hosts[0]"],
    "a namespace that is none": [egress("a.b/*"), "badHost", "spec.egress[0].hosts[0]"],
    "a wildcard for a part of a label": [egress("./*orders.example.com"), "badHost", "spec.egress[0].hosts[0]"],
    "two egress listeners for everything": [{ egress: [{ hosts: ["*/*"] }, { hosts: ["./*"] }] }, "exclusive", "spec.egress[1]"],
    "an egress listener without a port before others": [
      { egress: [{ hosts: ["*/*"] }, { port, hosts: ["./*"] }] },
      "exclusive",
      "spec.egress[0]",
    ],
    "two egress listeners with one port": [
      listeners({ bind: "127.0.0.1" }, { bind: "127.0.0.2" }),
      "duplicateItem",
      "spec.egress[1].port.number",
    ],
    "two egress listeners at one Unix socket": [
      listeners({ ...unix, bind: "unix:///run/a" }, { ...unix, bind: "unix:///run/a" }),
      "duplicateItem",
      "spec.egress[1].bind",
    ],
    "an egress listener at a name": [listeners({ bind: "localhost" }), "badAddress", "spec.egress[0].bind"],
    "port 0 without a Unix socket": [listeners(unix), "badAddress", "spec.egress[0].port.number"],
    "a Unix socket with a port": [listeners({ bind: "unix:///run/a" }), "badAddress", "spec.egress[0].port.number"],
    "a Unix socket at a relative path": [listeners({ ...unix, bind: "unix://run/a" }), "badAddress", "spec.egress[0].bind"],
    "a bind without a port": [{ egress: [{ bind: "127.0.0.1", hosts: ["*/*"] }] }, "notYet", "spec.egress[0].bind"],
    "captureMode NONE without a port": [{ egress: [{ captureMode: "NONE", hosts: ["*/*"] }] }, "notYet", "spec.egress[0].captureMode"],
    "a targetPort at an egress listener": [listeners({ port: { ...port, targetPort: 1 } }), "notYet", "spec.egress[0].port.targetPort"],
    "an ingress at a name": [ingress({ bind: "localhost" }), "badAddress", "spec.ingress[0].bind"],
    "an ingress that would forward to itself": [
      ingress({ bind: "0.0.0.0", defaultEndpoint: "127.0.0.1:8080" }),
      "selfForward",
      "spec.ingress[0].defaultEndpoint",
    ],
    "TLS at an HTTP ingress": [ingress({ tls: { mode: "SIMPLE", ...FILES } }), "exclusive", "spec.ingress[0].tls"],
    "the mesh's own TLS at an ingress": [tls({ mode: "ISTIO_MUTUAL" }), "notYet", "spec.ingress[0].tls.mode"],
    "TLS without a certificate": [tls({ serverCertificate: "" }), "missing", "spec.ingress[0].tls"],
    "MUTUAL without a CA": [tls({ mode: "MUTUAL" }), "missing", "spec.ingress[0].tls"],
    "stored credentials at an ingress": [
      tls({ credentialName: "x", serverCertificate: "", privateKey: "" }),
      "notYet",
      "spec.ingress[0].tls.credentialName",
    ],
    "names of clients at an ingress": [tls({ subjectAltNames: ["x"] }), "notYet", "spec.ingress[0].tls.subjectAltNames"],
    "a redirect at an ingress": [tls({ httpsRedirect: true }), "notYet", "spec.ingress[0].tls.httpsRedirect"],
    "capture by iptables": [ingress({ captureMode: "IPTABLES" }), "notYet", "spec.ingress[0].captureMode"],
    "the mesh's own mode for unknown hosts": [
      { outboundTrafficPolicy: { mode: "ALLOW_ANY_DYNAMIC_DNS" } },
      "notYet",
      "spec.outboundTrafficPolicy.mode",
    ],
    "a wildcard in its selector": [
      { workloadSelector: { labels: { a: "b*" } }, ...egress("*/*") },
      "badLabel",
      "spec.workloadSelector.labels",
    ],
    "ingress without a port": [{ ingress: [{ defaultEndpoint: "127.0.0.1:1" }] }, "missing", "spec.ingress[0]"],
    "a protocol that nobody knows": [{ ingress: [{ port: { number: 1, protocol: "X" } }] }, "notOneOf", "spec.ingress[0].port.protocol"],
    "one port twice": [ingress({}, {}), "duplicateItem", "spec.ingress[1].port.number"],
    "an application elsewhere": [at("10.0.0.1:80"), "badAddress", "spec.ingress[0].defaultEndpoint"],
    "an application without a port": [at("127.0.0.1"), "badAddress", "spec.ingress[0].defaultEndpoint"],
    "an application at port 0": [at("127.0.0.1:0"), "badAddress", "spec.ingress[0].defaultEndpoint"],
    "an application at the sidecar's own port": [at("0.0.0.0:8080"), "selfForward", "spec.ingress[0].defaultEndpoint"],
    "a Unix socket without a whole path": [at("unix://run/x"), "badAddress", "spec.ingress[0].defaultEndpoint"],
  });
});
