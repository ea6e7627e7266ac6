import { describe } from "bun:test";
import { accepts, refuses } from "./support.ts";

type Spec = Record<string, unknown>;

describe("DestinationRule", () => {
  const dr = (trafficPolicy: Spec): Spec => ({ host: "a", trafficPolicy });
  const pool = (http: Spec) => dr({ connectionPool: { http } });
  const hash = (consistentHash: Spec) => dr({ loadBalancer: { consistentHash } });
  const tls = (settings: Spec) => dr({ tls: settings });
  accepts("DestinationRule", {
    "a host alone": { host: "*.example.com" },
    "all pool settings": dr({
      connectionPool: {
        tcp: {
          maxConnections: 1,
          connectTimeout: "1s",
          tcpKeepalive: { probes: 3, time: "7200s", interval: "75s" },
          maxConnectionDuration: "1h",
          idleTimeout: "0s",
        },
        http: {
          http1MaxPendingRequests: 1,
          http2MaxRequests: 1,
          maxRequestsPerConnection: 1,
          maxRetries: 1,
          idleTimeout: "1s",
          h2UpgradePolicy: "UPGRADE",
          maxConcurrentStreams: 1,
        },
      },
    }),
    "all outlier settings": dr({
      outlierDetection: {
        splitExternalLocalOriginErrors: true,
        consecutiveLocalOriginFailures: 1,
        consecutiveGatewayErrors: 0,
        consecutive5xxErrors: 7,
        interval: "1m",
        baseEjectionTime: "15m",
        maxEjectionPercent: 100,
        minHealthPercent: 0,
      },
    }),
    "a hash by cookie": hash({
      httpCookie: { name: "c", path: "/", ttl: "0s", attributes: [{ name: "SameSite", value: "Lax" }] },
      maglev: { tableSize: 65537 },
    }),
    "a hash by source address": hash({ useSourceIp: true, ringHash: { minimumRingSize: 1024 } }),
    "mutual TLS with files": tls({
      mode: "MUTUAL",
      clientCertificate: "/c",
      privateKey: "/k",
      caCertificates: "/a",
      sni: "x",
      subjectAltNames: ["y"],
    }),
    "TLS that verifies nothing": tls({ mode: "SIMPLE", insecureSkipVerify: true }),
    "subsets with a policy of their own": {
      host: "a",
      subsets: [
        {
          name: "v1",
          labels: { v: "1" },
          trafficPolicy: { portLevelSettings: [{ port: { number: 80 }, loadBalancer: { simple: "RANDOM" } }] },
        },
      ],
    },
  });
  refuses("DestinationRule", {
    "no host": [{}, "missing", "spec: needs host"],
    "a host with a scheme": [{ host: "http://a" }, "badHost", "spec.host"],
    "an empty traffic policy": [dr({}), "missing", "spec.trafficPolicy"],
    "an empty connection pool": [dr({ connectionPool: {} }), "missing", "spec.trafficPolicy.connectionPool"],
    "negative limits": [pool({ maxRetries: -1 }), "outOfRange", "spec.trafficPolicy.connectionPool.http.maxRetries"],
    "an HTTP idle timeout of 0s": [pool({ idleTimeout: "0s" }), "badDuration", "spec.trafficPolicy.connectionPool.http.idleTimeout"],
    "a timeout of 1500us": [pool({ idleTimeout: "1500us" }), "badDuration", "spec.trafficPolicy.connectionPool.http.idleTimeout"],
    "a timeout that Envoy cannot hold": [
      pool({ idleTimeout: "9223372036s" }),
      "badDuration",
      "spec.trafficPolicy.connectionPool.http.idleTimeout",
    ],
    "a duration without unit": [pool({ idleTimeout: "5" }), "badDuration", "spec.trafficPolicy.connectionPool.http.idleTimeout"],
    "UPGRADE with useClientProtocol": [
      pool({ h2UpgradePolicy: "UPGRADE", useClientProtocol: true }),
      "exclusive",
      "spec.trafficPolicy.connectionPool.http.useClientProtocol",
    ],
    "both simple and consistentHash": [
      dr({ loadBalancer: { simple: "RANDOM", consistentHash: {} } }),
      "exclusive",
      "spec.trafficPolicy.loadBalancer",
    ],
    "two hash keys": [hash({ useSourceIp: true, httpHeaderName: "x" }), "exclusive", "spec.trafficPolicy.loadBalancer.consistentHash"],
    "two hash algorithms": [
      hash({ maglev: { tableSize: 7 }, ringHash: {} }),
      "exclusive",
      "spec.trafficPolicy.loadBalancer.consistentHash",
    ],
    "a Maglev table that is not prime": [
      hash({ maglev: { tableSize: 65536 } }),
      "outOfRange",
      "spec.trafficPolicy.loadBalancer.consistentHash.maglev.tableSize",
    ],
    "a ring larger than Envoy's largest": [
      hash({ useSourceIp: true, ringHash: { minimumRingSize: 8_388_609 } }),
      "outOfRange",
      "spec.trafficPolicy.loadBalancer.consistentHash.ringHash.minimumRingSize",
    ],
    "a cookie without a name": [hash({ httpCookie: {} }), "missing", "spec.trafficPolicy.loadBalancer.consistentHash.httpCookie"],
    "a hash of a header whose name has a line break": [
      hash({ httpHeaderName: "a\nb" }),
      "badHeader",
      "spec.trafficPolicy.loadBalancer.consistentHash.httpHeaderName",
    ],
    "an SNI longer than TLS allows": [dr({ tls: { mode: "SIMPLE", sni: "a".repeat(256) } }), "badValue", "spec.trafficPolicy.tls.sni"],
    "a warm-up without a duration": [dr({ loadBalancer: { warmup: {} } }), "missing", "spec.trafficPolicy.loadBalancer.warmup"],
    "a warm-up with aggression 0": [
      dr({ loadBalancer: { warmup: { duration: "1s", aggression: 0 } } }),
      "outOfRange",
      "spec.trafficPolicy.loadBalancer.warmup.aggression",
    ],
    "HTTP/2 keepalive without a timeout": [
      dr({ connectionPool: { http: { http2KeepAlive: { interval: "1s" } } } }),
      "missing",
      "spec.trafficPolicy.connectionPool.http.http2KeepAlive",
    ],
    "shares of localities that are not 100 together": [
      dr({ loadBalancer: { localityLbSetting: { distribute: [{ from: "eu", to: { eu: 50 } }] } } }),
      "together",
      "spec.trafficPolicy.loadBalancer.localityLbSetting.distribute[0].to",
    ],
    "localities that cover each other": [
      dr({ loadBalancer: { localityLbSetting: { distribute: [{ from: "eu", to: { eu: 50, "eu/north": 50 } }] } } }),
      "duplicateItem",
      "spec.trafficPolicy.loadBalancer.localityLbSetting.distribute[0].to",
    ],
    "a failover to the same region": [
      dr({ loadBalancer: { localityLbSetting: { failover: [{ from: "eu", to: "eu" }] } } }),
      "badValue",
      "spec.trafficPolicy.loadBalancer.localityLbSetting.failover[0]",
    ],
    "a selector and an export to all": [
      { host: "a", workloadSelector: { matchLabels: { app: "a" } }, exportTo: ["*"] },
      "exclusive",
      "spec.exportTo",
    ],
    "a tunnel to no host": [dr({ tunnel: { targetHost: "a b", targetPort: 1 } }), "badHost", "spec.trafficPolicy.tunnel.targetHost"],
    "more than 100 percent ejected": [
      dr({ outlierDetection: { maxEjectionPercent: 101 } }),
      "outOfRange",
      "spec.trafficPolicy.outlierDetection.maxEjectionPercent",
    ],
    "local failures counted without being split off": [
      dr({ outlierDetection: { consecutiveLocalOriginFailures: 1 } }),
      "together",
      "spec.trafficPolicy.outlierDetection.consecutiveLocalOriginFailures",
    ],
    "mutual TLS without a key": [
      tls({ mode: "MUTUAL", clientCertificate: "/c" }),
      "missing",
      "spec.trafficPolicy.tls: mode MUTUAL needs privateKey",
    ],
    "a CA where nothing is verified": [
      tls({ mode: "SIMPLE", insecureSkipVerify: true, caCertificates: "/a" }),
      "exclusive",
      "spec.trafficPolicy.tls",
    ],
    "an unknown TLS mode": [tls({ mode: "STRICT" }), "notOneOf", "spec.trafficPolicy.tls.mode"],
    "port settings without a port": [
      dr({ portLevelSettings: [{ tls: {} }] }),
      "missing",
      "spec.trafficPolicy.portLevelSettings[0]: needs port",
    ],
    "two subsets of one name": [{ host: "a", subsets: [{ name: "v1" }, { name: "v1" }] }, "duplicateItem", "spec.subsets[1].name"],
    "a subset whose name is no label": [{ host: "a", subsets: [{ name: "v_1" }] }, "badValue", "spec.subsets[0].name"],
  });
});
