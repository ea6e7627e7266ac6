/** PeerAuthentication: whether a workload takes plaintext, mutual TLS, or both. istio/api security/v1beta1/peer_authentication.proto. */
import type * as v from "valibot";
import { selector } from "./common.ts";
import { choice, isMapping, map, object, type Report } from "./schema.ts";

const mutualTls = () => object({ mode: choice(["UNSET", "DISABLE", "PERMISSIVE", "STRICT"]) });

/** The keys are ports in decimal, JSON has no other keys than strings. */
function checkPorts(ports: Readonly<Record<string, unknown>>, report: Report): void {
  const keys = Object.keys(ports);
  if (keys.length === 0) report("missing", "must have at least one port", { help: "leave portLevelMtls out" });
  for (const key of keys) {
    const number = /^[1-9][0-9]{0,4}$/.test(key) ? Number(key) : 0;
    if (number < 1 || number > 65535) report("outOfRange", "must be a port from 1 to 65535", { path: [key], atKey: true });
  }
}

export const PeerAuthenticationSchema = object(
  { selector: selector(), mtls: mutualTls(), portLevelMtls: map(mutualTls(), checkPorts) },
  (spec, report) => {
    const selects = Object.keys(spec.selector?.matchLabels ?? {}).length > 0;
    if (!selects && Object.keys(spec.portLevelMtls ?? {}).length > 0) {
      report("together", "needs selector.matchLabels: a policy for a namespace or the mesh cannot name ports", {
        path: ["portLevelMtls"],
        atKey: true,
      });
    }
  },
);

export type PeerAuthenticationSpec = v.InferOutput<typeof PeerAuthenticationSchema>;

/** Writes DISABLE for the mode NONE, its old name, in a spec as parsed from the user's text, whatever else that holds. */
export function readNoneAsDisable(spec: unknown): void {
  if (!isMapping(spec)) return;
  const ports = isMapping(spec.portLevelMtls) ? Object.values(spec.portLevelMtls) : [];
  for (const part of [spec.mtls, ...ports]) {
    if (isMapping(part) && part.mode === "NONE") part.mode = "DISABLE";
  }
}
