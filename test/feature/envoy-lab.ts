/** A real Envoy on an ADS server of its own, and the least resources that carry a request: made here, so that only ADS is tested. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { create, type DescMessage, type MessageInitShape } from "@bufbuild/protobuf";
import { openProcesses } from "../../scripts/lib/lab/processes.ts";
import { createAdsServer } from "../../src/ads/server.ts";
import type { AnswerEvent } from "../../src/ads/types.ts";
import { ClusterSchema } from "../../src/gen/envoy/config/cluster/v3/cluster_pb.ts";
import { TypedExtensionConfigSchema } from "../../src/gen/envoy/config/core/v3/extension_pb.ts";
import { ClusterLoadAssignmentSchema } from "../../src/gen/envoy/config/endpoint/v3/endpoint_pb.ts";
import { ListenerSchema } from "../../src/gen/envoy/config/listener/v3/listener_pb.ts";
import { RouteConfigurationSchema } from "../../src/gen/envoy/config/route/v3/route_pb.ts";
import { RBACSchema } from "../../src/gen/envoy/extensions/filters/http/rbac/v3/rbac_pb.ts";
import { RouterSchema } from "../../src/gen/envoy/extensions/filters/http/router/v3/router_pb.ts";
import { HttpConnectionManagerSchema } from "../../src/gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.ts";
import { systemClock } from "../../src/lib/clock.ts";
import type { EncodedResource, ProxySnapshot, TypeUrl } from "../../src/lib/encoded.ts";
import { encodeResource, packAny } from "../../src/xds/encode.ts";
import { onCleanup, until } from "./fixture.ts";

const ADS = { resourceApiVersion: 2, configSourceSpecifier: { case: "ads", value: {} } } as const;

const address = (host: string, port: number) =>
  ({ address: { case: "socketAddress", value: { address: host, portSpecifier: { case: "portValue", value: port } } } }) as const;

function make<Desc extends DescMessage>(schema: Desc, name: string, init: MessageInitShape<Desc>): EncodedResource {
  return encodeResource(schema, name, create(schema, init), []);
}

export const cluster = (name: string) =>
  make(ClusterSchema, name, { name, clusterDiscoveryType: { case: "type", value: 3 }, edsClusterConfig: { edsConfig: ADS } });

export const endpoint = (name: string, port: number, host = "127.0.0.1") =>
  make(ClusterLoadAssignmentSchema, name, {
    clusterName: name,
    endpoints: [{ lbEndpoints: [{ hostIdentifier: { case: "endpoint", value: { address: address(host, port) } } }] }],
  });

/** Route configuration "routes": everything to `to`. */
export const routes = (to: string) =>
  make(RouteConfigurationSchema, "routes", {
    name: "routes",
    virtualHosts: [
      {
        name: "all",
        domains: ["*"],
        routes: [
          {
            match: { pathSpecifier: { case: "prefix", value: "/" } },
            action: { case: "route", value: { clusterSpecifier: { case: "cluster", value: to } } },
          },
        ],
      },
    ],
  });

/** An extension that lets everything through. */
export const extension = (name: string) =>
  make(TypedExtensionConfigSchema, name, { name, typedConfig: packAny(RBACSchema, create(RBACSchema, {})) });

/** A listener that serves "routes", through the extensions named. */
export const listener = (port: number, ...extensions: readonly string[]) => {
  const typeUrls = [`type.googleapis.com/${RBACSchema.typeName}`];
  const router = { case: "typedConfig", value: packAny(RouterSchema, create(RouterSchema, {})) } as const;
  const manager = create(HttpConnectionManagerSchema, {
    statPrefix: "test",
    routeSpecifier: { case: "rds", value: { routeConfigName: "routes", configSource: ADS } },
    httpFilters: [
      ...extensions.map((name) => ({ name, configType: { case: "configDiscovery", value: { configSource: ADS, typeUrls } } }) as const),
      { name: "router", configType: router },
    ],
  });
  const configType = { case: "typedConfig", value: packAny(HttpConnectionManagerSchema, manager) } as const;
  return make(ListenerSchema, "listener", {
    name: "listener",
    address: address("127.0.0.1", port),
    filterChains: [{ filters: [{ name: "http", configType }] }],
  });
};

