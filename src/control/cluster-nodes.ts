/** The nodes of the mesh for the admin API: who there is, who may join, who must leave. */
import type { Caller } from "../admin/context.ts";
import type { JoinTokenAnswer, NodeAnswer, NodesControl, Stale } from "../admin/nodes.ts";
import { caPin, formatJoinToken, joinSecretHash, newJoinToken } from "../cluster/join-token.ts";
import { parseNodeName } from "../cluster/node-name.ts";
import type { Clock } from "../lib/clock.ts";
import { WeftError } from "../lib/errors.ts";
import type { Cluster } from "./cluster.ts";
import type { ClusterStore } from "./cluster-records.ts";
import { AUTHORITIES, certifiedId, NODES, removedId, TOKENS, type TokenRecord } from "./cluster-schemas.ts";
import type { NodeCard } from "./node-card.ts";
import { timestamp } from "./proxy-status.ts";

const MINUTE = 60_000;
/** Long enough to walk to the other machine. */
const TOKEN_MS = 15 * MINUTE;
const TOKEN_BOUNDS = { least: MINUTE, most: 24 * 60 * MINUTE } as const;
/** Ended ones are deleted when another is made. */
const KEPT_MS = 24 * 60 * MINUTE;

export interface ClusterNodesOptions {
  /** This node's. */
  readonly card: () => NodeCard;
  /** Undefined where weft is alone with its store. */
  readonly cluster: Cluster | undefined;
  readonly store: ClusterStore;
  /** The others'. */
  readonly cards: () => ReadonlyMap<string, NodeCard>;
  /** As of when, and why only then, they are known; undefined where they are up to date. */
  readonly stale: () => Stale | undefined;
  /** When a node's card was seen last, ms since the epoch. */
  readonly lastSeen: (node: string) => number | undefined;
  /** What is to go with a node: its own documents in the store. */
  readonly onRemove: (node: string, who: string) => Promise<void>;
  readonly clock: Clock;
}

export function clusterNodes(options: ClusterNodesOptions): NodesControl {
  const { cluster, clock } = options;
  return {
    list: () => listNodes(options),
    stale: options.stale,

    async createToken({ authority = false, node, ttlMs = TOKEN_MS }, caller) {
      const { name, address, local, records, trust } = authorityOf(cluster);
      if (node !== undefined && records.nodes.has(parseNodeName(node))) {
        throw new WeftError("conflict", `there is a node ${node} in the mesh`, {
          help: `choose another name; or, where that node is gone for good: weft node remove ${node}`,
        });
      }
      if (ttlMs < TOKEN_BOUNDS.least || ttlMs > TOKEN_BOUNDS.most)
        throw new WeftError("invalid", "a join token lives from a minute to a day", { help: "say --ttl 15m" });
      // A root that is prepared may take over meanwhile; those of other authorities sign this node's certificate while its own is not known everywhere.
      const pins = [...new Set([...local.bundle().x509, ...trust.bundle().x509].map((pem) => caPin(pem)))].slice(0, 8);
      const token = newJoinToken(name, pins);
      const now = clock.now();
      const value: TokenRecord = {
        hash: joinSecretHash(token.secret),
        authority,
        ...(node === undefined ? {} : { node }),
        createdAt: now,
        expiresAt: now + ttlMs,
        createdBy: caller.who,
      };
      const old = (await options.store.readPrivate(TOKENS))
        .filter(({ value: { expiresAt } }) => Number(expiresAt) + KEPT_MS < now)
        .map(({ id }) => id);
      const what = [
        `join token ${token.id}`,
        ...(authority ? ["for an authority"] : []),
        ...(node === undefined ? [] : [`for node ${node}`]),
      ].join(" ");
      const audit = { ...caller, action: "issue-join-token", outcome: "done", targets: [what] } as const;
      await options.store.writePrivate({ collection: TOKENS, puts: [{ id: token.id, value }], deletes: old, audit });
      return { token: formatJoinToken(token), address, expires: timestamp(value.expiresAt), authority } satisfies JoinTokenAnswer;
    },

    remove: (node, caller) => removeNode(options, node, caller),
  };
}

function authorityOf(cluster: Cluster | undefined) {
  if (!cluster) {
    throw new WeftError("conflict", "this weft has a store of its own: no node can join it", {
      help: "start it with a shared store (--store) and with --cluster ADDR:PORT",
    });
  }
  const { local, address, records, trust, node } = cluster;
  if (!local) {
    const others = [...records.authorities.keys()].join(", ") || "none is known";
    throw new WeftError("conflict", `node ${node} is no authority: it can let nobody in`, { help: `call an authority: ${others}` });
  }
  if (address === "")
    throw new WeftError("conflict", "this authority serves no other nodes", { help: "start it with --cluster ADDR:PORT" });
  if (!cluster.signs("x509"))
    throw new WeftError("unavailable", "this authority does not sign yet: not every node knows it", {
      help: "try again in a moment, or call another authority",
    });
  return { name: node, local, address, records, trust };
}

