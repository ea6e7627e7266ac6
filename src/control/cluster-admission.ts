/**
 * Lets nodes into the mesh by a token. Its use and the node's registration are two writes, of two collections: in between either side may die, and the answer
 * may be lost. So a token that was used is kept, with who used it, and the same node with the same key may come again with it until it ends.
 */
import { timingSafeEqual } from "node:crypto";
import * as v from "valibot";
import { readSigningRequest } from "../ca/index.ts";
import { joinSecretHash, nodeKeyHash, parseJoinToken } from "../cluster/join-token.ts";
import { parseNodeName } from "../cluster/node-name.ts";
import type { JoinAsk } from "../cluster/types.ts";
import type { AuditEvent } from "../lib/audit.ts";
import type { Clock } from "../lib/clock.ts";
import { WeftError } from "../lib/errors.ts";
import type { ClusterRecords, ClusterStore } from "./cluster-records.ts";
import {
  certifiedId,
  NODES,
  removedId,
  TOKENS,
  type TokenRecord,
  TokenSchema,
  type UsedTokenRecord,
  UsedTokenSchema,
  usedId,
} from "./cluster-schemas.ts";

export interface AdmissionOptions {
  readonly trustDomain: string;
  readonly store: ClusterStore;
  readonly records: ClusterRecords;
  /** @throws WeftError "unavailable" where this authority signs nothing now: no token is used up for that */
  readonly mustSign: () => void;
  readonly clock: Clock;
}

export interface Admitted {
  readonly node: string;
  readonly publicKey: Uint8Array;
  readonly authority: boolean;
}

type KnownToken = TokenRecord & Partial<UsedTokenRecord>;

interface Newcomer {
  readonly node: string;
  readonly keyHash: string;
  readonly authority: boolean;
}

export class Admission {
  readonly #options: AdmissionOptions;

  constructor(options: AdmissionOptions) {
    this.#options = options;
  }

  /** @throws WeftError "invalid", "unauthenticated" (the token), "forbidden" (it is for another), "conflict" (the name is taken), "unavailable" */
  async admit({ token: text, node: asked, csr, trustDomain: wanted, from }: JoinAsk): Promise<Admitted> {
    const { trustDomain, records, mustSign } = this.#options;
    const { id, secret } = parseJoinToken(text);
    const token = await this.#token(id, secret);
    const node = parseNodeName(asked);
    if (wanted !== "" && wanted !== trustDomain)
      throw new WeftError("invalid", `this mesh is of trust domain ${trustDomain}, not ${wanted}`);
    if (token.node !== undefined && token.node !== node) {
      throw new WeftError("forbidden", `this join token is for node ${token.node}, not ${node}`, {
        help: `join with --node ${token.node}, or make a token for this one`,
      });
    }
    const publicKey = await readSigningRequest(csr);
    await records.refresh();
    const keyHash = nodeKeyHash(publicKey);
    const newcomer = { node, keyHash, authority: token.authority };
    const { usedBy } = token;
    if (usedBy && !(usedBy.node === node && usedBy.keyHash === keyHash)) throw unknownToken();
    if (records.nodes.has(node) && !this.#isBack(newcomer)) throw taken(node);
    mustSign();
    const audit = {
      who: `join token ${id}`,
      from: `cluster ${from}`,
      outcome: "done",
      targets: [`node ${node}${token.authority ? " (authority)" : ""}`],
    } as const;
    const isAgain = usedBy !== undefined || (await this.#use(id, token, newcomer, audit));
    await this.#register(newcomer, { joinedBy: token.createdBy, isAgain, audit });
    return { node, publicKey, authority: token.authority };
  }

  /** Whether who holds the key that has the name joined before, and did not hear of it: that answer was lost. */
  #isBack({ node, keyHash, authority }: Newcomer): boolean {
    const known = this.#options.records.nodes.get(node);
    return known?.keyHash === keyHash && known.authority === authority;
  }

  /** @returns whether the same node has used it a moment ago. @throws WeftError "unauthenticated" where another was first, "unavailable" */
  async #use(id: string, token: TokenRecord, { node, keyHash }: Newcomer, audit: Omit<AuditEvent, "action">): Promise<boolean> {
    const used: UsedTokenRecord = { ...token, usedBy: { node, keyHash } };
    try {
      await this.#options.store.writePrivate({
        collection: TOKENS,
        puts: [{ id: usedId(id), value: used }],
        deletes: [id],
        requires: [id],
        audit: { ...audit, action: "use-join-token" },
      });
      return false;
    } catch (reason) {
      if (WeftError.from(reason).code !== "conflict") throw reason;
      // Its own call before this one may have got so far meanwhile.
      const { usedBy } = (await this.#stored(id)) ?? {};
      if (usedBy?.node !== node || usedBy.keyHash !== keyHash) throw unknownToken();
      return true;
    }
  }

  /**
   * @param isAgain the token was used before: where the node was removed since, it is not let in by it once more
   * @throws WeftError "conflict" (the name is taken), "unauthenticated", "unavailable"
   */
  async #register(
    newcomer: Newcomer,
    { joinedBy, isAgain, audit }: { readonly joinedBy: string; readonly isAgain: boolean; readonly audit: Omit<AuditEvent, "action"> },
  ): Promise<void> {
    const { records, clock } = this.#options;
    const { node, keyHash, authority } = newcomer;
    const now = clock.now();
    const puts = [
      { id: node, value: { keyHash, authority, joinedAt: now, joinedBy } },
      { id: certifiedId(node), value: { at: now } },
    ];
    const must = this.#isBack(newcomer) ? { requires: [node] } : { absent: isAgain ? [node, removedId(node)] : [node] };
    try {
      await records.write({ collection: NODES, puts, deletes: [removedId(node)], ...must, audit: { ...audit, action: "join" } });
    } catch (reason) {
      if (WeftError.from(reason).code !== "conflict") throw reason;
      await records.refresh();
      if (this.#isBack(newcomer)) return;
      throw records.nodes.has(node) ? taken(node) : unknownToken();
    }
  }

  /** @throws WeftError "unauthenticated"; one answer for all that is no token, so that nothing is learnt by trying */
  async #token(id: string, secret: string): Promise<KnownToken> {
    const { clock } = this.#options;
    const token = await this.#stored(id);
    if (!token) throw unknownToken();
    if (!timingSafeEqual(Buffer.from(token.hash), Buffer.from(joinSecretHash(secret)))) throw unknownToken();
    if (clock.now() < token.expiresAt) return token;
    throw new WeftError("unauthenticated", `this join token ended at ${new Date(token.expiresAt).toISOString()}`, {
      help: "make a new one: weft node token",
    });
  }

  async #stored(id: string): Promise<KnownToken | undefined> {
    for (const record of await this.#options.store.readPrivate(TOKENS)) {
      const schema = record.id === id ? TokenSchema : record.id === usedId(id) ? UsedTokenSchema : undefined;
      const parsed = schema && v.safeParse(schema, record.value);
      if (parsed?.success) return parsed.output;
    }
    return undefined;
  }
}

const unknownToken = () =>
  new WeftError("unauthenticated", "this join token is not known: it was used, or revoked, or ended long ago, or is not of this mesh", {
    help: "make a new one: weft node token, on an authority",
  });

const taken = (node: string) =>
  new WeftError("conflict", `there is a node ${node} in the mesh`, {
    help: `choose another name with --node; or, where that node is gone for good: weft node remove ${node}`,
  });
