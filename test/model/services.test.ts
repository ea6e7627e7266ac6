import { describe, expect, test } from "bun:test";
import { accepts, documentWith, problemsOf, refuses } from "./support.ts";

type Spec = Record<string, unknown>;

describe("ServiceEntry", () => {
  const port = { number: 80, name: "http", protocol: "HTTP" };
  const se = (fields: Spec): Spec => ({
    hosts: ["a.example.com"],
    resolution: "STATIC",
    ports: [port],
    workloadSelector: { labels: { app: "a" } },
    ...fields,
  });
  const fixed = (fields: Spec): Spec => ({ hosts: ["a.example.com"], resolution: "STATIC", ports: [port], ...fields });
  const dns = (fields: Spec): Spec => ({ hosts: ["a.example.com"], resolution: "DNS", ports: [port], ...fields });
  accepts("ServiceEntry", {
    "all of its translated fields": se({
      addresses: ["10.0.0.1", "10.1.0.0/16", "fd00::/8"],
      location: "MESH_INTERNAL",
      subjectAltNames: ["spiffe://x/y"],
      ports: [{ ...port, targetPort: 8080 }],
    }),
    "endpoints by address": fixed({
      endpoints: [{ address: "10.0.0.1", ports: { http: 8080 }, labels: { v: "1" }, weight: 3, locality: "a/b/c", serviceAccount: "sa" }],
    }),
    "a Unix socket for its one port": fixed({ endpoints: [{ address: "unix:///run/x.sock" }] }),
    "endpoints by DNS name with DNS": dns({ endpoints: [{ address: "b.example.com" }, { address: "10.0.0.1" }] }),
    "a wildcard host": se({ hosts: ["*.example.com"] }),
    "several hosts on HTTP and TLS ports": se({
      hosts: ["a.example.com", "b.example.com"],
      ports: [port, { number: 443, name: "tls", protocol: "tls" }],
    }),
  });
  refuses("ServiceEntry", {
    "no hosts": [se({ hosts: [] }), "missing", "spec.hosts"],
    "the host *": [se({ hosts: ["*"] }), "badHost", "spec.hosts[0]"],
    "a host with a path": [se({ hosts: ["a.example.com/x"] }), "badHost", "spec.hosts[0]"],
    "a host that is an address": [se({ hosts: ["10.0.0.1"] }), "badHost", "spec.hosts[0]"],
    "an address that is none": [se({ addresses: ["10.0.0"] }), "badAddress", "spec.addresses[0]"],
    "a CIDR block that is too long": [se({ addresses: ["10.0.0.0/33"] }), "badAddress", "spec.addresses[0]"],
    "a CIDR block with DNS": [dns({ addresses: ["10.0.0.0/8"] }), "exclusive", "spec.addresses"],
    "two ports of one name": [se({ ports: [port, { ...port, number: 81 }] }), "duplicateItem", "spec.ports[1].name"],
    "two ports of one number": [se({ ports: [port, { ...port, name: "b" }] }), "duplicateItem", "spec.ports[1].number"],
    "port 0": [se({ ports: [{ ...port, number: 0 }] }), "outOfRange", "spec.ports[0].number"],
    "port 65536": [se({ ports: [{ ...port, number: 65536 }] }), "outOfRange", "spec.ports[0].number"],
    "a port without a name": [se({ ports: [{ number: 80, protocol: "HTTP" }] }), "missing", "spec.ports[0]: needs name"],
    "an unknown protocol": [se({ ports: [{ ...port, protocol: "SMTP" }] }), "notOneOf", "spec.ports[0].protocol"],
    "both endpoints and workloadSelector": [se({ endpoints: [{ address: "10.0.0.1" }] }), "exclusive", "spec"],
    "a wildcard in its selector": [se({ workloadSelector: { labels: { app: "*" } } }), "badLabel", "spec.workloadSelector.labels.app"],
    "an endpoint by name with STATIC": [fixed({ endpoints: [{ address: "b.example.com" }] }), "badAddress", "spec.endpoints[0].address"],
    "an endpoint without an address": [fixed({ endpoints: [{ labels: {} }] }), "missing", "spec.endpoints[0]: needs address"],
    "an endpoint's port that it does not define": [
      fixed({ endpoints: [{ address: "10.0.0.1", ports: { other: 1 } }] }),
      "badValue",
      "spec.endpoints[0].ports.other",
    ],
    "a Unix socket for two ports": [
      fixed({ ports: [port, { number: 81, name: "b", protocol: "TCP" }], endpoints: [{ address: "unix:///run/x" }] }),
      "together",
      "spec.endpoints[0].address",
    ],
    "a wildcard host with DNS and no endpoints": [dns({ hosts: ["*.example.com"] }), "badHost", "spec.hosts[0]"],
    "several hosts on a TCP port": [
      se({ hosts: ["a.example.com", "b.example.com"], ports: [{ ...port, protocol: "TCP" }] }),
      "exclusive",
      "spec.ports[0]",
    ],
  });

  test("a service that nothing answers for is warned of", () => {
    expect(problemsOf(documentWith("ServiceEntry", fixed({})))).toEqual([
      "warning noEffect spec.resolution: resolution STATIC without endpoints and workloadSelector: every call to it fails",
    ]);
  });
});

