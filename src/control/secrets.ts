import type { Authority, SvidManager } from "../ca/index.ts";
import { secretResources } from "../xds/secret.ts";
import type { SecretsOf } from "./feeds.ts";

/** SDS secrets from the CA: a workload's SVID with its key, and the bundle; again at each renewal. */
export function secretsFrom(svids: SvidManager, authority: Authority): SecretsOf {
  return (spiffeId, onSecrets) =>
    svids.subscribe(spiffeId, (svid) => onSecrets(secretResources({ svid, bundlePem: authority.bundlePem() })));
}
