/** The certificate that weft serves TLS with: an X.509-SVID of its own, renewed as a workload's is. */
import { type OpenedAuthority, type SvidManager, workloadSpiffeId, type X509Svid } from "../ca/index.ts";
import type { Clock } from "../lib/clock.ts";
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
  readonly clock: Clock;
}

/** A CA that is here signs within milliseconds. Where the authorities are elsewhere, and away, nothing else of weft waits for them. */
const FIRST_MS = 5_000;

/** Resolves when there is the first certificate, or a while later: then it is there when an authority is. */
export async function openServerCertificate({ svids, authority, clock }: ServerCertificateOptions): Promise<ServerCertificateKeeper> {
  const spiffeId = weftSpiffeId(authority.trustDomain);
  const listeners = new Set<() => void>();
  const tell = () => {
    for (const listener of listeners) listener();
  };
  let svid: X509Svid | undefined;
  let stop = () => {};
  await new Promise<void>((resolve) => {
    const cancel = clock.after(FIRST_MS, resolve);
    stop = svids.subscribe(spiffeId, (next) => {
      svid = next;
      cancel();
      resolve();
      tell();
    });
  });
  // The roots go with it, so that who pins one by its fingerprint finds it.
  const stopBundle = authority.onBundle(tell);
  return {
    spiffeId,
    current() {
      return svid && { chain: svid.chainPem + authority.bundle().x509Pem, key: svid.privateKeyPem };
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
