/**
 * The traffic policy of a DestinationRule: pools, load balancing, outlier detection, TLS. istio/api
 * networking/v1alpha3/destination_rule.proto, checked as Istio's validateTrafficPolicy does.
 */
import type * as v from "valibot";
import { fqdnError, isIpAddress } from "./check.ts";
import { headerNameError } from "./check-header.ts";
import { duration, durationOrZero, filled, onlyOne, percentNumber, port, portSelector } from "./common.ts";
import { checkCredentialName } from "./credential-name.ts";
import { localityLbSetting } from "./locality.ts";
import { choice, flag, integer, list, needed, notYet, number, object, type Report, text, uint32, uint64 } from "./schema.ts";

const count = () => integer(0);

export const tcpKeepalive = object({ probes: uint32(), time: duration(), interval: duration() });

const tcpPool = object({
  maxConnections: count(),
  connectTimeout: duration(),
  tcpKeepalive,
  maxConnectionDuration: duration(),
  // 0s turns the timeout off.
  idleTimeout: durationOrZero(),
});

const httpPool = {
  http1MaxPendingRequests: count(),
  http2MaxRequests: count(),
  maxRequestsPerConnection: count(),
  maxRetries: count(),
  idleTimeout: duration(),
  useClientProtocol: flag(),
  maxConcurrentStreams: count(),
  http2KeepAlive: object({ interval: needed(duration()), timeout: needed(duration()) }),
} as const;

function checkPool(value: { readonly tcp?: object; readonly http?: object }, report: Report): void {
  if (!value.tcp && !value.http) report("missing", "needs tcp or http");
}

export const connectionPool = object(
  {
    tcp: tcpPool,
    http: object({ ...httpPool, h2UpgradePolicy: choice(["DEFAULT", "DO_NOT_UPGRADE", "UPGRADE"]) }, (value, report) => {
      if (value.h2UpgradePolicy === "UPGRADE" && value.useClientProtocol) {
        report("exclusive", "may not be true where h2UpgradePolicy is UPGRADE", { path: ["useClientProtocol"] });
      }
    }),
  },
  checkPool,
);

const NO_UPGRADE = { UPGRADE: "a sidecar speaks to its application as the port's protocol says: write protocol: HTTP2" };

