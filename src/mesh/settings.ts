import { parseDuration } from "../lib/duration.ts";
import { provenanceOf, type Resource } from "../model/resource.ts";
import type { FederatedDomain } from "./federation.ts";
import { lasting, type Pool } from "./memo.ts";
import { meshDefaults } from "./mesh-defaults.ts";
import { byAge } from "./policy-scope.ts";
import type { Settings } from "./types.ts";

/** The flags of `weft run` that the mesh depends on. */
export interface MeshOptions {
  readonly revision: number;
  readonly trustDomain: string;
  /** Suffix of the services in the mesh; "mesh.local" where absent. */
  readonly domain?: string;
  /** "weft-system" where absent. */
  readonly rootNamespace?: string;
  /** The key sets that weft has fetched for RequestAuthentication, as usableJwks gives them, by jwksKey; those that are missing accept no token. */
  readonly jwks?: ReadonlyMap<string, string>;
  /** The JWT authorities of trust domains, as key sets, by the issuer that their JWT-SVIDs name ("spiffe://mesh.local"). */
  readonly jwtAuthorities?: ReadonlyMap<string, string>;
  /** What is known of workloads, by key: what proxies said last of their applications, and who is not there. */
  readonly health?: ReadonlyMap<string, WorkloadHealth>;
}

export interface WorkloadHealth {
  readonly ready: boolean;
  /** Why not. */
  readonly message?: string;
  /** Since when, milliseconds since the epoch, where a reader of `message` or `doubt` is to be told for how long. */
  readonly since?: number;
  /** Why it may be gone, of one that is `ready`: it gets calls all the same, because it is among the last of a service. */
  readonly doubt?: string;
}

/** Istio's default (MeshConfig.connectTimeout). */
const DEFAULT_CONNECT_TIMEOUT_MS = 10_000;

/** The oldest MeshConfig of the root namespace holds; there should be one. */
export function meshConfigOf(configs: readonly Resource<"MeshConfig">[], options: MeshOptions): Resource<"MeshConfig"> | undefined {
  const [config] = configs.filter((candidate) => candidate.metadata.namespace === rootNamespaceOf(options)).sort(byAge);
  return config;
}

function rootNamespaceOf(options: MeshOptions): string {
  return options.rootNamespace ?? "weft-system";
}

/** By what a trust domain is the own one, and where what holds for the mesh stands. */
export function ownNames(options: MeshOptions): { readonly trustDomain: string; readonly rootNamespace: string } {
  return { trustDomain: options.trustDomain, rootNamespace: rootNamespaceOf(options) };
}

export function buildSettings(
  config: Resource<"MeshConfig"> | undefined,
  options: MeshOptions,
  pool: Pool,
  federation: readonly FederatedDomain[] = [],
): Settings {
  const rootNamespace = rootNamespaceOf(options);
  const spec = config?.spec ?? {};
  const level = spec.pathNormalization?.normalization ?? "DEFAULT";
  const settings: Settings = {
    trustDomain: options.trustDomain,
    ...(federation.length > 0 ? { federatedTrustDomains: federation.map(({ trustDomain }) => trustDomain) } : {}),
    trustDomainAliases: [...new Set(["cluster.local", ...(spec.trustDomainAliases ?? [])])],
    domain: options.domain ?? "mesh.local",
    rootNamespace,
    // One level stricter than Istio's BASE: a path rule that "//admin" gets around is no rule (docs, and `weft check`).
    pathNormalization: level === "DEFAULT" ? "MERGE_SLASHES" : level,
    connectTimeoutMs: parseDuration(spec.connectTimeout ?? "") ?? DEFAULT_CONNECT_TIMEOUT_MS,
    enableAutoMtls: spec.enableAutoMtls ?? true,
    defaultHttpRetryPolicy: spec.defaultHttpRetryPolicy,
    accessLogFile: spec.accessLogFile || undefined,
    accessLogFormat: spec.accessLogFormat || undefined,
    defaults: meshDefaults(config),
    source: config && provenanceOf(config, "spec"),
  };
  return pool.keep(`settings ${JSON.stringify(settings)}`, () => lasting(settings));
}