describe("WorkloadEntry", () => {
  accepts("WorkloadEntry", {
    "all of its translated fields": {
      address: "10.0.0.1",
      ports: { http: 8080 },
      labels: { app: "a" },
      locality: "r/z/s",
      weight: 2,
      serviceAccount: "sa",
    },
    "an IPv6 address": { address: "fd00::1" },
    "a DNS name": { address: "a.example.com" },
    "a Unix socket": { address: "unix:///run/x.sock" },
    "an abstract Unix socket": { address: "unix://@x" },
    "a loopback address of its own": { address: "127.10.0.1", ports: { http: 8080 }, serviceAccount: "sa" },
    "127.0.0.1 without a sidecar": { address: "127.0.0.1", ports: { http: 8080 } },
  });
  refuses("WorkloadEntry", {
    "no address": [{}, "missing", "spec: needs address"],
    "an empty address": [{ address: "" }, "badAddress", "spec.address"],
    "an address with a port": [{ address: "10.0.0.1:80" }, "badAddress", "spec.address"],
    "a directory as Unix socket": [{ address: "unix:///dir/" }, "badAddress", "spec.address"],
    "a relative Unix socket": [{ address: "unix://relative" }, "badAddress", "spec.address"],
    "ports on a Unix socket": [{ address: "unix://@x", ports: { http: 80 } }, "exclusive", "spec.ports"],
    "port 99999": [{ address: "10.0.0.1", ports: { http: 99999 } }, "outOfRange", "spec.ports.http"],
    "a port named @": [{ address: "10.0.0.1", ports: { "@": 80 } }, "badValue", 'spec.ports["@"]'],
    "a label that Kubernetes would not take": [{ address: "10.0.0.1", labels: { app: "a b" } }, "badLabel", "spec.labels.app"],
    "a negative weight": [{ address: "10.0.0.1", weight: -1 }, "outOfRange", "spec.weight"],
    "a sidecar on 127.0.0.1 that forwards to itself": [
      { address: "127.0.0.1", ports: { http: 80 }, serviceAccount: "sa" },
      "selfForward",
      "spec.ports.http",
    ],
    "a sidecar on :: that forwards to itself": [
      { address: "::", ports: { http: 80 }, serviceAccount: "sa" },
      "selfForward",
      "spec.ports.http",
    ],
    "a sidecar on 127.0.0.1 without named ports": [{ address: "127.0.0.1", serviceAccount: "sa" }, "selfForward", "spec.address"],
  });
  accepts("WorkloadEntry", { "::1, where its application is at 127.0.0.1": { address: "::1", ports: { http: 80 }, serviceAccount: "sa" } });
  const local = { address: "127.0.0.1", ports: { http: 80 }, serviceAccount: "sa" };
  accepts(
    "WorkloadEntry",
    { "127.0.0.1 where weft.dev/app says where the application is": local },
    { annotations: { "weft.dev/app": "http=127.0.0.1:9001" } },
  );
  refuses(
    "WorkloadEntry",
    { "a weft.dev/app that is the sidecar's own place": [local, "selfForward", 'metadata.annotations["weft.dev/app"]'] },
    { annotations: { "weft.dev/app": "http=127.0.0.1:80" } },
  );
});

describe("MeshConfig", () => {
  accepts("MeshConfig", {
    "all of its translated fields": {
      trustDomainAliases: ["old.example.com"],
      pathNormalization: { normalization: "DECODE_AND_MERGE_SLASHES" },
      connectTimeout: "10s",
      enableAutoMtls: false,
      accessLogFile: "/dev/stdout",
      accessLogFormat: "%START_TIME%\n",
      defaultHttpRetryPolicy: { attempts: 0 },
    },
  });
  refuses("MeshConfig", {
    "a trust domain with a slash": [{ trustDomainAliases: ["a/b"] }, "badValue", "spec.trustDomainAliases[0]"],
    "a connect timeout of two hours": [{ connectTimeout: "2h" }, "badDuration", "spec.connectTimeout"],
    "an unknown normalization": [{ pathNormalization: { normalization: "ALL" } }, "notOneOf", "spec.pathNormalization.normalization"],
  });
});
