/** What an authority does for other nodes: it lets them in by a token, certifies them, and signs for the workloads that are registered to them. */
import type { LocalAuthority, SvidType } from "../ca/index.ts";
import type { ClaimedNode } from "../cluster/peer.ts";
import type { AuthorityCalls, JoinAsk, JoinGrant } from "../cluster/types.ts";
import { type Clock, sleep } from "../lib/clock.ts";
import { WeftError } from "../lib/errors.ts";
import type { Mesh } from "../mesh/types.ts";
import { Admission } from "./cluster-admission.ts";
import type { ClusterRecords, ClusterStore } from "./cluster-records.ts";
import { certifiedId, NODES } from "./cluster-schemas.ts";
import { certificatesOf } from "./node-certificate.ts";
import { weftSpiffeId } from "./server-certificate.ts";

export interface ClusterCallsOptions {
  readonly trustDomain: string;
  readonly store: ClusterStore;
  readonly records: ClusterRecords;
  readonly local: LocalAuthority;
  readonly signs: (type: SvidType) => boolean;
  readonly sealKey: Uint8Array;
  readonly mesh: () => Mesh | undefined;
  /** Resolves when the Mesh of that revision is there, or `signal` ends the wait. */
  readonly reached: (revision: number, signal: AbortSignal) => Promise<void>;
  readonly clock: Clock;
}

/**
 * How long a node may be away and come back by itself, though its certificate has ended: its key is what the mesh knows it by, and weft node remove ends that
 * at once. A week spans holidays; a disk that turns up later is worth nothing.
 */
export const RENEWAL_GRACE_MS = 7 * 86_400_000;
/** That a node was certified is written down once a day. */
const CERTIFIED_AGAIN_MS = 86_400_000;
/** How long an authority that is behind the node that asks may take to catch up. */
const CATCH_UP_MS = 3_000;

export class ClusterCalls implements AuthorityCalls {
  readonly #options: ClusterCallsOptions;
  readonly #admission: Admission;

  constructor(options: ClusterCallsOptions) {
    this.#options = options;
    this.#admission = new Admission({ ...options, mustSign: () => this.#mustSign("x509") });
  }

  async join(ask: JoinAsk): Promise<JoinGrant> {
    const { trustDomain, local, sealKey } = this.#options;
    const { node, publicKey, authority } = await this.#admission.admit(ask);
    const { chainPem } = await local.signNode(node, publicKey);
    return { certificates: certificatesOf(chainPem), trustDomain, authority, sealKey };
  }

  async renew(claimed: ClaimedNode): Promise<readonly Uint8Array[]> {
    const { records, local, clock } = this.#options;
    this.#member(claimed);
    const now = clock.now();
    const certifiedAt = records.certified.get(claimed.node) ?? 0;
    if (now - certifiedAt > RENEWAL_GRACE_MS) {
      throw new WeftError("forbidden", `node ${claimed.node} was away for more than a week: it must join again`, {
        help: `weft node remove ${claimed.node} and weft node token on an authority, then the weft join that this prints, with a new data directory`,
      });
    }
    this.#mustSign("x509");
    const { chainPem } = await local.signNode(claimed.node, claimed.publicKey);
    if (now - certifiedAt > CERTIFIED_AGAIN_MS) {
      const audit = {
        who: `node ${claimed.node}`,
        from: "cluster",
        action: "renew-node",
        outcome: "done",
        targets: [`node ${claimed.node}`],
      } as const;
      const puts = [{ id: certifiedId(claimed.node), value: { at: now } }];
      // Where the store is away, the certificate counts all the same, and the next renewal is written down.
      await records.write({ collection: NODES, puts, deletes: [], requires: [claimed.node], audit }).catch(() => {});
    }
    return certificatesOf(chainPem);
  }

