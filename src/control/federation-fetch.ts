/**
 * Fetches another trust domain's bundle (SPIFFE Federation, 5.2). The endpoint is known by its host's name and the web's authorities (https_web),
 * or by its X.509-SVID and a bundle that is known already (https_spiffe); the same holds after a redirect.
 */
import type { PeerCertificate } from "node:tls";
import { formatSpiffeId, parseSpiffeId, type TrustBundle, x509SvidId } from "../ca/index.ts";
import { WeftError } from "../lib/errors.ts";
import type { FederatedDomain } from "../mesh/federation.ts";
import type { FetchBundle } from "./federation.ts";
import { type FetchJwksOptions, fetchText } from "./jwks-fetch.ts";

/** As Istio's for key sets. */
const TIMEOUT_MS = 5_000;

export function fetchBundleWith(options: FetchJwksOptions): FetchBundle {
  return async (domain, bundleOf) => {
    const tls = domain.endpointSpiffeId === undefined ? {} : spiffeAuthentication(domain, domain.endpointSpiffeId, bundleOf);
    return (await fetchText(domain.url, { ...options, ...tls }, TIMEOUT_MS)).body;
  };
}

function spiffeAuthentication(
  { trustDomain, url }: FederatedDomain,
  expected: string,
  bundleOf: (trustDomain: string) => TrustBundle | undefined,
): Pick<FetchJwksOptions, "ca" | "checkServerIdentity"> {
  const { trustDomain: issuer } = parseSpiffeId(expected);
  const roots = bundleOf(issuer)?.x509 ?? [];
  if (roots.length === 0) {
    const mend = issuer === trustDomain ? "write the field bundle" : `add a TrustDomain ${issuer}`;
    throw new WeftError("unavailable", `${url} cannot be authenticated: no bundle of trust domain ${issuer} is known; ${mend}`);
  }
  return { ca: roots, checkServerIdentity: (_, certificate) => identityTrouble(certificate, expected) };
}

/** 5.2.2.4. That its chain leads to the roots, the handshake has found. */
function identityTrouble({ raw }: PeerCertificate, expected: string): Error | undefined {
  try {
    const found = formatSpiffeId(x509SvidId(new Uint8Array(raw)));
    return found === expected ? undefined : new Error(`it presents ${found}, not ${expected}`);
  } catch (reason) {
    return WeftError.from(reason);
  }
}