/** For a sidecar's connections to its application. */
export const inboundConnectionPool = object(
  { tcp: tcpPool, http: object({ ...httpPool, h2UpgradePolicy: choice(["DEFAULT", "DO_NOT_UPGRADE"], NO_UPGRADE) }) },
  checkPool,
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

function checkAttributeName(name: string, report: Report): void {
  if (name === "") report("badValue", "must not be empty");
  // Envoy's rule (RouteAction.HashPolicy), whose breach loses the whole route table.
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is refused
  if (/[\u0000\n\r]/.test(name)) report("badValue", "may not hold NUL or line breaks");
}

const cookie = object(
  {
    name: needed(filled()),
    path: text(),
    ttl: durationOrZero(),
    attributes: list(object({ name: needed(text(checkAttributeName)), value: text() })),
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
    httpHeaderName: text((name, report) => {
      const error = name === "" || name.startsWith(":") ? undefined : headerNameError(name);
      if (error) report("badHeader", error);
    }),
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

const warmup = object({
  duration: needed(duration()),
  minimumPercent: number((value, report) => {
    if (value < 0 || value > 100) report("outOfRange", `must be from 0 to 100, not ${value}`);
  }),
  // Envoy's rule (Cluster.SlowStartConfig): the ramp up divides by it.
  aggression: number((value, report) => {
    if (value <= 0) report("outOfRange", `must be greater than 0, not ${value}`);
  }),
});

const loadBalancer = object(
  {
    // PASSTHROUGH: for services whose callers mean a place of their own (mesh/analysis/without-effect.ts tells of others).
    simple: choice(["UNSPECIFIED", "LEAST_CONN", "RANDOM", "PASSTHROUGH", "ROUND_ROBIN", "LEAST_REQUEST"]),
    consistentHash,
    localityLbSetting,
    zoneAwareLbSetting: notYet("localityLbSetting is"),
    warmupDurationSecs: duration(),
    warmup,
  },
  (value, report) => {
    onlyOne(value, ["simple", "consistentHash"], report);
    const isWarm = value.warmup !== undefined || value.warmupDurationSecs !== undefined;
    if (isWarm && (value.consistentHash || value.simple === "RANDOM")) {
      report("noEffect", "only ROUND_ROBIN and LEAST_REQUEST warm instances up", { severity: "warning" });
    }
    if (value.simple === "LEAST_CONN") {
      report("deprecated", "LEAST_CONN is deprecated", {
        path: ["simple"],
        severity: "warning",
        help: "write LEAST_REQUEST, which is the same",
      });
    }
  },
);

export const outlierDetection = object(
  {
    consecutiveErrors: integer(),
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
    if (value.consecutiveErrors) {
      // Istio too translates it no more, and warns (pkg/config/validation/validation.go validateOutlierDetection).
      report("noEffect", "is deprecated and nothing comes of it", {
        path: ["consecutiveErrors"],
        atKey: true,
        severity: "warning",
        help: "write consecutive5xxErrors or consecutiveGatewayErrors",
      });
    }
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
    credentialName: text(checkCredentialName),
    subjectAltNames: list(text()),
    sni: text((name, report) => {
      // Envoy's limit, and TLS's own.
      if (Buffer.byteLength(name) > 255) report("badValue", "must not be longer than 255 bytes");
      if (name.includes("\0")) report("badValue", "may not hold NUL");
    }),
    insecureSkipVerify: flag(),
    caCrl: text(),
  },
  (value, report) => {
    const { mode, insecureSkipVerify, caCertificates, subjectAltNames, credentialName } = value;
    if (insecureSkipVerify && mode === "SIMPLE" && credentialName) {
      report("exclusive", "insecureSkipVerify: true leaves nothing for credentialName to say");
    }
    if (credentialName && (mode === "SIMPLE" || mode === "MUTUAL")) {
      for (const name of ["clientCertificate", "privateKey", "caCertificates", "caCrl"] as const) {
        if (value[name]) report("exclusive", "credentialName says it already", { path: [name], atKey: true });
      }
    }
    if (insecureSkipVerify && (mode === "SIMPLE" || mode === "MUTUAL") && (caCertificates || subjectAltNames)) {
      report("exclusive", "insecureSkipVerify: true leaves nothing to check caCertificates or subjectAltNames for");
    }
    if (mode !== "MUTUAL" || credentialName) return;
    for (const name of ["clientCertificate", "privateKey"] as const) if (!value[name]) report("missing", `mode MUTUAL needs ${name}`);
  },
);

const settings = { loadBalancer, connectionPool, outlierDetection, tls } as const;

const MORE = ["portLevelSettings", "tunnel", "proxyProtocol", "retryBudget"];

function checkSaysSomething(value: object, report: Report): void {
  const says = [...Object.keys(settings), ...MORE].some((name) => {
    const part = (value as Readonly<Record<string, unknown>>)[name];
    // An empty list says nothing.
    return part !== undefined && !(Array.isArray(part) && part.length === 0);
  });
  if (!says) report("missing", `needs one of ${[...Object.keys(settings), "portLevelSettings"].join(", ")}`);
}

const portLevelSettings = list(object({ port: needed(portSelector()), ...settings }, checkSaysSomething), (ports, report) => {
  const numbers = ports.map(({ port }) => port.number);
  for (const [index, number] of numbers.entries()) {
    if (numbers.indexOf(number) === index) continue;
    report("noEffect", `port ${number} has settings already; these are never used`, { path: [index], severity: "warning" });
  }
});

/** TCP routes' connections go out inside an HTTP request to a proxy, which opens the real one. */
const tunnel = object({
  protocol: choice(["CONNECT", "POST"]),
  targetHost: needed(
    text((host, report) => {
      if (!isIpAddress(host) && fqdnError(host)) report("badHost", `${JSON.stringify(host)} is neither an IP address nor a DNS name`);
    }),
  ),
  targetPort: needed(port()),
});

const retryBudget = object({
  percent: number((value, report) => {
    if (value < 0 || value > 100) report("outOfRange", `must be from 0 to 100, not ${value}`);
  }),
  budgetInterval: notYet("the budget is of the requests that are under way"),
  minRetryConcurrency: uint32(),
});

export const trafficPolicy = object(
  {
    ...settings,
    portLevelSettings,
    tunnel,
    proxyProtocol: object({ version: choice(["V1", "V2"]) }),
    retryBudget,
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
