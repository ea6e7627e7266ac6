/**
 * TrustDomain (weft.dev/v1): another trust domain whose workloads are known here, and where its bundle is fetched (SPIFFE Federation, 5.1).
 * Names are taken as they are written and never normalised (SPIFFE-ID, 2).
 */
import type * as v from "valibot";
import { bundleTrouble } from "../lib/spiffe-bundle.ts";
import { choice, needed, object, type Report, text } from "./schema.ts";

/** SPIFFE-ID, 2.1. */
const TRUST_DOMAIN = /^[a-z0-9._-]{1,255}$/;
/** The ID of a workload: a path of one segment at least (X509-SVID, 3.1; SPIFFE-ID, 2.2). */
const WORKLOAD_ID = /^spiffe:\/\/([a-z0-9._-]{1,255})(?:\/(?!\.{1,2}(?:\/|$))[a-zA-Z0-9._-]+)+$/;
const LONGEST_ID = 2048;
/** In a principal it always stands for the mesh's own trust domain, so that no policy could tell the two apart. */
const OWN_ALIAS = "cluster.local";

function checkTrustDomain(name: string, report: Report): void {
  if (name.startsWith("spiffe://"))
    report("badValue", "is written without its scheme", { help: `write ${name.slice("spiffe://".length)}` });
  else if (!TRUST_DOMAIN.test(name)) {
    report("badValue", `${JSON.stringify(name)} is no trust domain: use lower-case letters, digits, '.', '-' and '_'; no port, no path`);
  } else if (name === OWN_ALIAS) report("badValue", `${OWN_ALIAS} stands for the mesh's own trust domain in every policy`);
}

/** https without userinfo (SPIFFE Federation, 5.2.1.1 and 5.2.2.1). */
function checkUrl(url: string, report: Report): void {
  const parsed = URL.parse(url);
  if (!parsed) report("badValue", `${JSON.stringify(url)} is no URL`, { help: "write https://HOST[:PORT]/PATH" });
  else if (parsed.protocol !== "https:")
    report("badValue", "a bundle is fetched by https only", { help: "write https://HOST[:PORT]/PATH" });
  else if (parsed.username !== "" || parsed.password !== "") report("badValue", "must not hold a user's name or password");
  else if (parsed.hash !== "") report("badValue", "must not have a fragment, which no server sees");
}

function checkEndpointId(id: string, report: Report): void {
  if (id.length <= LONGEST_ID && WORKLOAD_ID.test(id)) return;
  report("badValue", `${JSON.stringify(id)} is no SPIFFE ID of a workload`, {
    help: "write spiffe://TRUST-DOMAIN/PATH, as the other side says it",
  });
}

export const TrustDomainSchema = object({
  /** metadata.name where absent. */
  trustDomain: text(checkTrustDomain),
  bundleEndpoint: needed(
    object(
      {
        url: needed(text(checkUrl)),
        profile: needed(choice(["https_web", "https_spiffe"])),
        endpointSPIFFEID: text(checkEndpointId),
      },
      ({ profile, endpointSPIFFEID }, report) => {
        if (profile === "https_spiffe" && endpointSPIFFEID === undefined) {
          report("missing", "profile https_spiffe needs endpointSPIFFEID", { help: "name the SPIFFE ID with which the endpoint serves" });
        } else if (profile === "https_web" && endpointSPIFFEID !== undefined) {
          report("together", "profile https_web knows the endpoint by its host's name", {
            path: ["endpointSPIFFEID"],
            help: "remove it, or write https_spiffe",
          });
        }
      },
    ),
  ),
  /** A SPIFFE bundle: what is trusted until the first one is fetched, and by which that is fetched (https_spiffe). */
  bundle: text((bundle, report) => {
    const trouble = bundleTrouble(bundle);
    if (trouble !== undefined) report("badValue", trouble, { help: "write the whole answer of the other side's bundle endpoint" });
  }),
});

export type TrustDomainSpec = v.InferOutput<typeof TrustDomainSchema>;

/** The trust domain that a SPIFFE ID belongs to, "" where it is none. */
export function trustDomainOf(spiffeId: string): string {
  return WORKLOAD_ID.exec(spiffeId)?.[1] ?? "";
}
