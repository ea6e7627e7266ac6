/**
 * What a node's card says of what its proxies have taken. A card goes to every node, so it is one revision as long as all is well, and names
 * those that are behind it, or refuse something: the refusing first, and no more than fit in so many bytes.
 */
import * as v from "valibot";
import type { LedgerReader, ProxyRecord, TypeRecord } from "../ads/index.ts";
import { typeName } from "./observer.ts";

const MOST_NAMED = 16;
/** Of those that are named, as JSON. */
const MOST_BYTES = 2_048;
/** Characters of Envoy's words: its node has all of them. */
const MOST_REASON = 200;

const revision = v.pipe(v.number(), v.safeInteger(), v.minValue(0));

const RefusedTypeSchema = v.object({
  /** "LDS". */
  type: v.string(),
  /** That was refused. */
  revision,
  /** RFC 3339, UTC. */
  at: v.string(),
  /** Envoy's own words, the beginning. */
  reason: v.string(),
  /** As TypeRecord.ackedRevision and settledRevision. */
  acked: v.optional(revision),
  settled: v.optional(revision),
});

const ProxyBehindSchema = v.object({
  /** "ns/name" of the workload. */
  id: v.string(),
  /** What it has of all types but those that it refuses; absent where that is not known yet. */
  acked: v.optional(revision),
  refused: v.optional(v.array(RefusedTypeSchema)),
});

export const InForceSchema = v.object({
  /** Each proxy that is connected and not named in `behind` has this revision, or a later one. */
  revision,
  behind: v.optional(v.array(ProxyBehindSchema)),
  /** How many lack what the node serves besides those that are named; absent where none does. */
  more: v.optional(v.number()),
});
export type InForce = v.InferOutput<typeof InForceSchema>;
export type ProxyBehind = v.InferOutput<typeof ProxyBehindSchema>;

/**
 * @param served the revision that this node serves
 * @param ids workload keys of its proxies; who has no stream any more counts as one of whom nothing is known
 */
export function inForceHere(served: number, ids: Iterable<string>, ledger: Pick<LedgerReader, "ackedRevision" | "streams">): InForce {
  const lagging: { readonly has: number; readonly named: ProxyBehind }[] = [];
  for (const id of new Set(ids)) {
    const has = ledger.ackedRevision(id) ?? 0;
    if (has < served) lagging.push({ has, named: behindOf(id, served, ledger.streams(id)) });
  }
  lagging.sort((a, b) => refusals(b.named) - refusals(a.named) || a.has - b.has || (a.named.id < b.named.id ? -1 : 1));
  const fits = countOf(lagging.map(({ named }) => named));
  const rest = lagging.slice(fits).map(({ has }) => has);
  const revisionOfRest = Math.min(served, leastOf(rest));
  // Of one that has as much as those that are not named its name says nothing.
  const named = lagging.slice(0, fits).filter((one) => refusals(one.named) > 0 || one.has < revisionOfRest);
  const more = lagging.length - named.length;
  return {
    revision: revisionOfRest,
    ...(named.length === 0 ? {} : { behind: named.map((one) => one.named) }),
    ...(more === 0 ? {} : { more }),
  };
}

/** How many of them, from the first, a card has room for. */
function countOf(all: readonly ProxyBehind[]): number {
  let bytes = 0;
  for (const [index, one] of all.slice(0, MOST_NAMED).entries()) {
    bytes += Buffer.byteLength(JSON.stringify(one));
    if (bytes > MOST_BYTES) return index;
  }
  return Math.min(all.length, MOST_NAMED);
}

const refusals = ({ refused }: ProxyBehind): number => (refused === undefined ? 0 : 1);
const leastOf = (revisions: readonly number[]): number => revisions.reduce((a, b) => Math.min(a, b), Number.POSITIVE_INFINITY);

/** The worst of its streams counts. */
function behindOf(id: string, served: number, streams: readonly ProxyRecord[]): ProxyBehind {
  const refused = new Map<string, NonNullable<ProxyBehind["refused"]>[number]>();
  let acked: number | undefined = streams.length === 0 ? undefined : served;
  for (const { types } of streams) {
    const asked = types.filter(({ status }) => status !== "NOT_SUBSCRIBED");
    if (asked.length === 0) acked = undefined;
    for (const type of asked) {
      const { nack } = type;
      if (nack) refused.set(type.typeUrl, refusedOf(type, nack));
      else if (acked !== undefined) acked = type.ackedRevision === undefined ? undefined : Math.min(acked, type.ackedRevision);
    }
  }
  return { id, ...(acked === undefined ? {} : { acked }), ...(refused.size === 0 ? {} : { refused: [...refused.values()] }) };
}

function refusedOf({ typeUrl, ackedRevision, settledRevision }: TypeRecord, nack: NonNullable<TypeRecord["nack"]>) {
  return {
    type: typeName(typeUrl),
    revision: nack.revision,
    at: new Date(nack.at).toISOString(),
    reason: nack.message.length > MOST_REASON ? `${nack.message.slice(0, MOST_REASON)}...` : nack.message,
    ...(ackedRevision === undefined ? {} : { acked: ackedRevision }),
    ...(settledRevision === undefined ? {} : { settled: settledRevision }),
  };
}
