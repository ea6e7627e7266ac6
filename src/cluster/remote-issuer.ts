/** SVIDs that an authority signs and this node's workloads have: the key is made here, and stays. */
import { X509Certificate } from "node:crypto";
import { generateLeafKey, isUnderBundle, type JwtSvid, type TrustBundle, type X509Svid } from "../ca/index.ts";
import { ClusterService } from "../gen/weft/cluster/v1/cluster_pb.ts";
import type { Clock } from "../lib/clock.ts";
import { WeftError } from "../lib/errors.ts";
import { callNode } from "./client.ts";
import type { Signers } from "./signers.ts";

export interface RemoteIssuerOptions {
  readonly signers: Pick<Signers, "ask">;
  readonly bundle: () => TrustBundle;
  /** The store's revision that this node has: an authority that is behind it catches up before it judges. */
  readonly revision: () => number;
  readonly clock: Clock;
}

/** The node's certificate, signed anew for the key that it presents; DER. @throws WeftError "forbidden" (no node of the mesh any more), "unavailable" */
export async function renewNodeCertificate(signers: Pick<Signers, "ask">): Promise<readonly Uint8Array[]> {
  return (await signers.ask((parts) => callNode(parts, ClusterService.method.renewNode, {}))).certificates;
}

export class RemoteIssuer {
  readonly #options: RemoteIssuerOptions;

  constructor(options: RemoteIssuerOptions) {
    this.#options = options;
  }

  /** @throws WeftError "forbidden" (not a workload of this node), "unavailable" */
  async issueX509(spiffeId: string): Promise<X509Svid> {
    const { signers, bundle, revision, clock } = this.#options;
    const { publicKey, privateKeyPem } = generateLeafKey();
    const asked = { spiffeId, publicKey, revision: BigInt(revision()) };
    const { certificates, authorityId } = await signers.ask((parts) => callNode(parts, ClusterService.method.signX509Svid, asked));
    // What was signed is what was asked for, by whom everybody here trusts already: else a rotation is ahead of its bundle.
    const chain = certificates.map((der) => new X509Certificate(der));
    const [leaf] = chain;
    const ownKey = leaf?.publicKey.export({ type: "spki", format: "der" });
    if (!leaf || leaf.subjectAltName !== `URI:${spiffeId}` || !ownKey?.equals(publicKey)) {
      throw new WeftError("unavailable", "an authority answered with a certificate that was not asked for");
    }
    if (!isUnderBundle(chain, bundle(), clock.now())) {
      throw new WeftError("unavailable", "an authority signed by a root that is not in this node's trust bundle yet");
    }
    return {
      spiffeId,
      chainPem: chain.map(pemOf).join(""),
      privateKeyPem,
      serial: leaf.serialNumber.toLowerCase(),
      notBefore: leaf.validFromDate.getTime(),
      notAfter: leaf.validToDate.getTime(),
      authorityId,
    };
  }

  /** @throws WeftError "forbidden", "unavailable" */
  async issueJwtSvid(spiffeId: string, audience: readonly string[]): Promise<JwtSvid> {
    const { signers, revision } = this.#options;
    const asked = { spiffeId, audience: [...audience], revision: BigInt(revision()) };
    const { token, issuedAt, expiresAt, authorityId } = await signers.ask((parts) =>
      callNode(parts, ClusterService.method.signJwtSvid, asked),
    );
    return { spiffeId, audience, token, issuedAt: Number(issuedAt), expiresAt: Number(expiresAt), authorityId };
  }
}

const pemOf = (certificate: X509Certificate): string => `${certificate.toString().trim()}\n`;
