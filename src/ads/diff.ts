/** What changed between two maps of resources, worked out once for all streams that go from the one to the other. Pure. */
import type { EncodedResource } from "../lib/encoded.ts";
import { contentVersion } from "../lib/hash.ts";

export type ResourceMap = ReadonlyMap<string, EncodedResource>;

export const NO_RESOURCES: ResourceMap = new Map();

const changes = new WeakMap<ResourceMap, WeakMap<ResourceMap, readonly string[]>>();

/**
 * Names whose resource is new, gone or another version in `after`. Identity is compared before versions. Remembered by the pair of maps:
 * proxies that share maps share the comparison.
 */
export function changedNames(before: ResourceMap, after: ResourceMap): readonly string[] {
  if (before === after) return [];
  let byAfter = changes.get(before);
  if (!byAfter) {
    byAfter = new WeakMap();
    changes.set(before, byAfter);
  }
  let names = byAfter.get(after);
  if (!names) {
    names = compare(before, after);
    byAfter.set(after, names);
  }
  return names;
}

function compare(before: ResourceMap, after: ResourceMap): readonly string[] {
  const names: string[] = [];
  for (const [name, resource] of after) {
    const old = before.get(name);
    if (old !== resource && old?.version !== resource.version) names.push(name);
  }
  for (const name of before.keys()) if (!after.has(name)) names.push(name);
  return names;
}

const versions = new WeakMap<ResourceMap, string>();

/** The version of a whole type: it changes when any resource of the map does, and depends on nothing else. */
export function typeVersion(map: ResourceMap): string {
  let version = versions.get(map);
  if (version === undefined) {
    version = listVersion(map.values());
    versions.set(map, version);
  }
  return version;
}

/** The same for any list of resources, in any order. */
export function listVersion(resources: Iterable<EncodedResource>): string {
  const lines: string[] = [];
  for (const resource of resources) lines.push(`${resource.name}\0${resource.version}\n`);
  return contentVersion(new TextEncoder().encode(lines.sort().join("")));
}
