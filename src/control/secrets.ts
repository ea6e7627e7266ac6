import type { SpiffeAuthority, SvidManager, X509Svid } from "../ca/index.ts";
import { secretResources } from "../xds/secret.ts";
import type { SecretsOf } from "./feeds.ts";

/** SDS secrets from the CA: a workload's SVID with its key, and the bundle; again at each renewal, and when the bundle changes. */
export function secretsFrom(svids: SvidManager, authority: Pick<SpiffeAuthority, "bundle" | "onBundle">): SecretsOf {
  return (spiffeId, onSecrets) => {
    let current: X509Svid | undefined;
    const give = () => {
      if (current) onSecrets(secretResources({ svid: current, bundlePem: authority.bundle().x509Pem }));
    };
    const stopSvids = svids.subscribe(spiffeId, (svid) => {
      current = svid;
      give();
    });
    const stopBundle = authority.onBundle(give);
    return () => {
      stopSvids();
      stopBundle();
    };
  };
}
