/**
 * The traffic policy of a DestinationRule: pools, load balancing, outlier detection, TLS. istio/api
 * networking/v1alpha3/destination_rule.proto, checked as Istio's validateTrafficPolicy does.
 */
import type * as v from "valibot";
import { duration, durationOrZero, filled, onlyOne, percentNumber, portSelector } from "./common.ts";
import { choice, flag, integer, list, needed, notYet, object, type Report, text, uint32, uint64 } from "./schema.ts";

const count = () => integer(0);

const connectionPool = object(
  {
    tcp: object({
      maxConnections: count(),
      connectTimeout: duration(),
      tcpKeepalive: object({ probes: uint32(), time: duration(), interval: duration() }),
      maxConnectionDuration: duration(),
      // 0s turns the timeout off.
      idleTimeout: durationOrZero(),
    }),
    http: object(
      {
        http1MaxPendingRequests: count(),
        http2MaxRequests: count(),
        maxRequestsPerConnection: count(),
        maxRetries: count(),
        idleTimeout: duration(),
        h2UpgradePolicy: choice(["DEFAULT", "DO_NOT_UPGRADE", "UPGRADE"]),
        useClientProtocol: flag(),
        maxConcurrentStreams: count(),
        http2KeepAlive: notYet("tcp.tcpKeepalive is"),
      },
      (value, report) => {
        if (value.h2UpgradePolicy === "UPGRADE" && value.useClientProtocol) {
          report("exclusive", "may not be true where h2UpgradePolicy is UPGRADE", { path: ["useClientProtocol"] });
        }
      },
    ),
  },
  (value, report) => {
    if (!value.tcp && !value.http) report("missing", "needs tcp or http");
  },
);

/** Maglev's table must have a prime number of entries (Envoy). */
function isPrime(x: number): boolean {
  if (x < 4) return x > 0;
  if (x % 2 === 0) return false;
  for (let factor = 3; factor * factor <= x; factor += 2) if (x % factor === 0) return false;
  return true;
}

const maglev = object(
  {
    tableSize: needed(uint64()),
  },
  ({ tableSize }, report) => {
    if (tableSize >= 5_000_011 || !isPrime(tableSize)) {
      report("outOfRange", `must be a prime number below 5000011, not ${tableSize}`, { path: ["tableSize"] });
    }
  },
);

const cookie = object(
  {
    name: needed(filled()),
    path: text(),
    ttl: durationOrZero(),
    attributes: list(object({ name: needed(filled()), value: text() })),
  },
  (value, report) => {
    const names = (value.attributes ?? []).map((attribute) => attribute.name);
    for (const [index, name] of names.entries()) {
      if (names.indexOf(name) < index) report("duplicateItem", `attribute ${name} occurs twice`, { path: ["attributes", index, "name"] });
    }
  },
);

/** Envoy's largest ring (cluster.proto RingHashLbConfig). */
const ringSize = () => integer(0, 8_388_608);

const consistentHash = object(
  {
    httpHeaderName: text(),
    httpCookie: cookie,
    useSourceIp: flag(),
    httpQueryParameterName: text(),
    ringHash: object({ minimumRingSize: ringSize() }),
    maglev,
    minimumRingSize: ringSize(),
  },
  (value, report) => {
    onlyOne(value, ["httpHeaderName", "httpCookie", "useSourceIp", "httpQueryParameterName"], report);
    onlyOne(value, ["ringHash", "maglev"], report);
    if (!value.minimumRingSize) return;
    if (value.ringHash || value.maglev)
      report("exclusive", `may have only one of minimumRingSize, ${value.maglev ? "maglev" : "ringHash"}`);
    else
      report("deprecated", "is deprecated", {
        path: ["minimumRingSize"],
        atKey: true,
        severity: "warning",
        help: "write ringHash: {minimumRingSize: ...}",
      });
  },
);

