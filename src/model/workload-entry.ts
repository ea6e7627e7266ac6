/** WorkloadEntry: one instance of a service, on a host or a VM. istio/api networking/v1alpha3/workload_entry.proto. */
import type * as v from "valibot";
import { port } from "./common.ts";
import { map, notYet, object, text, uint32 } from "./schema.ts";

/** The shape that WorkloadEntry and the endpoints of a ServiceEntry share. */
export const workloadEntryFields = {
  address: text(),
  ports: map(port()),
  labels: map(text()),
  network: notYet("all workloads are on one network"),
  locality: text(),
  weight: uint32(),
  serviceAccount: text(),
} as const;

export const WorkloadEntrySchema = object(workloadEntryFields);

export type WorkloadEntrySpec = v.InferOutput<typeof WorkloadEntrySchema>;
