import { describe, expect, test } from "bun:test";
import { type DescMessage, fromBinary, type MessageShape, toBinary } from "@bufbuild/protobuf";
import { AnySchema, anyUnpack } from "@bufbuild/protobuf/wkt";
import { ClusterSchema } from "../../src/gen/envoy/config/cluster/v3/cluster_pb.ts";
import { TrafficDirection } from "../../src/gen/envoy/config/core/v3/base_pb.ts";
import { type FilterChain, FilterChainSchema } from "../../src/gen/envoy/config/listener/v3/listener_components_pb.ts";
import { ListenerSchema } from "../../src/gen/envoy/config/listener/v3/listener_pb.ts";
import {
  HttpConnectionManager_ForwardClientCertDetails,
  HttpConnectionManagerSchema,
} from "../../src/gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.ts";
import { TcpProxySchema } from "../../src/gen/envoy/extensions/filters/network/tcp_proxy/v3/tcp_proxy_pb.ts";
import { DownstreamTlsContextSchema } from "../../src/gen/envoy/extensions/transport_sockets/tls/v3/tls_pb.ts";
import { HttpProtocolOptionsSchema } from "../../src/gen/envoy/extensions/upstreams/http/v3/http_protocol_options_pb.ts";
import type { EncodedResource } from "../../src/lib/encoded.ts";
import { buildAuthorization } from "../../src/mesh/authorization.ts";
import { Pool } from "../../src/mesh/memo.ts";
import { buildMtls, type MtlsMode } from "../../src/mesh/peer-authentication.ts";
import { buildAuthentication } from "../../src/mesh/request-authentication.ts";
import type { Mesh, Protocol, Workload } from "../../src/mesh/types.ts";
import type { Resource } from "../../src/model/resource.ts";
import { inboundResources } from "../../src/xds/inbound.ts";
import { policy, settings, workload, workloads } from "../fakes/security.ts";

const orders = workload("default/orders");

interface Policies {
  readonly peers?: readonly Resource<"PeerAuthentication">[];
  readonly rules?: readonly Resource<"AuthorizationPolicy">[];
}

function meshOf(at: Workload, { peers = [], rules = [] }: Policies = {}, previous?: Mesh): Mesh {
  const all = workloads(at);
  return {
    revision: 1,
    settings,
    services: new Map(),
    endpoints: new Map(),
    workloads: all,
    mtls: buildMtls(peers, all, settings, previous),
    authentication: buildAuthentication([], all, { settings, jwks: new Map(), pool: new Pool() }),
    authorization: buildAuthorization(rules, all, settings, previous),
    inbound: new Map(),
    outbound: new Map(),
    gateways: new Map(),
    credentials: new Map(),
    envoyPatches: new Map(),
    registrations: [],
    federation: [],
    injections: new Map(),
    accessLogs: new Map(),
    tracing: new Map(),
    metrics: new Map(),
    unready: new Map(),
    doubtful: new Map(),
    processes: new Map(),
  };
}

function inMode(mode: MtlsMode, at: Workload = orders) {
  const mesh = policy("PeerAuthentication", "weft-system/mesh", { mtls: { mode } });
  return inboundResources(meshOf(at, { peers: [mesh] }), at);
}

function decode<Desc extends DescMessage>(schema: Desc, resource: EncodedResource | undefined): MessageShape<Desc> {
  const message = resource && anyUnpack(fromBinary(AnySchema, resource.any), schema);
  if (!message) throw new Error(`no ${schema.typeName}`);
  return message;
}

function filterOf<Desc extends DescMessage>(schema: Desc, chain: FilterChain | undefined): MessageShape<Desc> {
  const config = chain?.filters.at(-1)?.configType;
  const message = config?.case === "typedConfig" ? anyUnpack(config.value, schema) : undefined;
  if (!message) throw new Error(`no ${schema.typeName}`);
  return message;
}

function tlsOf(chain: FilterChain | undefined) {
  const config = chain?.transportSocket?.configType;
  return config?.case === "typedConfig" ? anyUnpack(config.value, DownstreamTlsContextSchema) : undefined;
}

/** What decides between the chains, and whether they speak mutual TLS. */
function chains(resource: EncodedResource | undefined) {
  return decode(ListenerSchema, resource).filterChains.map((chain) => ({
    transport: chain.filterChainMatch?.transportProtocol ?? "",
    alpn: chain.filterChainMatch?.applicationProtocols.includes("istio") ?? false,
    mtls: tlsOf(chain)?.requireClientCertificate?.valueOf() === true,
  }));
}