  async signX509(claimed: ClaimedNode, { spiffeId, publicKey, revision }: { spiffeId: string; publicKey: Uint8Array; revision: number }) {
    await this.#mayHold(claimed, spiffeId, revision);
    this.#mustSign("x509");
    const { chainPem, authorityId } = await this.#options.local.signX509(spiffeId, publicKey);
    return { certificates: certificatesOf(chainPem), authorityId };
  }

  async signJwt(
    claimed: ClaimedNode,
    { spiffeId, audience, revision }: { spiffeId: string; audience: readonly string[]; revision: number },
  ) {
    await this.#mayHold(claimed, spiffeId, revision);
    this.#mustSign("jwt");
    const { token, issuedAt, expiresAt, authorityId } = await this.#options.local.issueJwtSvid(spiffeId, audience);
    return { token, issuedAt: BigInt(issuedAt), expiresAt: BigInt(expiresAt), authorityId };
  }

  /** @throws WeftError "forbidden" where the node is none of the mesh's, or the key not its own */
  #member({ node, keyHash, trustDomain }: ClaimedNode): void {
    const { records } = this.#options;
    if (trustDomain !== this.#options.trustDomain) throw new WeftError("forbidden", `node ${node} is of trust domain ${trustDomain}`);
    const known = records.nodes.get(node);
    if (known?.keyHash === keyHash) return;
    const removed = records.removed.get(node);
    if (!known && removed?.keyHash === keyHash) {
      throw new WeftError(
        "forbidden",
        `node ${node} was removed from the mesh by ${removed.by} at ${new Date(removed.removedAt).toISOString()}`,
        {
          help: "it can join again with a new token and a new data directory",
        },
      );
    }
    throw new WeftError("forbidden", `node ${node} with this key is none of the mesh's`, {
      help: "it must join: weft node token, on an authority",
    });
  }

  /** @throws WeftError "forbidden", "unavailable" (this authority is behind the node) */
  async #mayHold(claimed: ClaimedNode, spiffeId: string, revision: number): Promise<void> {
    const { mesh, reached, clock, trustDomain } = this.#options;
    this.#member(claimed);
    if (spiffeId === weftSpiffeId(trustDomain)) return;
    const current = mesh();
    if (current && heldBy(current, claimed.node).has(spiffeId)) return;
    if ((current?.revision ?? -1) < revision) {
      const ended = new AbortController();
      // A revision that never comes is not waited for any longer than this call: whoever asks says which it is.
      await Promise.race([reached(revision, ended.signal), sleep(clock, CATCH_UP_MS)]).finally(() => ended.abort());
      // It may have been removed meanwhile.
      this.#member(claimed);
      const now = mesh();
      if (now && heldBy(now, claimed.node).has(spiffeId)) return;
      if ((now?.revision ?? -1) < revision)
        throw new WeftError(
          "unavailable",
          `this authority is at revision ${now?.revision ?? 0}, and was asked by what revision ${revision} says`,
        );
    }
    throw new WeftError("forbidden", `${spiffeId} is no identity of a workload that is registered to node ${claimed.node}`, {
      help: `give its WorkloadEntry the annotation weft.dev/node: ${claimed.node}`,
    });
  }

  #mustSign(type: SvidType): void {
    if (!this.#options.signs(type)) throw new WeftError("unavailable", "this authority does not sign yet: not every node knows it");
  }
}

const held = new WeakMap<Mesh, Map<string, Set<string>>>();

/** The SPIFFE IDs of the workloads of a node. */
export function heldBy(mesh: Mesh, node: string): ReadonlySet<string> {
  let byNode = held.get(mesh);
  if (!byNode) {
    byNode = new Map();
    for (const workload of mesh.workloads.values()) {
      if (workload.node === undefined || workload.spiffeId === undefined) continue;
      const ids = byNode.get(workload.node) ?? new Set();
      byNode.set(workload.node, ids.add(workload.spiffeId));
    }
    held.set(mesh, byNode);
  }
  return byNode.get(node) ?? new Set();
}