export async function startEnvoyLab(envoy: string, api: "DELTA_GRPC" | "GRPC") {
  const listeners = new Set<(snapshot: ProxySnapshot) => void>();
  let latest: ProxySnapshot = { revision: 0, resources: new Map() };
  const refusals: (AnswerEvent & { readonly message: string })[] = [];
  const ads = createAdsServer({
    authenticate: () => Promise.resolve({ id: "default/envoy" }),
    clock: systemClock,
    observer: { nacked: (event) => refusals.push(event) },
    source: {
      subscribe(_proxy, onSnapshot) {
        listeners.add(onSnapshot);
        onSnapshot(latest);
        return () => listeners.delete(onSnapshot);
      },
    },
  });
  onCleanup(() => ads.close(0));
  const { port } = await ads.listen({ host: "127.0.0.1", port: 0 });
  const directory = mkdtempSync(join(tmpdir(), "weft-ads-envoy-"));
  onCleanup(() => rmSync(directory, { recursive: true, force: true }));
  const path = join(directory, "envoy.json");
  writeFileSync(path, JSON.stringify(bootstrap(port, api)));
  const command = [envoy, "-c", path, "--disable-hot-restart", "--drain-time-s", "60", "-l", "critical"];
  const processes = openProcesses(directory);
  onCleanup(() => processes.stopAll(0));
  processes.start("envoy", command);
  return {
    ledger: ads.ledger,
    refusals,
    publish(...resources: readonly EncodedResource[]): number {
      const byType = new Map<TypeUrl, Map<string, EncodedResource>>();
      for (const resource of resources) {
        const map = byType.get(resource.typeUrl) ?? new Map<string, EncodedResource>();
        byType.set(resource.typeUrl, map.set(resource.name, resource));
      }
      latest = { revision: latest.revision + 1, resources: byType };
      for (const onSnapshot of listeners) onSnapshot(latest);
      return latest.revision;
    },
    /** At the start: until Envoy serves `port`. */
    async untilServing(port: number): Promise<void> {
      const deadline = Date.now() + 20_000;
      while ((await get(port)) !== 200) {
        if (Date.now() > deadline) throw new Error(`Envoy does not serve port ${port}`);
        await Bun.sleep(20);
      }
    },
    untilAcked: (revision: number) => until(() => ads.ledger.ackedRevision("default/envoy") === revision, `revision ${revision}`, 20_000),
  };
}

function bootstrap(adsPort: number, api: string): object {
  const http2 = {
    "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
    explicit_http_config: { http2_protocol_options: {} },
  };
  const endpoints = [{ lb_endpoints: [{ endpoint: { address: { socket_address: { address: "127.0.0.1", port_value: adsPort } } } }] }];
  const ads = { ads: {}, resource_api_version: "V3" };
  return {
    node: { id: "envoy", cluster: "test" },
    dynamic_resources: {
      ads_config: { api_type: api, transport_api_version: "V3", grpc_services: [{ envoy_grpc: { cluster_name: "ads" } }] },
      cds_config: ads,
      lds_config: ads,
    },
    static_resources: {
      clusters: [
        {
          name: "ads",
          type: "STATIC",
          connect_timeout: "5s",
          typed_extension_protocol_options: { "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": http2 },
          load_assignment: { cluster_name: "ads", endpoints },
        },
      ],
    },
  };
}

/** One HTTP/1.1 connection that stays open; each call is a request on it and gives the response's status. @throws where it was closed */
export function keptConnection(port: number): () => Promise<number> {
  let text = "";
  let closed = false;
  const socket = connect(port, "127.0.0.1");
  onCleanup(() => socket.destroy());
  socket.on("error", () => {});
  socket.on("close", () => {
    closed = true;
  });
  socket.on("data", (data: Buffer) => {
    text += data.toString("latin1");
  });
  return async () => {
    if (closed) throw new Error("the connection was closed");
    text = "";
    socket.write("GET / HTTP/1.1\r\nhost: test\r\n\r\n");
    await until(() => closed || text.includes("\r\n\r\n"), "a response");
    return Number(/^HTTP\/1.1 (\d+)/.exec(text)?.[1] ?? 0);
  };
}

export async function freePort(): Promise<number> {
  const server = Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data() {} } });
  const { port } = server;
  server.stop(true);
  return port;
}

/** The status of a request on a new connection, 0 where there is none. */
export function get(port: number): Promise<number> {
  return fetch(`http://127.0.0.1:${port}/`, { headers: { connection: "close" } }).then(
    (response) => response.status,
    () => 0,
  );
}
