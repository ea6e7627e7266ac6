/** From when on which SVIDs are to be issued again: a revocation, an authority that was replaced out of turn, or that was removed. */
import type { SvidType } from "../ca/index.ts";
import type { ClusterRecords } from "./cluster-records.ts";
import type { AuthorityRecord } from "./cluster-schemas.ts";

const TYPES: readonly SvidType[] = ["x509", "jwt"];

/** Milliseconds since the epoch: SVIDs of that authority from before are not to be used. */
export function notFrom(authorities: ClusterRecords["authorities"], type: SvidType, authorityId: string): number {
  for (const record of authorities.values()) {
    if (record.reports[type].some(({ id }) => id === authorityId)) return endOf(record, type);
  }
  return 0;
}

const endOf = ({ removedAt, forcedAt }: AuthorityRecord, type: SvidType): number =>
  removedAt === undefined ? (forcedAt[type] ?? 0) : Number.POSITIVE_INFINITY;

/** Calls `reissue` for each type of which an authority was replaced out of turn, or removed, since the last look. @returns what ends it */
export function watchReissues(records: Pick<ClusterRecords, "authorities" | "onChange">, reissue: (type: SvidType) => void): () => void {
  // One that comes has signed nothing yet.
  const known = new Map(TYPES.map((type) => [type, endsOf(records.authorities, type)]));
  return records.onChange(() => {
    for (const type of TYPES) {
      const now = endsOf(records.authorities, type);
      const before = known.get(type);
      known.set(type, now);
      if ([...now].some(([node, end]) => before?.has(node) && before.get(node) !== end)) reissue(type);
    }
  });
}

const endsOf = (authorities: ClusterRecords["authorities"], type: SvidType): ReadonlyMap<string, number> =>
  new Map([...authorities].map(([node, record]) => [node, endOf(record, type)]));
