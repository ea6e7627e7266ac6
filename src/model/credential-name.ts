/** The name of a Secret, as Gateways and DestinationRules write it (Istio, pilot/pkg/model/credentials/resource.go). */
import { isDnsLabel } from "./check.ts";
import type { Report } from "./schema.ts";

const PREFIX = "kubernetes://";

/** Undefined where it names nothing; without a namespace, the Secret is looked for in the proxy's own. */
export function parseCredentialName(text: string): { readonly namespace?: string; readonly name: string } | undefined {
  const path = text.startsWith(PREFIX) ? text.slice(PREFIX.length) : text;
  const parts = path.split("/");
  const [first = "", second] = parts;
  if (parts.length > 2 || !parts.every((part) => part.split(".").every(isDnsLabel))) return undefined;
  return second === undefined ? { name: first } : { namespace: first, name: second };
}

/** The name of the SDS resource. */
export const credentialResource = (text: string): string => (text.startsWith(PREFIX) ? text : `${PREFIX}${text}`);

const ELSEWHERE: Readonly<Record<string, string>> = {
  "configmap://": "put the CA certificates into a Secret, as ca.crt",
  "sds://": "apply a Secret, or give files",
  "builtin://": "write mode ISTIO_MUTUAL for the mesh's own certificate",
  "invalid://": "it stands for what is not there",
  "kubernetes-gateway://": "write the Secret's name alone",
};

export function checkCredentialName(text: string, report: Report): void {
  if (text === "") return;
  const other = Object.keys(ELSEWHERE).find((prefix) => text.startsWith(prefix));
  if (other) report("notYet", `${other} is not translated`, { help: ELSEWHERE[other] });
  else if (!parseCredentialName(text)) {
    // Istio takes any, and finds nothing.
    report("badName", `${JSON.stringify(text)} is no name that a Secret can have, so none is found`, {
      severity: "warning",
      help: "write NAME",
    });
  }
}
