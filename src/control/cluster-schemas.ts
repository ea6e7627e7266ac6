/** What the nodes of a mesh know durably of each other: private collections of the store. Times are milliseconds since the epoch. */
import * as v from "valibot";
import { isNodeName } from "../lib/node-name.ts";

export const NODES = "nodes";
export const TOKENS = "join-tokens";
export const AUTHORITIES = "authorities";

/** "authorities": that there is a mesh here, of which trust domain, and who founded it. No node's name begins with "~". */
export const MESH_ID = "~mesh";
/** "nodes": of one that was removed. */
export const removedId = (node: string): string => `~removed/${node}`;
export const nodeOfRemovedId = (id: string): string | undefined => (id.startsWith("~removed/") ? id.slice("~removed/".length) : undefined);
/** "nodes": when an authority last certified it, to the day. */
export const certifiedId = (node: string): string => `~certified/${node}`;
export const nodeOfCertifiedId = (id: string): string | undefined =>
  id.startsWith("~certified/") ? id.slice("~certified/".length) : undefined;

/**
 * "join-tokens": of one that was used, in place of its own record. Whoever used it may come back with it: between its use and the node's registration
 * either side may die.
 */
export const usedId = (token: string): string => `~used/${token}`;

const name = v.pipe(v.string(), v.check(isNodeName));
const time = v.number();

export const MeshSchema = v.object({ trustDomain: v.string(), founder: name, foundedAt: time });

export const NodeSchema = v.object({
  /** nodeKeyHash: who holds that key is this node, whatever its certificate says. */
  keyHash: v.string(),
  authority: v.boolean(),
  joinedAt: time,
  /** Who made its token; of the founder, "founder". */
  joinedBy: v.string(),
});

export const CertifiedSchema = v.object({ at: time });

export const RemovedSchema = v.object({ keyHash: v.string(), removedAt: time, by: v.string() });

export const TokenSchema = v.object({
  hash: v.string(),
  authority: v.boolean(),
  /** The only name that it is good for; any where absent. */
  node: v.optional(name),
  createdAt: time,
  expiresAt: time,
  createdBy: v.string(),
});

export const UsedTokenSchema = v.object({ ...TokenSchema.entries, usedBy: v.object({ node: name, keyHash: v.string() }) });

const jwk = v.object({ kty: v.string(), crv: v.string(), x: v.string(), y: v.string(), kid: v.string(), alg: v.string() });
const svidType = v.picklist(["x509", "jwt"]);
const report = v.object({
  id: v.string(),
  state: v.picklist(["prepared", "active", "retiring"]),
  notBefore: v.string(),
  notAfter: v.string(),
  subject: v.optional(v.string()),
  serial: v.optional(v.string()),
  fingerprint: v.optional(v.string()),
});

/** What an authority has published: nobody trusts what is not here. */
export const AuthoritySchema = v.object({
  /** Of its node-to-node RPC; "" where that is off. */
  address: v.string(),
  sequence: v.number(),
  /** Roots, PEM. */
  x509: v.array(v.string()),
  jwt: v.array(jwk),
  reports: v.object({ x509: v.array(report), jwt: v.array(report) }),
  /** What it signs by now: a new authority signs when all know it. */
  signs: v.array(svidType),
  /** When it last replaced an authority out of turn: what was signed before is to be issued again. */
  forcedAt: v.object({ x509: v.optional(time), jwt: v.optional(time) }),
  /** It signs no more, and its roots leave the bundle a while later. */
  removedAt: v.optional(time),
});

export type MeshRecord = Readonly<v.InferOutput<typeof MeshSchema>>;
export type NodeRecord = Readonly<v.InferOutput<typeof NodeSchema>>;
export type RemovedRecord = Readonly<v.InferOutput<typeof RemovedSchema>>;
export type TokenRecord = Readonly<v.InferOutput<typeof TokenSchema>>;
export type UsedTokenRecord = Readonly<v.InferOutput<typeof UsedTokenSchema>>;
export type AuthorityRecord = Readonly<v.InferOutput<typeof AuthoritySchema>>;
