/** The traffic policy of a DestinationRule: pools, load balancing, outlier detection, TLS. istio/api networking/v1alpha3/destination_rule.proto. */
import type * as v from "valibot";
import { duration, portSelector } from "./common.ts";
import { choice, flag, integer, list, needed, notYet, object, text, uint32, uint64 } from "./schema.ts";

const connectionPool = object({
  tcp: object({
    maxConnections: integer(),
    connectTimeout: duration(),
    tcpKeepalive: object({ probes: uint32(), time: duration(), interval: duration() }),
    maxConnectionDuration: duration(),
    idleTimeout: duration(),
  }),
  http: object({
    http1MaxPendingRequests: integer(),
    http2MaxRequests: integer(),
    maxRequestsPerConnection: integer(),
    maxRetries: integer(),
    idleTimeout: duration(),
    h2UpgradePolicy: choice(["DEFAULT", "DO_NOT_UPGRADE", "UPGRADE"]),
    useClientProtocol: flag(),
    maxConcurrentStreams: integer(),
    http2KeepAlive: notYet("tcp.tcpKeepalive is"),
  }),
});

const consistentHash = object({
  httpHeaderName: text(),
  httpCookie: object({
    name: needed(text()),
    path: text(),
    ttl: text(),
    attributes: list(object({ name: needed(text()), value: text() })),
  }),
  useSourceIp: flag(),
  httpQueryParameterName: text(),
  ringHash: object({ minimumRingSize: uint64() }),
  maglev: object({ tableSize: uint64() }),
  minimumRingSize: uint64(),
});

const loadBalancer = object({
  simple: choice(["UNSPECIFIED", "LEAST_CONN", "RANDOM", "PASSTHROUGH", "ROUND_ROBIN", "LEAST_REQUEST"]),
  consistentHash,
  localityLbSetting: notYet(),
  zoneAwareLbSetting: notYet(),
  warmupDurationSecs: notYet(),
  warmup: notYet(),
});

const outlierDetection = object({
  consecutiveErrors: integer(),
  splitExternalLocalOriginErrors: flag(),
  consecutiveLocalOriginFailures: uint32(),
  consecutiveGatewayErrors: uint32(),
  consecutive5xxErrors: uint32(),
  interval: duration(),
  baseEjectionTime: duration(),
  maxEjectionPercent: integer(),
  minHealthPercent: integer(),
  outlierDetectionHttpErrorCodes: notYet("consecutive5xxErrors and consecutiveGatewayErrors are"),
});

const tls = object({
  mode: choice(["DISABLE", "SIMPLE", "MUTUAL", "ISTIO_MUTUAL"]),
  clientCertificate: text(),
  privateKey: text(),
  caCertificates: text(),
  credentialName: notYet("give files: clientCertificate, privateKey and caCertificates"),
  subjectAltNames: list(text()),
  sni: text(),
  insecureSkipVerify: flag(),
  caCrl: notYet(),
});

const settings = { loadBalancer, connectionPool, outlierDetection, tls } as const;

const portLevelSettings = list(object({ port: needed(portSelector()), ...settings }));

export const trafficPolicy = object({
  ...settings,
  portLevelSettings,
  tunnel: notYet(),
  proxyProtocol: notYet(),
  retryBudget: notYet("connectionPool.http.maxRetries limits retries"),
});

export type TrafficPolicy = v.InferOutput<typeof trafficPolicy>;
export type PortTrafficPolicy = v.InferOutput<typeof portLevelSettings>[number];
export type ConnectionPool = v.InferOutput<typeof connectionPool>;
export type LoadBalancer = v.InferOutput<typeof loadBalancer>;
export type ConsistentHash = v.InferOutput<typeof consistentHash>;
export type OutlierDetection = v.InferOutput<typeof outlierDetection>;
export type ClientTls = v.InferOutput<typeof tls>;
