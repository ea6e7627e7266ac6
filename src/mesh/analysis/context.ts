/** What the rules of the analysis look at, and how they report. */
import type { Problem } from "../../lib/problem.ts";
import { type CodeName, problem } from "../../model/codes.ts";
import { canonicalHost } from "../../model/host.ts";
import { KINDS as KNOWN } from "../../model/kinds.ts";
import { positionIn } from "../../model/places.ts";
import { type Kind, provenanceOf, type Resource } from "../../model/resource.ts";
import { covers, isWildcard } from "../hosts.ts";
import { memoize } from "../memo.ts";
import { byAge } from "../policy-scope.ts";
import type { ResourceSet } from "../resource-set.ts";
import type { Selection } from "../selection.ts";
import type { Mesh, Service, Workload } from "../types.ts";

const KINDS = Object.values(KNOWN).map(({ kind }): Kind => kind);

/** A Mesh with what it was built of. */
export interface Subject {
  readonly mesh: Mesh;
  readonly set: ResourceSet;
  readonly selection: Selection;
}

type Path = readonly (string | number)[];

/** A resource of any kind, for rules that look at what kinds have in common. */
export type LooseResource = Pick<Resource, "metadata" | "source"> & { readonly kind: string; readonly spec: unknown };

export interface Context {
  readonly mesh: Mesh;
  /** Of one kind, oldest first. */
  of<K extends Kind>(kind: K): readonly Resource<K>[];
  /** All but WorkloadEntries, oldest first. */
  readonly all: readonly LooseResource[];
  /** Which ServiceEntries select which WorkloadEntries. */
  readonly selection: Selection;
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

/** What a rule looked at: kinds of resources, and parts of the Mesh. */
export interface Reads {
  readonly kinds: Set<Kind>;
  readonly parts: Set<keyof Mesh>;
}

/** `reads`: where it is noted what is looked at. */
export function createContext({ set, selection, mesh: given }: Subject, reads: Reads): Context {
  const mesh = noted(given, reads.parts);
  const problems: Problem[] = [];
  const { domain } = given.settings;
  const of = <K extends Kind>(kind: K): readonly Resource<K>[] => {
    reads.kinds.add(kind);
    return set.of(kind);
  };
  return {
    mesh,
    of,
    get all() {
      const kinds = KINDS.filter((kind) => kind !== "WorkloadEntry");
      return kinds.flatMap((kind): readonly LooseResource[] => of(kind)).sort((a, b) => byAge(a as Resource, b as Resource));
    },
    get selection() {
      for (const kind of ["ServiceEntry", "WorkloadEntry"] as const) reads.kinds.add(kind);
      return selection;
    },
    service: (host, namespace) => mesh.services.get(canonicalHost(host, namespace, domain)),
    anyService(host, namespace) {
      const wildcards = wildcardsOf(mesh.services);
      const canonical = canonicalHost(host, namespace, domain);
      if (mesh.services.has(canonical) || wildcards.some((known) => covers(known, canonical))) return true;
      return isWildcard(canonical) && [...mesh.services.keys()].some((known) => covers(canonical, known));
    },
    workloads(namespace, labels = {}) {
      const index = workloadIndex(mesh.workloads);
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

const wildcardsOf = memoize((services: Mesh["services"]) => [...services.keys()].filter(isWildcard));

/** `mesh`, noting in `parts` which of its parts are looked at. */
function noted(mesh: Mesh, parts: Set<keyof Mesh>): Mesh {
  const copy = {};
  for (const [part, value] of Object.entries(mesh)) {
    const get = () => {
      parts.add(part as keyof Mesh);
      return value;
    };
    Object.defineProperty(copy, part, { enumerable: true, get });
  }
  return copy as Mesh;
}

/** By namespace or "*", and by each of these with each label. */
const workloadIndex = memoize((workloads: Mesh["workloads"]): ReadonlyMap<string, readonly Workload[]> => {
  const index = new Map<string, Workload[]>();
  const add = (key: string, workload: Workload) => {
    const list = index.get(key);
    if (list) list.push(workload);
    else index.set(key, [workload]);
  };
  for (const workload of workloads.values()) {
    for (const namespace of ["*", workload.namespace]) {
      add(namespace, workload);
      for (const [key, value] of Object.entries(workload.labels)) add(labelKey(namespace, key, value), workload);
    }
  }
  return index;
});

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
