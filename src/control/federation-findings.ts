import type { Problem } from "../lib/problem.ts";
import { problem } from "../model/index.ts";
import type { FederationStatus } from "./federation.ts";

/** For `weft check`: TrustDomains whose last poll failed. */
export function federationFindings(status: readonly FederationStatus[]): Problem[] {
  return status.flatMap(({ trustDomain, state, error, source }) => {
    if (error === undefined) return [];
    const outcome = state === "stale" ? "the last good bundle stays in use" : "there is none, and SVIDs of this trust domain are refused";
    return problem("staleBundle", {
      severity: "warning",
      message: `the bundle of trust domain ${trustDomain} was not fetched: ${error}; ${outcome}`,
      file: source.file,
      line: source.line,
      column: 1,
      help: "look whether the URL answers from this machine; what is not public must be named by weft run --jwks-allow",
      resource: { kind: source.kind, namespace: source.namespace, name: source.name },
    });
  });
}
