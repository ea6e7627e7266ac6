/** The certificate that weft serves TLS with: an X.509-SVID of its own, renewed as a workload's is. */
import { type OpenedAuthority, type SvidManager, workloadSpiffeId, type X509Svid } from "../ca/index.ts";
import { WeftError } from "../lib/errors.ts";
import type { ServerCertificate } from "../lib/server-tls.ts";

/** Of the root namespace, which no WorkloadEntry of an editor's is in. */
export const weftSpiffeId = (trustDomain: string): string => workloadSpiffeId(trustDomain, "weft-system", "weft");

export interface ServerCertificateKeeper extends ServerCertificate {
  readonly spiffeId: string;
  close(): void;
}

export interface ServerCertificateOptions {
  readonly svids: Pick<SvidManager, "subscribe">;
  readonly authority: Pick<OpenedAuthority, "trustDomain" | "bundle" | "onBundle">;
}

/** Resolves when there is the first certificate. */
export async function openServerCertificate({ svids, authority }: ServerCertificateOptions): Promise<ServerCertificateKeeper> {
  const spiffeId = weftSpiffeId(authority.trustDomain);
  const listeners = new Set<() => void>();
  const tell = () => {
    for (const listener of listeners) listener();
  };
  let svid: X509Svid | undefined;
  let stop = () => {};
  await new Promise<void>((resolve) => {
    stop = svids.subscribe(spiffeId, (next) => {
      svid = next;
      resolve();
      tell();
    });
  });
  // The roots go with it, so that who pins one by its fingerprint finds it.
  const stopBundle = authority.onBundle(tell);
  return {
    spiffeId,
    current() {
      if (!svid) throw new WeftError("internal", "there is no certificate to serve with");
      return { chain: svid.chainPem + authority.bundle().x509Pem, key: svid.privateKeyPem };
    },
    onRenewal(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    close() {
      stop();
      stopBundle();
      listeners.clear();
    },
  };
}
