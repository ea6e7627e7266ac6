/** PeerAuthentication: whether a workload takes plaintext, mutual TLS, or both. istio/api security/v1beta1/peer_authentication.proto. */
import type * as v from "valibot";
import { selector } from "./common.ts";
import { choice, map, object } from "./schema.ts";

const mutualTls = () => object({ mode: choice(["UNSET", "DISABLE", "PERMISSIVE", "STRICT"]) });

export const PeerAuthenticationSchema = object({
  selector: selector(),
  mtls: mutualTls(),
  portLevelMtls: map(mutualTls(), (ports, report) => {
    for (const key of Object.keys(ports)) {
      const number = /^[0-9]{1,5}$/.test(key) ? Number(key) : 0;
      if (number < 1 || number > 65535) report("outOfRange", "must be a port from 1 to 65535", { path: [key], atKey: true });
    }
  }),
});

export type PeerAuthenticationSpec = v.InferOutput<typeof PeerAuthenticationSchema>;
