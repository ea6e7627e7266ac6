/**
 * The services that action CUSTOM asks (MeshConfig's extensionProviders envoyExtAuthzHttp and envoyExtAuthzGrpc), each with the cluster by
 * which proxies reach it (Istio, pilot/pkg/security/authz/builder/extauthz.go processExtensionProvider, and LookupCluster).
 */
import { parseDuration } from "../lib/duration.ts";
import type { Provenance } from "../lib/provenance.ts";
import type { ExtensionProvider } from "../model/extension-provider.ts";
import { canonicalHost } from "../model/host.ts";
import { readNamespace } from "../model/metadata.ts";
import { provenanceOf, type Resource } from "../model/resource.ts";
import { clusterName } from "./http-routes.ts";
import type { Pool } from "./memo.ts";
import type { ServiceIndex } from "./services.ts";
import type { Settings } from "./types.ts";

/** Header names: exact, "prefix*" or "*suffix", without regard to case. */
export type HeaderPatterns = readonly string[];

export type AuthorizationProvider = {
  readonly name: string;
  readonly protocol: "HTTP" | "GRPC";
  /** Of the service that is asked. */
  readonly host: string;
  /** "outbound|9000||authz.default.mesh.local" */
  readonly cluster: string;
  readonly timeoutMs: number;
  /** Whether a request passes when the service cannot be asked. */
  readonly failOpen: boolean;
  /** Then, without failOpen, the answer's status; 403 where absent. */
  readonly statusOnError?: number;
  readonly clearRouteCache: boolean;
  readonly body?: { readonly maxRequestBytes: number; readonly allowPartialMessage: boolean; readonly packAsBytes: boolean };
  /** With HTTP only. */
  readonly http?: {
    readonly pathPrefix: string;
    readonly requestHeaders: HeaderPatterns;
    /** By name, sorted. */
    readonly additionalHeaders: readonly (readonly [string, string])[];
    readonly toUpstreamOnAllow: HeaderPatterns;
    readonly toDownstreamOnDeny: HeaderPatterns;
    readonly toDownstreamOnAllow: HeaderPatterns;
  };
  readonly source: Provenance;
};

/** By name; an error (the end of a sentence) where the provider cannot be asked. */
export type AuthorizationProviders = ReadonlyMap<string, AuthorizationProvider | { readonly error: string }>;

/** Istio's (timeoutOrDefault). */
const DEFAULT_TIMEOUT_MS = 600_000;

export function buildAuthorizationProviders(
  config: Resource<"MeshConfig"> | undefined,
  services: ServiceIndex,
  settings: Settings,
  pool: Pool,
): AuthorizationProviders {
  const providers = (config?.spec.extensionProviders ?? []).flatMap((provider, index) => {
    const made = config && providerOf(provider, provenanceOf(config, "spec", "extensionProviders", index), services, settings);
    return made ? [[provider.name, made] as const] : [];
  });
  return pool.keep(`authorization providers ${JSON.stringify(providers)}`, () => new Map(providers));
}

function providerOf(
  { name, envoyExtAuthzHttp: http, envoyExtAuthzGrpc: grpc }: ExtensionProvider,
  source: Provenance,
  services: ServiceIndex,
  settings: Settings,
): AuthorizationProvider | { readonly error: string } | undefined {
  const spec = http ?? grpc;
  if (!spec) return undefined;
  const found = findService(spec.service, services, settings);
  if ("error" in found) return found;
  const body = spec.includeRequestBodyInCheck;
  return {
    name,
    protocol: http ? "HTTP" : "GRPC",
    host: found.host,
    cluster: clusterName(found.host, spec.port),
    timeoutMs: parseDuration(spec.timeout ?? "") ?? DEFAULT_TIMEOUT_MS,
    failOpen: spec.failOpen ?? false,
    statusOnError: spec.statusOnError ? Number(spec.statusOnError) : undefined,
    clearRouteCache: spec.clearRouteCache ?? false,
    body: body && {
      maxRequestBytes: body.maxRequestBytes ?? 0,
      allowPartialMessage: body.allowPartialMessage ?? false,
      packAsBytes: body.packAsBytes ?? false,
    },
    http: http && {
      pathPrefix: http.pathPrefix ?? "",
      // The older name counts where the newer one says nothing.
      requestHeaders: http.includeRequestHeadersInCheck?.length ? http.includeRequestHeadersInCheck : (http.includeHeadersInCheck ?? []),
      additionalHeaders: Object.entries(http.includeAdditionalHeadersInCheck ?? {}).sort(([a], [b]) => (a < b ? -1 : 1)),
      toUpstreamOnAllow: http.headersToUpstreamOnAllow ?? [],
      toDownstreamOnDeny: http.headersToDownstreamOnDeny ?? [],
      toDownstreamOnAllow: http.headersToDownstreamOnAllow ?? [],
    },
    source,
  };
}

/** HOST where only one namespace has such a service, or NAMESPACE/HOST. */
export function findService(
  written: string,
  services: ServiceIndex,
  settings: Settings,
): { readonly host: string } | { readonly error: string } {
  const slash = written.indexOf("/");
  const namespace = slash < 0 ? undefined : readNamespace(written.slice(0, slash));
  const host = canonicalHost(written.slice(slash + 1), namespace ?? settings.rootNamespace, settings.domain);
  const found = (services.get(host) ?? []).filter(({ service }) => namespace === undefined || service.namespace === namespace);
  if (found.length === 1) return { host };
  if (found.length === 0) return { error: `there is no service ${written}` };
  const namespaces = found.map(({ service }) => service.namespace).sort();
  return { error: `${written} is a service of several namespaces (${namespaces.join(", ")}): write NAMESPACE/${written}` };
}
