/**
 * Whose an ADS stream is, by whatever proves it: a workload token, an X.509-SVID (over TLS), or the user who connects (over the Unix socket). The
 * latter two may be good for several workloads; the node.id then chooses among those, and is never a proof itself.
 */
import type { Credentials, Entitlement, ProxyIdentity } from "../ads/types.ts";
import { type TokenHolder, type TrustBundle, verifyX509Svid, type WorkloadTokens } from "../ca/index.ts";
import type { Clock } from "../lib/clock.ts";
import { WeftError } from "../lib/errors.ts";
import type { Mesh, Workload } from "../mesh/types.ts";
import type { Registrations } from "./registration.ts";

export interface AttestationOptions {
  readonly tokens: Pick<WorkloadTokens, "verifyHeader">;
  readonly registrations: Pick<Registrations, "admit">;
  readonly bundle: () => TrustBundle;
  readonly mesh: () => Mesh | undefined;
  /** Until when the tokens of `holder` were taken back, milliseconds since the epoch; 0 where none ever was. */
  readonly revokedAt: (holder: TokenHolder) => number;
  /** The number of the user of that name, on this machine; undefined where there is none. */
  readonly userNumber: (name: string) => number | undefined;
  readonly clock: Clock;
}

/** What a proxy proved that is not bound to one workload. */
interface Proof {
  /** In the words of a refusal. */
  readonly who: string;
  readonly covers: (workload: Workload) => boolean;
  readonly expiresAt?: number;
  /** When it was made, or somewhat earlier, where that is known: what was revoked later ends it. */
  readonly madeAt?: number;
}

export class Attestation {
  readonly #options: AttestationOptions;
  readonly #proofs = new WeakMap<ProxyIdentity, Proof>();

  constructor(options: AttestationOptions) {
    this.#options = options;
  }

  /** @throws WeftError "unauthenticated", "forbidden" */
  async authenticate(credentials: Credentials): Promise<ProxyIdentity | Entitlement> {
    const { authorization, certificates = [], user } = credentials;
    const { tokens, registrations } = this.#options;
    // A token says more than the others: whoever sends one means it.
    if (authorization !== undefined) return await registrations.admit(await tokens.verifyHeader(authorization));
    if (certificates.length > 0) return this.#entitlement(this.#byCertificate(certificates));
    const proof = user && this.#byUser(user.uid);
    if (proof && this.#mayCover(proof)) return this.#entitlement(proof);
    try {
      return await registrations.admit(await tokens.verifyHeader(undefined));
    } catch (reason) {
      if (!proof) throw reason;
      const { message } = WeftError.from(reason);
      throw new WeftError("unauthenticated", `${proof.who} runs no workload's proxy (annotation weft.dev/unix-user), and ${message}`);
    }
  }

  /** Whether what the proxy proved is still good for `workload`: resources change under open streams. */
  holds(proxy: ProxyIdentity, workload: Workload): boolean {
    const proof = this.#proofs.get(proxy);
    return !proof || (proof.covers(workload) && workload.group === undefined);
  }

  /** Whether the proxy's workload has changed so that its proof is good for it no more. One that is gone is no such change: it may come back. */
  isLost(proxy: ProxyIdentity, { workloads }: Mesh): boolean {
    const workload = workloads.get(proxy.id);
    return workload !== undefined && !this.holds(proxy, workload);
  }

  #byCertificate(presented: readonly Uint8Array[]): Proof {
    const { bundle, clock } = this.#options;
    const { spiffeId, notBefore, notAfter } = verifyX509Svid(presented, bundle(), clock.now());
    return { who: spiffeId, covers: (workload) => workload.spiffeId === spiffeId, expiresAt: notAfter, madeAt: notBefore };
  }

  #byUser(uid: number): Proof {
    const { userNumber } = this.#options;
    const isUser = (name: string) => (/^\d+$/.test(name) ? Number(name) : userNumber(name)) === uid;
    return { who: `uid ${uid}`, covers: ({ unixUser }) => uid !== 0 && unixUser !== undefined && isUser(unixUser) };
  }

  #entitlement(proof: Proof): Entitlement {
    const { expiresAt } = proof;
    const choose = (nodeId: string): ProxyIdentity => {
      const { mesh } = this.#options;
      const workloads = mesh()?.workloads;
      if (!workloads) throw new WeftError("unavailable", "weft is still loading its resources: try again in a moment");
      const named = workloadIn(nodeId);
      const workload = named === undefined ? this.#only(proof, workloads) : workloads.get(named);
      // One answer for all that it is not good for: what else there is, strangers need not learn.
      if (!workload || workload.group !== undefined || !proof.covers(workload)) throw refuse(proof.who, named);
      this.#checkRevocation(proof, workload);
      const proxy: ProxyIdentity = { id: workload.key, ...(expiresAt === undefined ? {} : { expiresAt }) };
      this.#proofs.set(proxy, proof);
      return proxy;
    };
    return { ...(expiresAt === undefined ? {} : { expiresAt }), choose };
  }

  /** Whether it is good for anything, as far as that is known yet. */
  #mayCover({ covers }: Proof): boolean {
    const mesh = this.#options.mesh();
    return mesh === undefined || mesh.workloads.values().some(covers);
  }

  #only({ who, covers }: Proof, workloads: ReadonlyMap<string, Workload>): Workload | undefined {
    const own: Workload[] = [];
    for (const workload of workloads.values()) if (workload.group === undefined && covers(workload)) own.push(workload);
    if (own.length < 2) return own[0];
    const names = own.slice(0, 10).map(({ key }) => key);
    throw new WeftError("forbidden", `${who} is that of several workloads (${names.join(", ")}): name one, node.id "sidecar~${names[0]}"`);
  }

  #checkRevocation({ who, madeAt }: Proof, { namespace, name, key }: Workload): void {
    if (madeAt === undefined || madeAt > this.#options.revokedAt({ kind: "workload", namespace, name })) return;
    throw new WeftError(
      "unauthenticated",
      `the proofs of workload ${key} were revoked after this certificate of ${who} was made: begin anew with a token, weft token --workload ${key}`,
    );
  }
}

/** "ns/name" of the workload that a node.id names ("sidecar~NS/NAME", as weft's bootstraps have it, or "NS/NAME"); undefined where it names none. */
function workloadIn(nodeId: string): string | undefined {
  return /^(?:[a-z]+~)?([^/~\s]+\/[^/~\s]+)$/.exec(nodeId)?.[1];
}

function refuse(who: string, named: string | undefined): WeftError {
  const what = named === undefined ? "is no workload's" : `is not that of a workload ${named.slice(0, 200)}`;
  return new WeftError(
    "forbidden",
    `${who} ${what}. A certificate is good for WorkloadEntries with its service account, a user for those that name it in the annotation weft.dev/unix-user; ` +
      "instances of a WorkloadGroup have tokens",
  );
}
