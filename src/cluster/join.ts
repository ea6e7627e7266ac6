/** How a node joins: it makes its key, finds that the other side is the authority which the token names, and only then shows the token. */
import { createPrivateKey, X509Certificate } from "node:crypto";
import { createSigningRequest, nodeSpiffeId } from "../ca/index.ts";
import { ClusterService } from "../gen/weft/cluster/v1/cluster_pb.ts";
import type { Clock } from "../lib/clock.ts";
import { WeftError } from "../lib/errors.ts";
import { callNode } from "./client.ts";
import { parseJoinToken } from "./join-token.ts";
import { pinnedAuthority } from "./peer.ts";
import { NodeSession, placeOf } from "./session.ts";
import type { JoinGrant } from "./types.ts";

export interface JoinOptions {
  /** Of an authority's node-to-node RPC: HOST:PORT. */
  readonly address: string;
  readonly token: string;
  readonly node: string;
  /** The one that it must be; any where absent. */
  readonly trustDomain?: string;
  /** The node's own, PKCS #8, PEM; only its public half is sent. */
  readonly keyPem: string;
  readonly clock: Clock;
}

export interface Joined extends JoinGrant {
  /** The authority that answered. */
  readonly by: string;
}

/** @throws WeftError: "invalid", "unauthenticated" (the pin, the token), "conflict" (the name is taken), "unavailable" */
export async function joinMesh({ address, token, node, trustDomain, keyPem, clock }: JoinOptions): Promise<Joined> {
  const named = parseJoinToken(token);
  placeOf(address);
  const csr = await createSigningRequest(keyPem);
  let by: { readonly node: string; readonly trustDomain: string } | undefined;
  const session = new NodeSession({
    address,
    certificate: () => undefined,
    judge: (presented) => {
      by = pinnedAuthority(presented, named, clock.now());
      if (trustDomain !== undefined && by.trustDomain !== trustDomain) {
        throw new WeftError(
          "invalid",
          `the mesh at ${address} is of trust domain ${by.trustDomain}, and this node is to be of ${trustDomain}`,
          {
            help: `leave out --trust-domain, or say --trust-domain ${by.trustDomain}`,
          },
        );
      }
    },
    clock,
  });
  try {
    const granted = await callNode({ session, clock, peer: address }, ClusterService.method.join, {
      token,
      node,
      csr,
      trustDomain: trustDomain ?? "",
    });
    checkGrant(granted, node, keyPem);
    return { ...granted, by: by?.node ?? "" };
  } finally {
    session.close();
  }
}

/** What came is for this node and this key. */
function checkGrant({ certificates: [leaf], trustDomain }: JoinGrant, node: string, keyPem: string): void {
  const certificate = leaf && new X509Certificate(leaf);
  const wanted = `URI:${nodeSpiffeId(trustDomain, node)}`;
  if (certificate?.subjectAltName !== wanted || !certificate.checkPrivateKey(createPrivateKey(keyPem))) {
    throw new WeftError("unavailable", "the authority answered with a certificate that is not this node's", {
      help: "both must be wefts of versions that fit",
    });
  }
}
