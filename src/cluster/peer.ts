/** Who is at the other end of a connection between nodes, by the certificates of its TLS handshake; that it holds the key, TLS has proved. */
import { X509Certificate } from "node:crypto";
import { nodeOfSpiffeId, type TrustBundle, type VerifiedX509Svid, verifyX509Svid, x509SvidId } from "../ca/index.ts";
import { WeftError } from "../lib/errors.ts";
import { caPin, type JoinToken, nodeKeyHash, publicKeyOf } from "./join-token.ts";

/** What a certificate claims before anybody has judged its signatures. */
export interface ClaimedNode {
  readonly node: string;
  readonly trustDomain: string;
  /** nodeKeyHash of the key that the peer was proved to hold. */
  readonly keyHash: string;
  /** That key: SubjectPublicKeyInfo, DER. */
  readonly publicKey: Uint8Array;
}

/** @param presented DER, leaf first. @throws WeftError "unauthenticated" where it is no node's */
export function claimedNode(presented: readonly Uint8Array[]): ClaimedNode {
  const [leaf] = presented;
  if (!leaf) throw new WeftError("unauthenticated", "no certificate was presented: this call is for nodes of the mesh");
  const id = x509SvidId(new Uint8Array(leaf));
  const node = nodeOfSpiffeId(id);
  if (node === undefined)
    throw new WeftError("forbidden", `the certificate of ${id.trustDomain}${id.path} is a workload's, and this call is for nodes`);
  const publicKey = publicKeyOf(leaf);
  return { node, trustDomain: id.trustDomain, keyHash: nodeKeyHash(publicKey), publicKey };
}

/** @throws WeftError "unauthenticated", "forbidden" saying what is wrong with it */
export function verifiedNode(presented: readonly Uint8Array[], bundle: TrustBundle, now: number): ClaimedNode & VerifiedX509Svid {
  const claimed = claimedNode(presented);
  return { ...claimed, ...verifyX509Svid(withoutRoots(presented), bundle, now) };
}

/** A server sends every root of the mesh (NodeCertificate.current): none of them is a step of the path, however many there are. */
function withoutRoots(presented: readonly Uint8Array[]): readonly Uint8Array[] {
  return presented.filter((der, index) => {
    if (index === 0 || !isReadable(der)) return true;
    const { subject, issuer } = new X509Certificate(der);
    return subject !== issuer;
  });
}

/**
 * The authority that a join token was made on, by its name and its pins, before anything is said to it.
 * @throws WeftError "unauthenticated"
 */
export function pinnedAuthority(
  presented: readonly Uint8Array[],
  { authority, pins }: Pick<JoinToken, "authority" | "pins">,
  now: number,
): ClaimedNode {
  const roots = presented.slice(1).filter((der) => isReadable(der) && pins.includes(caPin(der)));
  if (roots.length === 0) {
    throw new WeftError(
      "unauthenticated",
      "what answers there is not the authority that the token was made on, or its CA was replaced since",
      {
        help: "check the address; then make a new token: weft node token, on the authority. Nothing secret was sent",
      },
    );
  }
  const claimed = claimedNode(presented);
  if (claimed.node !== authority) {
    throw new WeftError(
      "unauthenticated",
      `node ${claimed.node} answers there, and the token was made on ${authority}: nothing secret was sent`,
      {
        help: `give the address of ${authority}`,
      },
    );
  }
  const x509 = roots.map((root) => `${new X509Certificate(root).toString().trim()}\n`);
  const { trustDomain } = claimed;
  verifyX509Svid(withoutRoots(presented), { trustDomain, sequence: 0, refreshHint: 0, x509, x509Pem: x509.join(""), jwt: [] }, now);
  return claimed;
}

function isReadable(der: Uint8Array): boolean {
  try {
    new X509Certificate(der);
    return true;
  } catch {
    return false;
  }
}
