/** The keeper of key sets, joined with the data directory, the DNS, metrics and the log. */
import { lookup } from "node:dns/promises";
import { join } from "node:path";
import type { Clock } from "../lib/clock.ts";
import { NO_PEERS, parseAllowedPeers } from "../lib/public-address.ts";
import { logger } from "../telemetry/log.ts";
import type { Metrics } from "../telemetry/metrics.ts";
import { JwksKeeper, type JwksStatus } from "./jwks.ts";
import { fetchJwksWith } from "./jwks-fetch.ts";
import { KEPT_KEYS, keptDocuments } from "./kept-documents.ts";

export interface OpenJwksOptions {
  readonly data: string;
  readonly clock: Clock;
  readonly metrics: Metrics;
  readonly allow: () => readonly string[];
  readonly onChange: () => void;
}

export function openJwks({ data, clock, metrics, allow, onChange }: OpenJwksOptions): JwksKeeper {
  const log = logger("jwks");
  const failing = new Set<string>();
  const onFetched = (status: JwksStatus, ok: boolean, detail?: string) => {
    metrics.jwksFetches.inc({ result: ok ? "ok" : "error" });
    metrics.jwksOk.set({ uri: label(status.uri) }, ok ? 1 : 0);
    if (ok === !failing.has(status.uri)) return;
    if (ok) failing.delete(status.uri);
    else failing.add(status.uri);
    tell(status, ok, detail);
  };
  /** Once when it begins to fail, once when it works again. */
  const tell = ({ uri, issuers, state, error }: JwksStatus, ok: boolean, detail: string | undefined) => {
    const about = { uri: label(uri), issuers, reason: detail === undefined ? error : `${error} (${detail})` };
    if (ok) log.info("the keys of {issuers} are fetched from {uri} again", about);
    else if (state === "stale") log.error("the keys of {issuers} cannot be fetched: {reason}; the last good ones stay in use", about);
    else log.error("the keys of {issuers} cannot be fetched: {reason}; tokens of theirs are refused. Look at `weft check`", about);
  };
  return new JwksKeeper({
    clock,
    cache: keptDocuments(join(data, "jwks.json"), KEPT_KEYS, (message) => log.warning(message)),
    fetch: fetchJwksWith({
      clock,
      allowed: () => parseAllowedPeers(allow()) ?? NO_PEERS,
      resolve: async (host) => (await lookup(host, { all: true })).map(({ address }) => address),
    }),
    onChange,
    onFetched,
    onForgotten(uri) {
      failing.delete(uri);
      metrics.jwksOk.remove({ uri: label(uri) });
    },
  });
}

/** Without a query, which may hold a secret. */
function label(uri: string): string {
  return uri.replace(/[?#].*$/, "");
}
