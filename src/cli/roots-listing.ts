/** Root certificates as text for people and files: `weft ca roots`, and the file of --ca. */
import { X509Certificate } from "node:crypto";
import type { CaAnswer } from "../admin/ca-schemas.ts";
import { certificatesIn } from "../lib/pem.ts";

type State = CaAnswer["x509"][number]["state"];

const MARK: Readonly<Record<State, string>> = {
  active: "; signs now",
  prepared: "; prepared, signs nothing yet: not for --ca-fingerprint",
  retiring: "; retiring, signs nothing more: not for --ca-fingerprint",
};

/** PEM, above each certificate a comment with its SHA-256, its end and, where `ca` tells, what it is there for. */
export function rootsListing(pem: string, ca?: Pick<CaAnswer, "x509">): string {
  const states = ca && statesOf(ca);
  return rootsIn(pem)
    .map((root) => {
      const fingerprint = hex(root);
      const state = states?.get(fingerprint);
      return `# ${fingerprint} until ${new Date(root.validTo).toISOString()}${state ? MARK[state] : ""}\n${root}`;
    })
    .join("");
}

/** Whether both hold the same certificates, in whatever order. */
export function isSameRoots(a: string, b: string): boolean {
  const sorted = (pem: string) => rootsIn(pem).map(hex).sort().join();
  return sorted(a) === sorted(b);
}

/** By the SHA-256 of a root, its own or of an upstream authority's: the foremost state of what it has signed. */
function statesOf({ x509 }: Pick<CaAnswer, "x509">): ReadonlyMap<string, State> {
  const states = new Map<string, State>();
  for (const state of ["retiring", "prepared", "active"] as const) {
    for (const one of x509.filter((authority) => authority.state === state)) {
      for (const { fingerprint } of [one, ...(one.issuers ?? [])]) if (fingerprint !== undefined) states.set(fingerprint, state);
    }
  }
  return states;
}

const hex = ({ fingerprint256 }: X509Certificate): string => fingerprint256.replaceAll(":", "").toLowerCase();
const rootsIn = (pem: string): readonly X509Certificate[] =>
  certificatesIn(pem)
    .split(/(?<=-----END CERTIFICATE-----\n)/)
    .filter(Boolean)
    .map((block) => new X509Certificate(block));
