import { describe } from "bun:test";
import { accepts, refuses } from "./support.ts";

const egress = (...hosts: string[]) => ({ egress: [{ hosts }] });
const port = { number: 8080, protocol: "HTTP" };
const ingress = (...listeners: object[]) => ({ ingress: listeners.map((listener) => ({ port, ...listener })) });
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
    "an egress listener of its own": [{ egress: [{ port, hosts: ["*/*"] }] }, "notYet", "spec.egress[0].port"],
    "capture by iptables": [ingress({ captureMode: "IPTABLES" }), "notYet", "spec.ingress[0].captureMode"],
    ALLOW_ANY: [{ outboundTrafficPolicy: { mode: "ALLOW_ANY" } }, "notYet", "spec.outboundTrafficPolicy.mode"],
    "a wildcard in its selector": [
      { workloadSelector: { labels: { a: "b*" } }, ...egress("*/*") },
      "badLabel",
      "spec.workloadSelector.labels",
    ],
    "ingress without a port": [{ ingress: [{ defaultEndpoint: "127.0.0.1:1" }] }, "missing", "spec.ingress[0]"],
    "a port without a protocol": [{ ingress: [{ port: { number: 1, protocol: "" } }] }, "missing", "spec.ingress[0].port.protocol"],
    "a protocol that nobody knows": [{ ingress: [{ port: { number: 1, protocol: "X" } }] }, "notOneOf", "spec.ingress[0].port.protocol"],
    "one port twice": [ingress({}, {}), "duplicateItem", "spec.ingress[1].port.number"],
    "an application elsewhere": [at("10.0.0.1:80"), "badAddress", "spec.ingress[0].defaultEndpoint"],
    "an application without a port": [at("127.0.0.1"), "badAddress", "spec.ingress[0].defaultEndpoint"],
    "an application at port 0": [at("127.0.0.1:0"), "badAddress", "spec.ingress[0].defaultEndpoint"],
    "an application at the sidecar's own port": [at("0.0.0.0:8080"), "selfForward", "spec.ingress[0].defaultEndpoint"],
    "a Unix socket without a whole path": [at("unix://run/x"), "badAddress", "spec.ingress[0].defaultEndpoint"],
  });
});
