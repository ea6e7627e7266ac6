/**
 * The workload token in a file of its own, from which Envoy takes it anew for each stream: a bootstrap is read once, and a token that stood in it
 * could not be renewed without a new Envoy. Envoy's gRPC client runs the filters of its cluster; the credential injector there reads the token as a
 * secret from a file that it watches. Tried on Envoy 1.36.4 and 1.40.0.
 */
import { rename, rm, writeFile } from "node:fs/promises";
import { dirname } from "node:path";
import { authorizationOf, XDS_CLUSTER } from "./bootstrap.ts";

const SECRET_NAME = "weft-token";
const HTTP_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";

interface Shape {
  readonly dynamic_resources: { readonly ads_config: { readonly grpc_services: readonly [Record<string, unknown>] } };
  readonly static_resources: {
    readonly clusters: readonly (Record<string, unknown> & {
      readonly name: string;
      readonly typed_extension_protocol_options?: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
    })[];
  };
}

/** A bootstrap of envoyBootstrap's without its token, which Envoy is to read from `path`; as it is where it has none. */
export function withTokenFile(bootstrap: Readonly<Record<string, unknown>>, path: string): Readonly<Record<string, unknown>> {
  if (authorizationOf(bootstrap) === undefined) return bootstrap;
  const { dynamic_resources: dynamic, static_resources: fixed } = bootstrap as unknown as Shape;
  const { initial_metadata: _, ...service } = dynamic.ads_config.grpc_services[0];
  const clusters = fixed.clusters.map((cluster) => (cluster.name === XDS_CLUSTER ? injecting(cluster, path) : cluster));
  return {
    ...bootstrap,
    dynamic_resources: { ...dynamic, ads_config: { ...dynamic.ads_config, grpc_services: [service] } },
    static_resources: { ...fixed, clusters },
  };
}

function injecting(cluster: Shape["static_resources"]["clusters"][number], path: string) {
  const options = cluster.typed_extension_protocol_options ?? {};
  const filters = [
    {
      name: "envoy.filters.http.credential_injector",
      typed_config: {
        "@type": "type.googleapis.com/envoy.extensions.filters.http.credential_injector.v3.CredentialInjector",
        overwrite: true,
        credential: {
          name: "envoy.http.injected_credentials.generic",
          typed_config: {
            "@type": "type.googleapis.com/envoy.extensions.http.injected_credentials.generic.v3.Generic",
            credential: {
              name: SECRET_NAME,
              sds_config: { path_config_source: { path, watched_directory: { path: dirname(path) } }, resource_api_version: "V3" },
            },
            header: "authorization",
          },
        },
      },
    },
    {
      name: "envoy.filters.http.upstream_codec",
      typed_config: { "@type": "type.googleapis.com/envoy.extensions.filters.http.upstream_codec.v3.UpstreamCodec" },
    },
  ];
  return {
    ...cluster,
    typed_extension_protocol_options: { ...options, [HTTP_OPTIONS]: { ...options[HTTP_OPTIONS], http_filters: filters } },
  };
}

/** Whole or not at all: Envoy reads it whenever the file of that name is replaced. Mode 0600. */
export async function writeTokenFile(path: string, authorization: string): Promise<void> {
  const secret = {
    resources: [
      {
        "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret",
        name: SECRET_NAME,
        generic_secret: { secret: { inline_string: authorization } },
      },
    ],
  };
  const next = `${path}.new`;
  try {
    await writeFile(next, JSON.stringify(secret), { mode: 0o600 });
    await rename(next, path);
  } finally {
    await rm(next, { force: true });
  }
}