async function removeNode({ card, cluster, clock, onRemove }: ClusterNodesOptions, node: string, caller: Caller): Promise<NodeAnswer> {
  if (!cluster) throw aloneHere(node, card().node);
  const { records } = cluster;
  const found = records.nodes.get(node);
  // One that is removed already: what was left when that was cut short is done now.
  const gone = records.removed.get(node);
  if (!found && !gone)
    throw new WeftError("not_found", `there is no node ${node}`, { help: `there are: ${[...records.nodes.keys()].join(", ")}` });
  const authority = records.authorities.get(node);
  const others = [...records.authorities].filter(
    ([name, { removedAt, signs }]) => name !== node && removedAt === undefined && signs.length > 0,
  );
  if (found && authority && others.length === 0) {
    throw new WeftError("conflict", `${node} is the only authority that signs: without it no identity could be renewed`, {
      help: "let another join first: weft node token --authority",
    });
  }
  const removedAt = (found ? undefined : gone?.removedAt) ?? clock.now();
  const targets = [`node ${node}${authority ? " (authority)" : ""}`];
  const audit = { ...caller, action: "remove-node", outcome: "done", targets } as const;
  if (found) {
    await records.write({
      collection: NODES,
      puts: [{ id: removedId(node), value: { keyHash: found.keyHash, removedAt, by: caller.who } }],
      deletes: [node, certifiedId(node)],
      requires: [node],
      audit,
    });
  }
  if (authority) {
    await records.write({
      collection: AUTHORITIES,
      puts: [{ id: node, value: { ...authority, signs: [], removedAt } }],
      deletes: [],
      audit: { ...audit, action: "remove-authority" },
    });
  }
  await onRemove(node, caller.who);
  return { name: node, roles: authority ? ["authority"] : [], state: "removed", ...(found ? { joined: timestamp(found.joinedAt) } : {}) };
}

function aloneHere(asked: string, own: string): WeftError {
  if (asked === own)
    return new WeftError("conflict", `${own} is this weft itself, which is alone with its store: there is no mesh to remove it from`, {
      help: "stop it",
    });
  return new WeftError("not_found", `there is no node ${asked}: this weft, ${own}, has a store of its own, and has no other nodes`, {
    help: "call a weft of the mesh that the node is of (--data DIR, or --server URL)",
  });
}

function listNodes({ card, cluster, cards, stale, lastSeen, clock }: ClusterNodesOptions): readonly NodeAnswer[] {
  const own = card();
  if (!cluster)
    return [{ name: own.node, roles: ["authority"], state: "here", ...ofCard(own, own.revision), last_seen: timestamp(clock.now()) }];
  const { records, expelled } = cluster;
  const all = new Map(cards()).set(own.node, own);
  const newest = Math.max(...[...all.values()].map(({ revision }) => revision));
  const now = clock.now();
  const doubt = stale();
  // Of the others, where what is known of them is not of now.
  const asOf = doubt === undefined ? now : doubt.as_of === undefined ? undefined : Date.parse(doubt.as_of);
  const known = [...records.nodes].map(([name, { authority, joinedAt }]): NodeAnswer => {
    const seen = all.get(name);
    const at = name === own.node ? now : seen ? asOf : (lastSeen(name) ?? records.certified.get(name));
    return {
      name,
      roles: authority ? ["authority"] : [],
      state: name === own.node ? "here" : seen ? "connected" : "away",
      joined: timestamp(joinedAt),
      ...(seen ? ofCard(seen, newest) : {}),
      ...(at === undefined ? {} : { last_seen: timestamp(at) }),
    };
  });
  const gone = [...records.removed].map(
    ([name, { removedAt }]): NodeAnswer => ({ name, roles: [], state: "removed", removed: timestamp(removedAt) }),
  );
  // One that was removed and runs on, asked itself.
  const self = expelled && !records.removed.has(own.node) ? [{ name: own.node, roles: [], state: "removed" as const }] : [];
  return [...known, ...gone, ...self].sort((a, b) => (a.name < b.name ? -1 : 1));
}

function ofCard({ revision, behindMs, proxies, certificateNotAfter, version, address }: NodeCard, newest: number) {
  return {
    revision,
    revisions_behind: Math.max(0, newest - revision),
    ...(behindMs === null ? {} : { behind_seconds: Math.round(behindMs / 1_000) }),
    proxies: proxies.length,
    ...(certificateNotAfter === null ? {} : { certificate_expires: certificateNotAfter }),
    version,
    ...(address === "" ? {} : { address }),
  };
}