const MESH = { transport: "tls", alpn: true, mtls: true };
const ANY_MTLS = { transport: "tls", alpn: false, mtls: true };
const OTHER_TLS = { transport: "tls", alpn: false, mtls: false };
const PLAINTEXT = { transport: "raw_buffer", alpn: false, mtls: false };
const ALL = { transport: "", alpn: false, mtls: false };

describe("Inbound listeners", () => {
  test("PERMISSIVE takes the mesh's mutual TLS and plaintext; other TLS passes through on TCP and is refused on HTTP", () => {
    const [http, tcp] = inMode("PERMISSIVE").listeners;
    expect(chains(http)).toEqual([MESH, PLAINTEXT]);
    expect(chains(tcp)).toEqual([MESH, OTHER_TLS, PLAINTEXT]);
  });

  test("STRICT takes mutual TLS only", () => {
    const [http, tcp] = inMode("STRICT").listeners;
    expect([chains(http), chains(tcp)]).toEqual([
      [MESH, ANY_MTLS],
      [MESH, ANY_MTLS],
    ]);
  });

  test("A change between PERMISSIVE and STRICT leaves the mesh's own filter chain as it is, so that Envoy keeps its connections", () => {
    const bytes = (mode: MtlsMode) =>
      inMode(mode)
        .listeners.map((one) => decode(ListenerSchema, one).filterChains[0])
        .map((chain) => chain && toBinary(FilterChainSchema, chain));
    expect(bytes("STRICT")).toEqual(bytes("PERMISSIVE"));
  });

  test("DISABLE takes everything as it is, without looking at its first bytes", () => {
    const [http, tcp] = inMode("DISABLE").listeners;
    expect([chains(http), chains(tcp)]).toEqual([[ALL], [ALL]]);
    expect(decode(ListenerSchema, tcp).listenerFilters).toEqual([]);
    expect(decode(ListenerSchema, inMode("STRICT").listeners[1]).listenerFilters).toHaveLength(1);
  });

  test("A workload without an identity takes plaintext, and under STRICT nothing", () => {
    const nobody = workload("default/nobody", { serviceAccount: undefined, spiffeId: undefined });
    expect(inMode("PERMISSIVE", nobody).listeners.map(chains)).toEqual([[ALL], [ALL]]);
    expect(inMode("STRICT", nobody).listeners).toEqual([]);
  });

  test("They bind to the workload's address and port, and are named after them", () => {
    const [http] = inMode("STRICT").listeners;
    const listener = decode(ListenerSchema, http);
    expect(http?.name).toBe("inbound|8080||10.0.0.1");
    expect(listener.address?.address.value).toMatchObject({ address: "10.0.0.1", portSpecifier: { value: 8080 } });
    expect(listener.trafficDirection).toBe(TrafficDirection.INBOUND);
  });

  test("A port's own mode counts by the workload's port", () => {
    const own = policy("PeerAuthentication", "default/own", {
      selector: { matchLabels: { app: "orders" } },
      portLevelMtls: { "9090": { mode: "STRICT" } },
    });
    const [http, tcp] = inboundResources(meshOf(orders, { peers: [own] }), orders).listeners;
    expect(chains(http)).toEqual([MESH, PLAINTEXT]);
    expect(chains(tcp)).toEqual([MESH, ANY_MTLS]);
    expect(tcp?.sources.map(({ kind }) => kind)).toEqual(["PeerAuthentication", "WorkloadEntry"]);
  });

  test("The server asks for a client certificate of the trust domain and never offers ALPN istio", () => {
    const common = tlsOf(decode(ListenerSchema, inMode("STRICT").listeners[0]).filterChains[0])?.commonTlsContext;
    expect(common?.alpnProtocols).toEqual(["h2", "http/1.1"]);
    expect(common?.tlsCertificateSdsSecretConfigs.map(({ name }) => name)).toEqual(["default"]);
    const validation = common?.validationContextType;
    if (validation?.case !== "combinedValidationContext") throw new Error("no combined validation context");
    expect(validation.value.validationContextSdsSecretConfig?.name).toBe("ROOTCA");
    expect(validation.value.defaultValidationContext?.matchTypedSubjectAltNames.map(({ matcher }) => matcher?.matchPattern)).toEqual([
      { case: "prefix", value: "spiffe://mesh.local/" },
    ]);
  });

  test("HTTP goes to the application without a time limit, and tells it who called", () => {
    const chain = decode(ListenerSchema, inMode("STRICT").listeners[0]).filterChains[0];
    const manager = filterOf(HttpConnectionManagerSchema, chain);
    expect(manager.forwardClientCertDetails).toBe(HttpConnectionManager_ForwardClientCertDetails.APPEND_FORWARD);
    expect(manager.setCurrentClientCertDetails).toMatchObject({ uri: true, dns: true });
    expect(manager.httpFilters.map(({ name }) => name)).toEqual([
      "authz|http|custom",
      "authz|http|ext_authz",
      "authn|http|jwt",
      "authz|http|audit",
      "authz|http|deny",
      "authz|http|allow",
      "envoy.filters.http.router",
    ]);
    if (manager.routeSpecifier.case !== "routeConfig") throw new Error("no inline route");
    const [host] = manager.routeSpecifier.value.virtualHosts;
    expect(host).toMatchObject({ name: "inbound|http|80", domains: ["*"] });
    const action = host?.routes[0]?.action;
    if (action?.case !== "route") throw new Error("no route");
    expect(action.value.clusterSpecifier.value).toBe("inbound|8080||");
    expect(action.value.timeout?.seconds).toBe(0n);
    expect(action.value.retryPolicy).toMatchObject({ retryOn: "reset-before-request", numRetries: 2 });
  });

  test("TCP is judged before it is passed on", () => {
    const chain = decode(ListenerSchema, inMode("STRICT").listeners[1]).filterChains[0];
    expect(chain?.filters.map(({ name }) => name)).toEqual([
      "authz|tcp|custom",
      "authz|tcp|ext_authz",
      "authz|tcp|audit",
      "authz|tcp|deny",
      "authz|tcp|allow",
      "envoy.filters.network.tcp_proxy",
    ]);
    expect(filterOf(TcpProxySchema, chain).clusterSpecifier.value).toBe("inbound|9090||");
  });
});

