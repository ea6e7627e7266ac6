/**
 * Whose an ADS stream is, by whatever proves it: a workload token, an X.509-SVID (over TLS), or the user who connects (over the Unix socket). The
 * latter two may be good for several workloads; the node.id then chooses among those, and is never a proof itself.
 */
import type { Credentials, Entitlement, ProxyIdentity } from "../ads/types.ts";
import { type TrustBundle, type VerifiedX509Svid, verifyX509Svid, type WorkloadTokens } from "../ca/index.ts";
import type { Clock } from "../lib/clock.ts";
import { WeftError } from "../lib/errors.ts";
import type { Mesh, Workload } from "../mesh/types.ts";
import type { Registrations } from "./registration.ts";
import type { Revocations } from "./revocations.ts";

export interface AttestationOptions {
  readonly tokens: Pick<WorkloadTokens, "verifyHeader">;
  readonly registrations: Pick<Registrations, "admit">;
  readonly bundle: () => TrustBundle;
  readonly mesh: () => Mesh | undefined;
  readonly revocations: Pick<Revocations, "timeOf" | "timeOfSvids">;
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
  /** Of a certificate: what was revoked after it was made ends it. */
  readonly svid?: VerifiedX509Svid;
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

  /**
   * Whose the certificates are that somebody presented in a TLS handshake.
   * @throws WeftError "unauthenticated": they are no good X.509-SVID, or one that a workload had which was revoked since
   */
  identify(presented: readonly Uint8Array[]): VerifiedX509Svid {
    const { bundle, clock } = this.#options;
    const svid = verifyX509Svid(presented, bundle(), clock.now());
    if (this.#isRevoked(svid)) throw revoked(svid.spiffeId);
    return svid;
  }

  /** Whether the proxy proved itself by a certificate that was revoked since. */
  isRevoked(proxy: ProxyIdentity): boolean {
    const svid = this.#proofs.get(proxy)?.svid;
    return svid !== undefined && this.#isRevoked(svid);
  }

  /** notBefore lies somewhat before the making: who has a certificate from just after a revocation is refused, and nobody with one from before let in. */
  #isRevoked({ spiffeId, notBefore }: VerifiedX509Svid): boolean {
    return notBefore <= this.#options.revocations.timeOfSvids(spiffeId);
  }

  #byCertificate(presented: readonly Uint8Array[]): Proof {
    const svid = this.identify(presented);
    const { spiffeId, notAfter } = svid;
    return { who: spiffeId, covers: (workload) => workload.spiffeId === spiffeId, expiresAt: notAfter, svid };
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

  /** Again: it may have come between the handshake and the first request. */
  #checkRevocation({ svid }: Proof, { namespace, name }: Workload): void {
    if (svid && (this.#isRevoked(svid) || svid.notBefore <= this.#options.revocations.timeOf({ kind: "workload", namespace, name }))) {
      throw revoked(svid.spiffeId);
    }
  }
}

function revoked(spiffeId: string): WeftError {
  return new WeftError(
    "unauthenticated",
    `this certificate of ${spiffeId} was made before a workload of that service account was revoked, and opens nothing any more: ` +
      "begin anew with a token (weft token --workload NS/NAME), or with the next certificate, which proxies get some two minutes after a revocation",
  );
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
