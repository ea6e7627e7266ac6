import type { SpiffeAuthority, SvidManager, TokenManager, X509Svid } from "../ca/index.ts";
import type { EncodedResource } from "../lib/encoded.ts";
import { secretResources, tokenResource } from "../xds/secret.ts";
import type { FederatedBundles } from "./federation.ts";
import type { SecretsOf } from "./feeds.ts";

export interface SecretSources {
  readonly svids: Pick<SvidManager, "subscribe">;
  readonly tokens: Pick<TokenManager, "subscribe">;
  readonly authority: Pick<SpiffeAuthority, "trustDomain" | "bundle" | "onBundle">;
  /** The bundles of other trust domains; none where absent. */
  readonly federated?: Pick<FederatedBundles, "federation" | "onChange">;
}

/**
 * SDS secrets from the CA: a workload's SVID with its key, the bundle, and the tokens that its proxy adds to calls; again at each renewal, and when
 * the bundle changes. A token that cannot be issued is left out until it can.
 */
export function secretsFrom({ svids, tokens, authority, federated }: SecretSources): SecretsOf {
  return (spiffeId, needs, onSecrets) => {
    let svid: X509Svid | undefined;
    let certificates: readonly EncodedResource[] | undefined;
    const tried = new Set<string>();
    const held = new Map<string, EncodedResource>();
    let following = false;
    const give = () => {
      if (following && certificates && tried.size === needs.length) onSecrets([...certificates, ...held.values()]);
    };
    const certify = () => {
      const { trustDomain } = authority;
      if (svid) {
        const bundlePem = authority.bundle().x509Pem;
        certificates = secretResources({ svid, trustDomain, bundlePem, federated: federated?.federation });
      }
      give();
    };
    const stops = [
      svids.subscribe(spiffeId, (issued) => {
        svid = issued;
        certify();
      }),
      authority.onBundle(certify),
      ...(federated ? [federated.onChange(certify)] : []),
      ...needs.map((need) =>
        tokens.subscribe(spiffeId, need.audience, {
          onToken: ({ token }) => {
            tried.add(need.secret);
            held.set(need.secret, tokenResource(need, token));
            give();
          },
          onFailure: () => {
            if (tried.has(need.secret)) return;
            tried.add(need.secret);
            give();
          },
        }),
      ),
    ];
    following = true;
    give();
    return () => {
      following = false;
      for (const stop of stops) stop();
    };
  };
}