const loadBalancer = object(
  {
    simple: choice(["UNSPECIFIED", "LEAST_CONN", "RANDOM", "PASSTHROUGH", "ROUND_ROBIN", "LEAST_REQUEST"]),
    consistentHash,
    localityLbSetting: notYet(),
    zoneAwareLbSetting: notYet(),
    warmupDurationSecs: notYet(),
    warmup: notYet(),
  },
  (value, report) => {
    onlyOne(value, ["simple", "consistentHash"], report);
    if (value.simple === "LEAST_CONN") {
      report("deprecated", "LEAST_CONN is deprecated", {
        path: ["simple"],
        severity: "warning",
        help: "write LEAST_REQUEST, which is the same",
      });
    }
  },
);

const outlierDetection = object(
  {
    consecutiveErrors: notYet("Istio ignores it: write consecutive5xxErrors or consecutiveGatewayErrors"),
    splitExternalLocalOriginErrors: flag(),
    consecutiveLocalOriginFailures: uint32(),
    consecutiveGatewayErrors: uint32(),
    consecutive5xxErrors: uint32(),
    interval: duration(),
    baseEjectionTime: duration(),
    maxEjectionPercent: percentNumber(),
    minHealthPercent: percentNumber(),
    outlierDetectionHttpErrorCodes: notYet("consecutive5xxErrors and consecutiveGatewayErrors are"),
  },
  (value, report) => {
    if (value.consecutiveLocalOriginFailures && !value.splitExternalLocalOriginErrors) {
      report("together", "needs splitExternalLocalOriginErrors: true", { path: ["consecutiveLocalOriginFailures"], atKey: true });
    }
  },
);

const tls = object(
  {
    mode: choice(["DISABLE", "SIMPLE", "MUTUAL", "ISTIO_MUTUAL"]),
    clientCertificate: text(),
    privateKey: text(),
    caCertificates: text(),
    credentialName: notYet("give files: clientCertificate, privateKey and caCertificates"),
    subjectAltNames: list(text()),
    sni: text(),
    insecureSkipVerify: flag(),
    caCrl: notYet(),
  },
  (value, report) => {
    const { mode, insecureSkipVerify, caCertificates, subjectAltNames } = value;
    if (insecureSkipVerify && (mode === "SIMPLE" || mode === "MUTUAL") && (caCertificates || subjectAltNames)) {
      report("exclusive", "insecureSkipVerify: true leaves nothing to check caCertificates or subjectAltNames for");
    }
    if (mode !== "MUTUAL" || "credentialName" in value) return;
    for (const name of ["clientCertificate", "privateKey"] as const) if (!value[name]) report("missing", `mode MUTUAL needs ${name}`);
  },
);

const settings = { loadBalancer, connectionPool, outlierDetection, tls } as const;

const LATER = ["tunnel", "proxyProtocol", "retryBudget"];

function checkSaysSomething(value: object, report: Report): void {
  const says = [...Object.keys(settings), "portLevelSettings", ...LATER].some((name) => Object.hasOwn(value, name));
  if (!says) report("missing", `needs one of ${[...Object.keys(settings), "portLevelSettings"].join(", ")}`);
}

const portLevelSettings = list(object({ port: needed(portSelector()), ...settings }, checkSaysSomething), (ports, report) => {
  const numbers = ports.map(({ port }) => port.number);
  for (const [index, number] of numbers.entries()) {
    if (numbers.indexOf(number) === index) continue;
    report("noEffect", `port ${number} has settings already; these are never used`, { path: [index], severity: "warning" });
  }
});

export const trafficPolicy = object(
  {
    ...settings,
    portLevelSettings,
    tunnel: notYet(),
    proxyProtocol: notYet(),
    retryBudget: notYet("connectionPool.http.maxRetries limits retries"),
  },
  checkSaysSomething,
);

export type TrafficPolicy = v.InferOutput<typeof trafficPolicy>;
export type PortTrafficPolicy = v.InferOutput<typeof portLevelSettings>[number];
export type ConnectionPool = v.InferOutput<typeof connectionPool>;
export type LoadBalancer = v.InferOutput<typeof loadBalancer>;
export type ConsistentHash = v.InferOutput<typeof consistentHash>;
export type OutlierDetection = v.InferOutput<typeof outlierDetection>;
export type ClientTls = v.InferOutput<typeof tls>;
