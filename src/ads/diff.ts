/** What changed between two maps of resources, worked out once for all streams that go from the one to the other. Pure. */
import { attachment } from "../lib/attachment.ts";
import type { EncodedResource } from "../lib/encoded.ts";
import { contentVersion } from "../lib/hash.ts";
import { changedKeys, LayeredMap } from "../lib/persistent-map.ts";

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
  // What both are layered over is compared once for all.
  const others =
    before instanceof LayeredMap && after instanceof LayeredMap
      ? [...new Set([...changedNames(before.shared, after.shared), ...changedKeys(before.own, after.own)])]
      : changedKeys(before, after);
  const sum = sums.get(before);
  if (sum !== undefined && !sums.has(after)) {
    const change = others.reduce((total, name) => total - hashOf(before.get(name)) + hashOf(after.get(name)), 0n);
    sums.set(after, sum + change);
  }
  return others.filter((name) => before.get(name)?.version !== after.get(name)?.version);
}

/** A sum does not depend on the order, and follows a change without the rest being looked at. */
const sums = new WeakMap<ResourceMap, bigint>();
const hashes = attachment<bigint>();

function hashOf(resource: EncodedResource | undefined): bigint {
  if (!resource) return 0n;
  const known = hashes.get(resource);
  if (known !== undefined) return known;
  const hash = BigInt(`0x${contentVersion(new TextEncoder().encode(`${resource.name}\0${resource.version}`))}`);
  hashes.set(resource, hash);
  return hash;
}

function sumOf(resources: Iterable<EncodedResource>): bigint {
  let sum = 0n;
  for (const resource of resources) sum += hashOf(resource);
  return sum;
}

function sumOfMap(map: ResourceMap): bigint {
  const known = sums.get(map);
  if (known !== undefined) return known;
  let sum = 0n;
  if (map instanceof LayeredMap) {
    sum = sumOfMap(map.shared);
    for (const [name, resource] of map.own) sum += hashOf(resource) - hashOf(map.shared.get(name));
  } else {
    sum = sumOf(map.values());
  }
  sums.set(map, sum);
  return sum;
}

const versionOf = (sum: bigint) => contentVersion(new TextEncoder().encode(sum.toString(16)));

/** The version of a whole type: it changes when any resource of the map does, and depends on nothing else. */
export function typeVersion(map: ResourceMap): string {
  return versionOf(sumOfMap(map));
}

/** The same for any list of resources, in any order. */
export function listVersion(resources: Iterable<EncodedResource>): string {
  return versionOf(sumOf(resources));
}
