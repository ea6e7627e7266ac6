/** A golden case: resources in, and what each of their workloads' proxies gets, as YAML that a person reads. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { stringify } from "yaml";
import type { EncodedResource, ProxySnapshot, TypeUrl } from "../../src/lib/encoded.ts";
import { formatProblem } from "../../src/lib/problem.ts";
import { formatProvenance } from "../../src/lib/provenance.ts";
import { buildMesh } from "../../src/mesh/build.ts";
import type { Mesh } from "../../src/mesh/types.ts";
import { parseDocuments } from "../../src/model/parse.ts";
import type { AnyResource } from "../../src/model/resource.ts";
import { describeResource } from "../../src/xds/describe.ts";
import type { EnvoyAbilities } from "../../src/xds/envoy-version.ts";
import { buildSnapshot } from "../../src/xds/snapshot.ts";

export const IN = join(import.meta.dir, "in");
export const OUT = join(import.meta.dir, "out");

const OPTIONS = { revision: 1, trustDomain: "mesh.local" };

/** Names of the cases, sorted. */
export function caseNames(): string[] {
  return readdirSync(IN)
    .filter((file) => file.endsWith(".yaml"))
    .map((file) => file.slice(0, -".yaml".length))
    .sort();
}

export interface Case {
  readonly resources: readonly AnyResource[];
  /** From a first line such as "# shows: Cluster RouteConfiguration": the only types in the output; undefined for all. */
  readonly shows?: readonly string[];
}

/** @throws Error with every problem of the file. */
export function readCase(name: string): Case {
  const text = readFileSync(join(IN, `${name}.yaml`), "utf8");
  const { resources, problems } = parseDocuments(text, `${name}.yaml`);
  const errors = problems.filter(({ severity }) => severity === "error");
  if (errors.length > 0) throw new Error(errors.map(formatProblem).join("\n"));
  const shows = /^# shows: (.*)$/m.exec(text)?.[1]?.split(/[ ,]+/);
  return { resources, shows };
}

export function meshOf({ resources }: Case): Mesh {
  return buildMesh(resources, OPTIONS);
}

/** By workload, without secrets, which are random; `abilities` of all their Envoys. */
export function snapshotsOf(mesh: Mesh, abilities?: EnvoyAbilities): ReadonlyMap<string, ProxySnapshot> {
  return new Map(
    [...mesh.workloads.keys()].map((key) => {
      const snapshot = buildSnapshot(mesh, key, [], abilities);
      if (!snapshot) throw new Error(`no snapshot for ${key}`);
      return [key, snapshot];
    }),
  );
}

/** Every resource once, with the proxies that get it ("*": all of them) and the lines of the user's that it comes from. */
export function renderCase(input: Case): string {
  const snapshots = snapshotsOf(meshOf(input));
  const all = new Map<string, { resource: EncodedResource; proxies: string[] }>();
  for (const [workload, { resources }] of snapshots) {
    for (const resource of [...resources.values()].flatMap((byName) => [...byName.values()])) {
      if (input.shows && !input.shows.includes(shortType(resource.typeUrl))) continue;
      const key = `${shortType(resource.typeUrl)} ${resource.name} ${resource.version}`;
      const entry = all.get(key) ?? { resource, proxies: [] };
      all.set(key, entry);
      entry.proxies.push(workload);
    }
  }
  const documents = [...all]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([, { resource, proxies }]) => ({
      type: shortType(resource.typeUrl),
      name: resource.name,
      proxies: proxies.length === snapshots.size ? "*" : proxies,
      from: resource.sources.map(formatProvenance),
      resource: withoutType(describeResource(resource)),
    }));
  return documents.map((document) => stringify(document, { lineWidth: 0, aliasDuplicateObjects: false })).join("---\n");
}

/** "Cluster" of "type.googleapis.com/envoy.config.cluster.v3.Cluster". */
export function shortType(typeUrl: TypeUrl): string {
  return typeUrl.slice(typeUrl.lastIndexOf(".") + 1);
}

function withoutType(description: unknown): unknown {
  const { "@type": _, ...rest } = description as Record<string, unknown>;
  return rest;
}
