/** Nodes of a mesh: what the routes need, in the API's JSON. */
import * as v from "valibot";
import type { Caller } from "./context.ts";

const text = v.string();
const named = <S extends v.GenericSchema>(ref: string, schema: S) => v.pipe(schema, v.metadata({ ref }));

export const NodeAnswerSchema = named(
  "Node",
  v.strictObject({
    name: text,
    /** "authority": it holds a CA, and signs for other nodes. */
    roles: v.pipe(v.array(v.picklist(["authority"])), v.readonly()),
    /** here: the node that answers. connected, away: whether its card is on the shared store's board. */
    state: v.picklist(["here", "connected", "away", "removed"]),
    /** RFC 3339, as all times. */
    joined: v.optional(text),
    removed: v.optional(text),
    /** What it serves, and how far that is behind the newest that any node tells of. */
    revision: v.optional(v.number()),
    revisions_behind: v.optional(v.number()),
    /** How long ago it was last known to have all that the shared store has. */
    behind_seconds: v.optional(v.number()),
    /** How many proxies are connected to it. */
    proxies: v.optional(v.number()),
    /** Of its own certificate. */
    certificate_expires: v.optional(text),
    last_seen: v.optional(text),
    version: v.optional(text),
    /** Of its node-to-node RPC. */
    address: v.optional(text),
  }),
);
export type NodeAnswer = v.InferOutput<typeof NodeAnswerSchema>;

/** What is told of other nodes is not of now. */
const StaleSchema = named(
  "Stale",
  v.strictObject({
    /** As of when it is known; absent where nothing is. */
    as_of: v.optional(text),
    /** Why only then: the shared store is away, say. */
    reason: text,
  }),
);
export type Stale = v.InferOutput<typeof StaleSchema>;

/** How far what is told of other nodes, and of their proxies, is true: absent fields where it is true now, and of all of them. */
export const otherNodes = {
  stale: v.optional(StaleSchema),
  /** Nodes that are not heard of: what their proxies have is not known. */
  away_nodes: v.optional(v.pipe(v.array(v.strictObject({ name: text, since: v.optional(text) })), v.readonly())),
};
const OtherNodesSchema = v.strictObject(otherNodes);
export type OtherNodes = v.InferOutput<typeof OtherNodesSchema>;

export const NodesSchema = named(
  "NodeList",
  v.strictObject({ items: v.pipe(v.array(NodeAnswerSchema), v.readonly()), stale: v.optional(StaleSchema) }),
);

/** Whether a revision is in force at another node's proxies, by its own word. */
export const NodeConvergenceSchema = named(
  "NodeConvergence",
  v.strictObject({
    name: text,
    /** refused: all have answered, and some refused it. unknown: it does not tell, or what it told is not of now. */
    state: v.picklist(["in_force", "refused", "pending", "unknown"]),
    /** What it serves, as far as it has told. */
    revision: v.number(),
    /** Its proxies that have not answered, or may not have. */
    pending: v.pipe(v.array(text), v.readonly()),
    reason: v.optional(text),
  }),
);
export type NodeConvergence = v.InferOutput<typeof NodeConvergenceSchema>;

export const JoinTokenRequestSchema = named(
  "JoinTokenRequest",
  v.strictObject({
    /** The node is to hold a CA, and sign for others. */
    authority: v.optional(v.boolean()),
    /** The only name that it is good for. */
    node: v.optional(text),
    /** How long it is good: 15m where absent, a day at most. */
    ttl: v.optional(text),
  }),
);

export const JoinTokenSchema = named(
  "JoinToken",
  v.strictObject({
    /** For `weft join ADDRESS --token TOKEN`; it is shown this once, and good for one node. */
    token: text,
    address: text,
    expires: text,
    authority: v.boolean(),
  }),
);
export type JoinTokenAnswer = v.InferOutput<typeof JoinTokenSchema>;

export interface NodesControl {
  /** Sorted by name. */
  list(): readonly NodeAnswer[];
  /** As of when, and why only then, that and all that is told of the others' proxies is known; undefined where it is true now. */
  stale(): Stale | undefined;
  /** @throws WeftError "invalid", "conflict" (this is no authority, the name is taken), "unavailable" */
  createToken(
    request: { readonly authority?: boolean; readonly node?: string; readonly ttlMs?: number },
    caller: Caller,
  ): Promise<JoinTokenAnswer>;
  /** It is refused from now on, and its workloads leave the endpoints. @throws WeftError "not_found", "conflict" (the last authority), "unavailable" */
  remove(node: string, caller: Caller): Promise<NodeAnswer>;
}
