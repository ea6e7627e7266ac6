/** What the rules of the analysis look at, and how they report. */
import type { Problem } from "../../lib/problem.ts";
import { type CodeName, problem } from "../../model/codes.ts";
import { canonicalHost } from "../../model/host.ts";
import { positionIn } from "../../model/places.ts";
import { type AnyResource, type Kind, provenanceOf, type Resource } from "../../model/resource.ts";
import { covers, isWildcard } from "../hosts.ts";
import { byAge } from "../policy-scope.ts";
import type { Mesh, Service, Workload } from "../types.ts";

type Path = readonly (string | number)[];

/** A resource of any kind, for rules that look at what kinds have in common. */
export type LooseResource = Pick<Resource, "metadata" | "source"> & { readonly kind: string; readonly spec: unknown };

export interface Context {
  readonly mesh: Mesh;
  /** Of one kind, oldest first. */
  of<K extends Kind>(kind: K): readonly Resource<K>[];
  /** All, oldest first. */
  readonly all: readonly LooseResource[];
  /** The service of a host as written in a resource of `namespace`; a wildcard in the mesh covers hosts outside. */
  service(host: string, namespace: string): Service | undefined;
  /** Whether any service is meant by a host, or by a wildcard. */
  anyService(host: string, namespace: string): boolean;
  /** Workloads of a namespace with all the labels; of all namespaces with "*". */
  workloads(namespace: string, labels?: Readonly<Record<string, string>>): readonly Workload[];
  /** A warning about the part of `resource` at `path`. */
  warn(name: CodeName, resource: LooseResource, path: Path, message: string, help?: string): void;
  readonly problems: readonly Problem[];
}

export function createContext(resources: readonly AnyResource[], mesh: Mesh): Context {
  const sorted = [...resources].sort(byAge);
  const byKind = Map.groupBy(sorted, ({ kind }) => kind);
  const index = indexWorkloads(mesh);
  const wildcards = [...mesh.services.keys()].filter(isWildcard);
  const problems: Problem[] = [];
  const { domain } = mesh.settings;
  return {
    mesh,
    of: <K extends Kind>(kind: K) => (byKind.get(kind) ?? []) as unknown as readonly Resource<K>[],
    all: sorted,
    service: (host, namespace) => mesh.services.get(canonicalHost(host, namespace, domain)),
    anyService(host, namespace) {
      const canonical = canonicalHost(host, namespace, domain);
      if (mesh.services.has(canonical) || wildcards.some((known) => covers(known, canonical))) return true;
      return isWildcard(canonical) && [...mesh.services.keys()].some((known) => covers(canonical, known));
    },
    workloads(namespace, labels = {}) {
      const wanted = Object.entries(labels);
      const [first] = wanted;
      // By the first label few are left to look at.
      const candidates = index.get(first ? labelKey(namespace, ...first) : namespace) ?? [];
      return wanted.length < 2
        ? candidates
        : candidates.filter((workload) => wanted.every(([key, value]) => workload.labels[key] === value));
    },
    warn(name, resource, path, message, help) {
      const { kind, metadata, source } = resource;
      const position = positionIn(source, path) ?? { line: Math.max(1, provenanceOf(resource as Resource, ...path).line), column: 1 };
      problems.push(
        problem(name, {
          severity: "warning",
          message: `${pathText(path)}: ${message}`,
          file: source.file,
          ...position,
          help,
          resource: { kind, namespace: metadata.namespace, name: metadata.name },
        }),
      );
    },
    problems,
  };
}

const labelKey = (namespace: string, key: string, value: string) => `${namespace} ${key}=${value}`;

/** By namespace or "*", and by each of these with each label. */
function indexWorkloads(mesh: Mesh): ReadonlyMap<string, readonly Workload[]> {
  const index = new Map<string, Workload[]>();
  const add = (key: string, workload: Workload) => {
    const list = index.get(key);
    if (list) list.push(workload);
    else index.set(key, [workload]);
  };
  for (const workload of mesh.workloads.values()) {
    for (const namespace of ["*", workload.namespace]) {
      add(namespace, workload);
      for (const [key, value] of Object.entries(workload.labels)) add(labelKey(namespace, key, value), workload);
    }
  }
  return index;
}

function pathText(path: Path): string {
  return path.reduce<string>((text, part) => {
    if (typeof part === "number") return `${text}[${part}]`;
    if (!/^[A-Za-z0-9_-]+$/.test(part)) return `${text}[${JSON.stringify(part)}]`;
    return text ? `${text}.${part}` : part;
  }, "");
}

/** "default/web-1, default/web-2 and 3 more" */
export function some(names: readonly string[], most = 3): string {
  const shown = names.slice(0, most).join(", ");
  return names.length > most ? `${shown} and ${names.length - most} more` : shown;
}

/** "VirtualService default/orders (mesh.yaml:12)" */
export function nameOf({ kind, metadata, source }: LooseResource): string {
  const place = source.file ? ` (${source.file}:${source.lines[""] ?? 1})` : "";
  return `${kind} ${metadata.namespace}/${metadata.name}${place}`;
}
