/** Which registrations a process meets. */
import type { ProcessInfo } from "../lib/process-info.ts";
import type { UnixNames } from "./unix-names.ts";

/** All that are there must hold. */
export interface UnixSelectors {
  readonly uid?: number;
  readonly user?: string;
  readonly gid?: number;
  readonly group?: string;
  readonly supplementaryGid?: number;
  /** Of the executable. */
  readonly path?: string;
  /** Of the executable: hex, lower case. */
  readonly sha256?: string;
}

export interface Registration {
  readonly spiffeId: string;
  readonly unix: UnixSelectors;
  readonly hint: string;
}

/** An identity of a caller. */
export interface Entitlement {
  readonly spiffeId: string;
  /** "" where there is none; no two entitlements of a caller have the same. */
  readonly hint: string;
}

export interface Surroundings {
  readonly names: UnixNames;
  /** SHA-256 of a process's executable, or undefined where it cannot be read. */
  readonly hashOf: (process: ProcessInfo) => Promise<string | undefined>;
}

/**
 * What `process` is entitled to, in the order of the registrations: the first is its default identity (SPIFFE Workload API, 8). An identity that
 * several registrations give is one; a hint that two give is the first one's (5.2.1).
 */
export async function entitlementsOf(
  process: ProcessInfo,
  registrations: readonly Registration[],
  surroundings: Surroundings,
): Promise<readonly Entitlement[]> {
  const found = new Map<string, Entitlement>();
  const hints = new Set<string>();
  for (const { spiffeId, unix, hint } of registrations) {
    if (found.has(spiffeId) || !(await matches(process, unix, surroundings))) continue;
    found.set(spiffeId, { spiffeId, hint: hints.has(hint) ? "" : hint });
    hints.add(hint);
  }
  return [...found.values()];
}

async function matches(process: ProcessInfo, wanted: UnixSelectors, { names, hashOf }: Surroundings): Promise<boolean> {
  const { uid, user, gid, group, supplementaryGid, path, sha256 } = wanted;
  if (uid !== undefined && process.uid !== uid) return false;
  if (gid !== undefined && process.gid !== gid) return false;
  if (supplementaryGid !== undefined && !process.groups.includes(supplementaryGid)) return false;
  if (path !== undefined && process.path !== path) return false;
  if (user !== undefined && names.uidOf(user) !== process.uid) return false;
  if (group !== undefined && names.gidOf(group) !== process.gid) return false;
  // Last, for it may be much to read.
  return sha256 === undefined || (await hashOf(process)) === sha256;
}