describe("Inbound clusters", () => {
  const optionsOf = (protocol: Protocol) => {
    const [port] = orders.inbound;
    if (!port) throw new Error("no port");
    const at = workload("default/orders", { inbound: [{ ...port, protocol }] });
    const packed = decode(ClusterSchema, inMode("STRICT", at).clusters[0]).typedExtensionProtocolOptions;
    const options = Object.values(packed).map((any) => anyUnpack(any, HttpProtocolOptionsSchema)?.upstreamProtocolOptions);
    return options.map((option) => (option?.case === "explicitHttpConfig" ? option.value.protocolConfig.case : option?.case));
  };

  test("They lead to the application's own address, without limits of their own", () => {
    const [, tcp] = inMode("STRICT").clusters;
    const cluster = decode(ClusterSchema, tcp);
    expect(tcp?.name).toBe("inbound|9090||");
    const host = cluster.loadAssignment?.endpoints[0]?.lbEndpoints[0]?.hostIdentifier;
    if (host?.case !== "endpoint") throw new Error("no endpoint");
    expect(host.value.address?.address.value).toMatchObject({ address: "127.0.0.1", portSpecifier: { value: 9091 } });
    expect(cluster.circuitBreakers?.thresholds[0]?.maxConnections).toBe(4294967295);
  });

  test("HTTP/2 with prior knowledge goes to HTTP2 and GRPC ports, HTTP/1.1 to HTTP ports", () => {
    expect(optionsOf("HTTP2")).toEqual(["http2ProtocolOptions"]);
    expect(optionsOf("GRPC")).toEqual(["http2ProtocolOptions"]);
    expect(optionsOf("HTTP")).toEqual([]);
  });
});

describe("A change", () => {
  test("of an authorization policy, even the first one, changes no listener and no cluster", () => {
    const before = meshOf(orders);
    const after = meshOf(orders, { rules: [policy("AuthorizationPolicy", "default/none", {})] }, before);
    const [old, now] = [inboundResources(before, orders), inboundResources(after, orders)];
    expect(now.listeners).toBe(old.listeners);
    expect(now.clusters).toBe(old.clusters);
    expect(now.extensions.map(({ name }) => name)).toEqual(old.extensions.map(({ name }) => name));
    expect(now.extensions).not.toBe(old.extensions);
  });

  test("of the mode at one port changes the bytes of that port's listener only", () => {
    const own = policy("PeerAuthentication", "default/own", {
      selector: { matchLabels: { app: "orders" } },
      portLevelMtls: { "9090": { mode: "STRICT" } },
    });
    const before = inboundResources(meshOf(orders), orders);
    const after = inboundResources(meshOf(orders, { peers: [own] }), orders);
    expect(after.listeners[0]?.version).toBe(before.listeners[0]?.version ?? "");
    expect(after.listeners[1]?.version).not.toBe(before.listeners[1]?.version ?? "");
    expect(after.clusters).toBe(before.clusters);
  });

  test("elsewhere in the mesh leaves the same objects", () => {
    const before = meshOf(orders);
    const elsewhere = policy("PeerAuthentication", "ops/ns", { mtls: { mode: "STRICT" } });
    expect(inboundResources(meshOf(orders, { peers: [elsewhere] }, before), orders)).toBe(inboundResources(before, orders));
  });
});
