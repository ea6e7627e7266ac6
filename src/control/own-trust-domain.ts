/** What a document cannot know by itself: which trust domain is this weft's own. */
import { WeftError } from "../lib/errors.ts";
import { nameOf } from "../mesh/federation.ts";
import { problem } from "../model/index.ts";
import type { AnyResource } from "../model/resource.ts";

/** @throws WeftError "invalid" where a TrustDomain names the own trust domain, whose roots are its own authority's and come from nowhere else */
export function refuseOwnDomain(resources: readonly AnyResource[], trustDomain: string): void {
  const problems = resources.flatMap((one) => {
    if (one.kind !== "TrustDomain" || nameOf(one) !== trustDomain) return [];
    const { metadata, source, spec } = one;
    const path = spec.trustDomain === undefined ? "metadata.name" : "spec.trustDomain";
    return problem("badValue", {
      message: `${path}: ${trustDomain} is this mesh's own trust domain`,
      file: source.file,
      line: source.lines[path] ?? source.lines[""] ?? 1,
      column: 1,
      help: "name the other trust domain; whose roots this mesh trusts for its own is its authority's to say",
      resource: { kind: one.kind, namespace: metadata.namespace, name: metadata.name },
    });
  });
  if (problems.length > 0)
    throw new WeftError("invalid", "nothing was applied: a TrustDomain names this mesh's own trust domain", { problems });
}
