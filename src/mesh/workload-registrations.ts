/** WorkloadRegistrations, with the identity that each gives. */
import type { Provenance } from "../lib/provenance.ts";
import { provenanceOf, type Resource } from "../model/resource.ts";
import { memoize } from "./memo.ts";
import type { Settings, Workload } from "./types.ts";
import { spiffeIdOf } from "./workloads.ts";

type WorkloadRegistration = Resource<"WorkloadRegistration">;

/** What must hold of a process, all of it, by the kernel's word. */
export type UnixSelectors = WorkloadRegistration["spec"]["selectors"]["unix"];

export interface Registration {
  readonly spiffeId: string;
  readonly unix: UnixSelectors;
  /** What the workload may use the identity for, in the operator's words; "" where nothing is said. */
  readonly hint: string;
  readonly source: Provenance;
}

/** Oldest first, as `sorted` is. One whose workload has no identity gives none. */
export function buildRegistrations(
  sorted: readonly WorkloadRegistration[],
  workloads: ReadonlyMap<string, Workload>,
  settings: Settings,
  previous?: readonly Registration[],
): readonly Registration[] {
  const built = sorted.flatMap((one) => {
    const { workload } = one.spec;
    const named = workload === undefined ? NO_WORKLOAD : workloads.get(`${one.metadata.namespace}/${workload}`);
    return (named && registrationOf(settings, one, named)) ?? [];
  });
  return previous?.length === built.length && built.every((one, index) => one === previous[index]) ? previous : built;
}

const NO_WORKLOAD = {};

const registrationOf = memoize((settings: Settings, one: WorkloadRegistration, workload: Partial<Workload>): Registration | undefined => {
  const { serviceAccount, selectors, hint = "" } = one.spec;
  const spiffeId = workload.spiffeId ?? spiffeIdOf(settings, one.metadata.namespace, serviceAccount);
  return spiffeId === undefined ? undefined : { spiffeId, unix: selectors.unix, hint, source: provenanceOf(one, "spec") };
});
