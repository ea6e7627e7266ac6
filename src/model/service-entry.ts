/** ServiceEntry: a service, in the mesh or outside. istio/api networking/v1alpha3/service_entry.proto. */
import type * as v from "valibot";
import { port } from "./common.ts";
import { choice, list, map, needed, notYet, object, text } from "./schema.ts";
import { workloadEntryFields } from "./workload-entry.ts";

const servicePort = object({ number: needed(port()), protocol: text(), name: needed(text()), targetPort: port() });

const endpoint = object(workloadEntryFields);

export const ServiceEntrySchema = object({
  hosts: needed(list(text())),
  addresses: list(text()),
  ports: list(servicePort),
  location: choice(["MESH_EXTERNAL", "MESH_INTERNAL"]),
  resolution: choice(["STATIC", "DNS"], {
    NONE: "write STATIC with endpoints, or DNS",
    DNS_ROUND_ROBIN: "write DNS",
    DYNAMIC_DNS: "write DNS with the names that you call",
  }),
  endpoints: list(endpoint),
  workloadSelector: object({ labels: map(text()) }),
  exportTo: notYet("every service is visible in every namespace"),
  subjectAltNames: list(text()),
});

export type ServiceEntrySpec = v.InferOutput<typeof ServiceEntrySchema>;
export type ServiceEntryPort = v.InferOutput<typeof servicePort>;
export type ServiceEntryEndpoint = v.InferOutput<typeof endpoint>;
