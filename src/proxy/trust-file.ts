/**
 * Whom Envoy trusts at ADS over TLS, in a file of its own: the mesh's roots are replaced every day, and a bootstrap is read once. Envoy takes the
 * file as a secret, and anew whenever it is replaced.
 */
import { rename, rm, writeFile } from "node:fs/promises";
import { dirname } from "node:path";
import { type AdsTls, validationContext, XDS_CLUSTER } from "./bootstrap.ts";

const SECRET_NAME = "weft-roots";

type Json = Readonly<Record<string, unknown>>;
interface Cluster extends Json {
  readonly name: string;
  readonly transport_socket?: {
    readonly typed_config: Json & { readonly common_tls_context: Json & { readonly validation_context?: unknown } };
  } & Json;
}
interface Shape {
  readonly static_resources: Json & { readonly clusters: readonly Cluster[] };
}

interface Validation {
  readonly trusted_ca: { readonly inline_string: string };
  readonly match_typed_subject_alt_names: readonly [{ readonly matcher: { readonly exact: string } }];
}

/** Whom the Envoy of a bootstrap of envoyBootstrap's trusts at ADS; undefined where it goes there without TLS. */
export function adsTlsOf(bootstrap: Json): AdsTls | undefined {
  const { static_resources: fixed } = bootstrap as unknown as Partial<Shape>;
  const socket = fixed?.clusters.find(({ name }) => name === XDS_CLUSTER)?.transport_socket;
  const context = socket?.typed_config.common_tls_context.validation_context as Validation | undefined;
  return context && { roots: context.trusted_ca.inline_string, spiffeId: context.match_typed_subject_alt_names[0].matcher.exact };
}

/** A bootstrap of envoyBootstrap's whose Envoy reads from `path` whom to trust at ADS; as it is where it goes there without TLS. */
export function withTrustFile(bootstrap: Json, path: string): Json {
  if (!adsTlsOf(bootstrap)) return bootstrap;
  const { static_resources: fixed } = bootstrap as unknown as Shape;
  return {
    ...bootstrap,
    static_resources: {
      ...fixed,
      clusters: fixed.clusters.map((cluster) => (cluster.name === XDS_CLUSTER ? reading(cluster, path) : cluster)),
    },
  };
}

function reading(cluster: Cluster, path: string): Cluster {
  const { transport_socket: socket } = cluster;
  if (!socket) return cluster;
  const { validation_context: _, ...common } = socket.typed_config.common_tls_context;
  const secret = {
    name: SECRET_NAME,
    sds_config: { path_config_source: { path, watched_directory: { path: dirname(path) } }, resource_api_version: "V3" },
  };
  const typed = { ...socket.typed_config, common_tls_context: { ...common, validation_context_sds_secret_config: secret } };
  return { ...cluster, transport_socket: { ...socket, typed_config: typed } };
}

/** Whole or not at all. */
export async function writeTrustFile(path: string, tls: AdsTls): Promise<void> {
  const type = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret";
  const next = `${path}.new`;
  try {
    await writeFile(
      next,
      JSON.stringify({ resources: [{ "@type": type, name: SECRET_NAME, validation_context: validationContext(tls) }] }),
      { mode: 0o600 },
    );
    await rename(next, path);
  } finally {
    await rm(next, { force: true });
  }
}
