/** The keeper of other trust domains' bundles, joined with the data directory, the DNS, metrics and the log. */
import { lookup } from "node:dns/promises";
import { join } from "node:path";
import type { TrustBundle } from "../ca/index.ts";
import type { Clock } from "../lib/clock.ts";
import { NO_PEERS, parseAllowedPeers } from "../lib/public-address.ts";
import { logger } from "../telemetry/log.ts";
import type { Metrics } from "../telemetry/metrics.ts";
import { FederatedBundles, type FederationStatus } from "./federation.ts";
import { fetchBundleWith } from "./federation-fetch.ts";
import { KEPT_BUNDLES, keptDocuments } from "./kept-documents.ts";

export interface OpenFederationOptions {
  readonly data: string;
  readonly clock: Clock;
  readonly metrics: Metrics;
  /** What is not public and may be asked all the same (lib/public-address.ts). */
  readonly allow: () => readonly string[];
}

export function openFederation({ data, clock, metrics, allow }: OpenFederationOptions): FederatedBundles {
  const log = logger("federation");
  const failing = new Set<string>();
  /** Once when it begins to fail, once when it works again. */
  const tell = ({ trustDomain, url, state, error }: FederationStatus, detail: string | undefined) => {
    const about = { trustDomain, url, reason: detail === undefined ? error : `${error} (${detail})` };
    if (state === "ok") log.info("the bundle of trust domain {trustDomain} is fetched from {url} again", about);
    else if (state === "stale")
      log.error("the bundle of trust domain {trustDomain} cannot be renewed: {reason}; the last good one stays in use", about);
    else log.error("there is no bundle of trust domain {trustDomain}: {reason}; its SVIDs are refused. Look at `weft check`", about);
  };
  const federated = new FederatedBundles({
    clock,
    random: Math.random,
    cache: keptDocuments(join(data, "federation.json"), KEPT_BUNDLES, (message) => log.warning(message)),
    fetch: fetchBundleWith({
      clock,
      allowed: () => parseAllowedPeers(allow()) ?? NO_PEERS,
      resolve: async (host) => (await lookup(host, { all: true })).map(({ address }) => address),
    }),
    onPolled(status, detail) {
      const { trustDomain, state, fetchedAt } = status;
      const ok = state === "ok";
      metrics.bundleFetches.inc({ result: ok ? "ok" : "error" });
      metrics.bundleOk.set({ trust_domain: trustDomain }, ok ? 1 : 0);
      if (fetchedAt !== undefined) metrics.bundleFetched.set({ trust_domain: trustDomain }, fetchedAt / 1_000);
      if (ok === !failing.has(trustDomain)) return;
      if (ok) failing.delete(trustDomain);
      else failing.add(trustDomain);
      tell(status, detail);
    },
    onForgotten(trustDomain) {
      failing.delete(trustDomain);
      metrics.bundleOk.remove({ trust_domain: trustDomain });
      metrics.bundleFetched.remove({ trust_domain: trustDomain });
    },
  });
  const told = new Map<string, TrustBundle>();
  federated.onChange(({ domains, bundles }) => {
    for (const name of told.keys()) if (!domains.includes(name)) told.delete(name);
    for (const bundle of bundles) {
      const { trustDomain, x509, jwt, sequence } = bundle;
      if (told.get(trustDomain) === bundle) continue;
      told.set(trustDomain, bundle);
      const about = { trustDomain, sequence, roots: x509.length, keys: jwt.length };
      log.info("trust domain {trustDomain} is known by {roots} roots and {keys} keys for tokens (sequence {sequence})", about);
    }
  });
  return federated;
}
