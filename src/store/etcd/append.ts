/**
 * One compare-and-set transaction an entry: if the head is the place that the writer names, the head and the entry are written, else nothing
 * is. The head's value is the place itself, so the same transaction may be sent again when its answer was lost: it can succeed only once,
 * and the entry's id tells whether it did.
 */
import { create, toBinary } from "@bufbuild/protobuf";
import { Compare_CompareTarget, type TxnResponse } from "../../gen/etcd/rpc_pb.ts";
import { EtcdEntrySchema } from "../../gen/weft/store/v1/etcd_pb.ts";
import { WeftError } from "../../lib/errors.ts";
import { type Place, START } from "../shared/log.ts";
import { UnknownOutcome } from "../shared/unknown-outcome.ts";
import { type ChunkStore, type CompareInit, INLINE_BYTES, putOp, rangeOp, type Staged, type TxnInit } from "./chunks.ts";
import type { EtcdClient } from "./client.ts";
import { type EntryReader, kvsOf, samePlace } from "./entries.ts";
import type { EtcdFailure } from "./failure.ts";
import type { Fence } from "./fence.ts";
import { headValue, type Keys, parseHead, textOf, utf8 } from "./keys.ts";
import { Tries } from "./tries.ts";

interface Parts {
  readonly client: EtcdClient;
  readonly keys: Keys;
  readonly chunks: ChunkStore;
  readonly fence: Fence;
  readonly reader: EntryReader;
}

/** etcd forgets what it had proposed to a leader that died, so it is sent again soon; where it only takes long, that does no harm. */
const DEADLINE_MS = 2_000;
/** Whoever waits for a change waits some 5 s (store/replica). An election, and a member that does not answer, fit into it. */
const PATIENCE_MS = 4_500;
/** The last try may take so long beyond that. */
const LEAST_MS = 400;

/** SharedLog.append */
export async function append(
  parts: Parts,
  after: Place,
  entry: { readonly id: string; readonly bytes: Uint8Array },
): Promise<"appended" | "behind"> {
  if (after.sequence === 0 && after.id !== START.id) return "behind";
  if (entry.bytes.length <= INLINE_BYTES) return await commit(parts, after, entry);
  // What would be behind anyway is not worth writing its bytes.
  const reading = await parts.reader.after(after);
  if (reading.type === "lost" || !samePlace(reading.head, after)) return "behind";
  const staged = await parts.chunks.stage(entry.bytes);
  const outcome = await commit(parts, after, entry, staged);
  // Not waited for: an etcd that falls silent now would turn a change that is made into one that nobody knows of.
  if (outcome === "appended") void staged.release();
  else await staged.giveUp();
  return outcome;
}

async function commit(
  parts: Parts,
  after: Place,
  entry: { readonly id: string; readonly bytes: Uint8Array },
  staged?: Staged,
): Promise<"appended" | "behind"> {
  const { client, fence, reader } = parts;
  const place: Place = { sequence: after.sequence + 1, id: entry.id };
  let epoch = fence.epoch;
  let transaction = transactionOf(parts, after, entry, epoch, staged);
  const tries = new Tries(client, Math.min(PATIENCE_MS, client.patienceMs));
  let maybeDone = false;
  for (;;) {
    let answer: TxnResponse;
    try {
      // A member that is cut off takes all of it to connect: the last try ends in time to say that nothing was sent.
      const deadlineMs = Math.min(DEADLINE_MS, Math.max(LEAST_MS, tries.leftMs));
      answer = await client.attempt(({ kv }, options) => kv.txn(transaction, options), { deadlineMs });
    } catch (reason) {
      const failure = reason as EtcdFailure;
      maybeDone ||= failure.maybeDone;
      if (await tries.again(failure)) continue;
      if (!maybeDone) throw failure.unavailable(tries.nowhere);
      fence.suspect(epoch);
      throw new UnknownOutcome(`nobody knows whether the entry was written: ${failure.message}`, failure.unavailable(tries.nowhere));
    }
    if (answer.succeeded) return "appended";
    const [head, stored, fenced, owner] = answer.responses.map((response) => kvsOf(response)[0]);
    if (stored && reader.record(textOf(stored.key), stored.value).place.id === entry.id) return "appended";
    const end = parseHead(head?.value);
    if (!samePlace(end, after)) {
      if (!maybeDone || stored || end.sequence < place.sequence) return "behind";
      throw new UnknownOutcome("nobody knows whether the entry was written: by now it would have been trimmed");
    }
    if (staged && !owner) throw new WeftError("unavailable", "etcd took too long to write the entry's bytes; they were given up");
    if (!fenced) throw new WeftError("internal", "etcd refused a transaction whose conditions hold");
    // Another append's outcome is unknown, and the fence against it stands against this one too: none of its tries was, or will be, carried out.
    maybeDone = false;
    epoch = fence.epoch;
    transaction = transactionOf(parts, after, entry, epoch, staged);
  }
}

function transactionOf(
  { keys, fence }: Parts,
  after: Place,
  { id, bytes }: { readonly id: string; readonly bytes: Uint8Array },
  epoch: number,
  staged: Staged | undefined,
): TxnInit {
  const place: Place = { sequence: after.sequence + 1, id };
  const key = keys.entry(place.sequence);
  const record = create(EtcdEntrySchema, {
    id,
    previous: after.id,
    content: staged ? { case: "chunks", value: staged.chunks } : { case: "inline", value: bytes },
  });
  const open = fence.open(epoch);
  return {
    compare: [headIs(keys, after), open, ...(staged ? [staged.stillThere] : [])],
    success: [
      putOp(keys.head, headValue(place)),
      putOp(key, toBinary(EtcdEntrySchema, record)),
      ...(staged ? [putOp(keys.owner(staged.chunks.set), utf8(`log ${place.sequence}`))] : []),
    ],
    failure: [rangeOp(keys.head), rangeOp(key), rangeOp(textOf(open.key)), ...(staged ? [rangeOp(keys.owner(staged.chunks.set))] : [])],
  };
}

function headIs({ head }: Keys, place: Place): CompareInit {
  const key = utf8(head);
  if (place.sequence === 0) return { target: Compare_CompareTarget.CREATE, key, targetUnion: { case: "createRevision", value: 0n } };
  return { target: Compare_CompareTarget.VALUE, key, targetUnion: { case: "value", value: headValue(place) } };
}
