/**
 * What a weft is in the mesh that its store holds: the first node of an empty store founds it, and is its first authority; any other must have joined. A
 * second root is never made by mistake.
 */
import { createPrivateKey, createPublicKey } from "node:crypto";
import { nodeKeyHash } from "../cluster/join-token.ts";
import type { Clock } from "../lib/clock.ts";
import { NodeRemovedError, WeftError } from "../lib/errors.ts";
import type { ClusterRecords } from "./cluster-records.ts";
import { AUTHORITIES, certifiedId, MESH_ID, NODES, removedId } from "./cluster-schemas.ts";
import type { NodeState } from "./node-file.ts";

export interface MemberOptions {
  readonly state: NodeState;
  readonly trustDomain: string;
  /** PKCS #8, PEM. */
  readonly keyPem: string;
  readonly records: ClusterRecords;
  /** All authorities are lost: this node is to be one, without a token. */
  readonly takeOver: boolean;
  readonly clock: Clock;
}

/** @throws WeftError "conflict" (it must join first, or is another's), "unavailable"; @returns whether it holds a CA */
export async function takePlace({ state, trustDomain, keyPem, records, takeOver, clock }: MemberOptions): Promise<boolean> {
  const { name, joined } = state;
  if (!joined && !records.mesh) await found(name, trustDomain, records, clock);
  const { mesh } = records;
  if (!mesh)
    throw new WeftError("unavailable", "the shared store does not hold the mesh that this node joined: is it the right one?", {
      help: "look at --store",
    });
  if (mesh.trustDomain !== trustDomain) {
    throw new WeftError("conflict", `the mesh in this store is of trust domain ${mesh.trustDomain}, not ${trustDomain}`, {
      help: `start with --trust-domain ${mesh.trustDomain}, or with another store`,
    });
  }
  const keyHash = keyHashOf(keyPem);
  if (takeOver && mesh.founder !== name) {
    await succeed(name, keyHash, records, clock);
    return true;
  }
  // A founder that was removed, and came back by a token, is what the token made it.
  if (joined) return joined.authority || (mesh.founder === name && records.nodes.get(name)?.authority !== false);
  const known = records.nodes.get(name) ?? records.removed.get(name);
  if (mesh.founder !== name || (known && known.keyHash !== keyHash)) throw mustJoin(name, records);
  if (!known) await register(name, keyHash, records, clock);
  return true;
}

/**
 * Why the node is no part of the mesh any more; undefined where it is, and where no record says so: an engine that lost its last writes, or that a backup
 * from before the node joined was put into, knows nothing of it, and has removed nobody.
 */
export function expulsion(
  name: string,
  keyHash: string,
  { nodes, removed }: Pick<ClusterRecords, "nodes" | "removed">,
): NodeRemovedError | undefined {
  const known = nodes.get(name);
  const record = removed.get(name);
  // A name is another's only where it was removed before.
  if (known?.keyHash === keyHash || (!known && !record)) return undefined;
  const by =
    record?.keyHash === keyHash
      ? ` by ${record.by} at ${new Date(record.removedAt).toISOString()}`
      : ", and its name is another node's since";
  return new NodeRemovedError(`this node, ${name}, was removed from the mesh${by}: it serves nobody any more`, {
    help:
      "who removed it is in the audit trail: weft audit on another node; to join again: weft node token on an authority, and here weft join with that " +
      "token and a new data directory",
  });
}

export const keyHashOf = (keyPem: string): string =>
  nodeKeyHash(createPublicKey(createPrivateKey(keyPem)).export({ type: "spki", format: "der" }));

async function found(founder: string, trustDomain: string, records: ClusterRecords, clock: Clock): Promise<void> {
  const value = { trustDomain, founder, foundedAt: clock.now() };
  const audit = {
    who: `weft, node ${founder}`,
    from: "weft",
    action: "found-mesh",
    outcome: "done",
    targets: [`mesh ${trustDomain}`],
  } as const;
  try {
    await records.write({ collection: AUTHORITIES, puts: [{ id: MESH_ID, value }], deletes: [], absent: [MESH_ID], audit });
  } catch (reason) {
    if (WeftError.from(reason).code !== "conflict") throw reason;
    // Another node was first.
    await records.refresh();
  }
}

/** Whoever can write to the store can do this: it is the way out where no authority is left that could make a token. */
async function succeed(name: string, keyHash: string, records: ClusterRecords, clock: Clock): Promise<void> {
  const { mesh, authorities } = records;
  if (!mesh) return;
  const now = clock.now();
  const audit = {
    who: `weft, node ${name}`,
    from: "weft",
    action: "take-over-mesh",
    outcome: "done",
    targets: [`node ${name} (authority)`],
  } as const;
  const gone = [...authorities].filter(([node, { removedAt }]) => node !== name && removedAt === undefined);
  const puts = [
    { id: name, value: { keyHash, authority: true, joinedAt: now, joinedBy: "take-over" } },
    { id: certifiedId(name), value: { at: now } },
  ];
  await records.write({ collection: NODES, puts, deletes: [removedId(name)], audit });
  const ended = gone.map(([id, record]) => ({ id, value: { ...record, signs: [], removedAt: now } }));
  await records.write({
    collection: AUTHORITIES,
    puts: [{ id: MESH_ID, value: { ...mesh, founder: name } }, ...ended],
    deletes: [name],
    requires: [MESH_ID],
    audit,
  });
}

async function register(name: string, keyHash: string, records: ClusterRecords, clock: Clock): Promise<void> {
  const now = clock.now();
  const audit = {
    who: `weft, node ${name}`,
    from: "weft",
    action: "join",
    outcome: "done",
    targets: [`node ${name} (authority)`],
  } as const;
  const puts = [
    { id: name, value: { keyHash, authority: true, joinedAt: now, joinedBy: "founder" } },
    { id: certifiedId(name), value: { at: now } },
  ];
  await records.write({ collection: NODES, puts, deletes: [], absent: [name], audit });
}

function mustJoin(name: string, records: ClusterRecords): WeftError {
  const places = [...records.authorities]
    .filter(([, { removedAt }]) => removedAt === undefined)
    .map(([node, { address }]) => `${node}${address ? ` (${address})` : ""}`);
  return new WeftError("conflict", `this store holds a mesh, and this node, ${name}, is not part of it: it would make a second root`, {
    help: `on an authority, ${places.join(" or ") || "which is not known yet"}, call weft node token, and here the weft join that this prints`,
  });
}
