/** What the analysis of documents together finds: all of it, and what a change has to do with. */
import type { Problem } from "../lib/problem.ts";
import { type Analysis, affectedBy, analyzeInSteps, findExpiredCertificates } from "../mesh/analysis/index.ts";
import { buildMesh } from "../mesh/build.ts";
import type { Mesh } from "../mesh/types.ts";
import { type AnyResource, resourceKey } from "../model/resource.ts";
import type { UnixNames } from "../workload-api/unix-names.ts";
import type { FederationStatus } from "./federation.ts";
import { federationFindings } from "./federation-findings.ts";
import type { Reconciler } from "./reconciler.ts";
import { findUnknownUsers } from "./unknown-users.ts";

/** The mesh at a moment, with the resources that it was built of; undefined before the first load. */
export type Moment = { readonly mesh: Mesh; readonly resources: readonly AnyResource[] } | undefined;

/** A Mesh is analyzed once. */
const analyzed = new WeakMap<Mesh, Promise<Analysis>>();
/** The last one: of the next only what it does not answer is looked for. */
// One Mesh that is out of date may live on by it.
let last: Analysis | undefined;

async function findingsOf(moment: Moment): Promise<readonly Problem[]> {
  if (!moment) return [];
  const known = analyzed.get(moment.mesh) ?? analyzeInTurns(moment, last);
  analyzed.set(moment.mesh, known);
  last = await known;
  return last.problems;
}

/** Gives way first, and after each step: proxies and probes do not wait for it. */
async function analyzeInTurns({ resources, mesh }: NonNullable<Moment>, before: Analysis | undefined): Promise<Analysis> {
  const steps = analyzeInSteps(resources, mesh, before);
  for (;;) {
    await new Promise<void>((resolve) => setImmediate(resolve));
    const step = steps.next();
    if (step.done) return step.value;
  }
}

export function momentOf(reconciler: Reconciler): Moment {
  const { mesh, built } = reconciler;
  return mesh && { mesh, resources: built };
}

/** `now`: milliseconds since the epoch. */
export async function allFindings(
  reconciler: Reconciler,
  now: number,
  federation: readonly FederationStatus[],
  users: UnixNames,
): Promise<{ readonly revision: number; readonly problems: readonly Problem[] }> {
  const moment = momentOf(reconciler);
  const { resources = [] } = moment ?? {};
  const outside = [...findExpiredCertificates(resources, now), ...findUnknownUsers(resources, users), ...federationFindings(federation)];
  return { revision: moment?.mesh.revision ?? 0, problems: [...(await findingsOf(moment)), ...outside] };
}

/** The findings about the touched resources, and those that the change from `before` to `after` caused elsewhere. */
export async function findingsOfChange(before: Moment, after: Moment, touched: readonly AnyResource[]): Promise<Problem[]> {
  return affectedBy(await findingsOf(after), await findingsOf(before), new Set(touched.map(keyOf)));
}

/** What there would be after a change that is not made. */
export function preview(
  before: Moment,
  trustDomain: string,
  change: { readonly puts?: readonly AnyResource[]; readonly deletes?: readonly { kind: string; namespace: string; name: string }[] },
): Moment {
  const resources = new Map((before?.resources ?? []).map((resource) => [keyOf(resource), resource]));
  for (const resource of change.puts ?? []) resources.set(keyOf(resource), withAge(resource, resources.get(keyOf(resource))));
  for (const { kind, namespace, name } of change.deletes ?? []) resources.delete(resourceKey(kind, namespace, name));
  const all = [...resources.values()];
  return { resources: all, mesh: buildMesh(all, { revision: before?.mesh.revision ?? 0, trustDomain }, before?.mesh) };
}

/** A resource keeps its age when it is changed; a new one is the youngest. */
function withAge(resource: AnyResource, before: AnyResource | undefined): AnyResource {
  const creationTimestamp = resource.metadata.creationTimestamp ?? before?.metadata.creationTimestamp ?? "9999-12-31T00:00:00Z";
  return { ...resource, metadata: { ...resource.metadata, creationTimestamp } } as AnyResource;
}

const keyOf = ({ kind, metadata }: AnyResource) => resourceKey(kind, metadata.namespace, metadata.name);
