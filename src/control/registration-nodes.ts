/**
 * Whose an instance's WorkloadEntry is. In a mesh of several nodes only the node where it registered says that it is gone: the others do not see its
 * streams. Of a node that never comes back somebody else has to.
 */
import { ANNOTATION } from "../model/annotations.ts";
import { resourceFromStored } from "../model/index.ts";
import type { AnyResource } from "../model/resource.ts";
import { AUTO_REGISTRATION_GROUP } from "../model/workload-group.ts";
import type { StoredResource } from "../store/store.ts";
import type { Presence } from "./presence.ts";

/**
 * How long a node must have been gone before others delete the entries of its instances: a day, as after a machine that was off for a night. They were in
 * no endpoints meanwhile, so there is no hurry, and one who deletes them in error makes every instance register anew.
 */
export const LONG_GONE_MS = 86_400_000;
/** How often that is looked at, up to half as much later: the nodes are not all to delete the same entries at once. */
export const SWEEP_MS = 600_000;

export interface NodeView {
  /** This node's name. */
  readonly node: string;
  readonly presence: Pick<Presence, "isShared" | "awayMs" | "goneMs">;
}

/** Whether this node says of the entry's instance that it is gone. A node that stands alone does of all: it may have had another name. */
export function isOurs(entry: Pick<AnyResource, "metadata">, { node, presence }: NodeView): boolean {
  return !presence.isShared || entry.metadata.annotations[ANNOTATION.node] === node;
}

/**
 * Whether its node has been gone for so long that anybody may delete it. One without a node was registered by a weft from before there were several.
 * @param upMs how long this weft has run, in milliseconds
 */
export function isAbandoned(entry: Pick<AnyResource, "metadata">, { presence }: NodeView, upMs: number): boolean {
  const node = entry.metadata.annotations[ANNOTATION.node];
  return ((node === undefined ? upMs : presence.goneMs(node)) ?? 0) >= LONG_GONE_MS;
}

/** "ns/name" of the group whose annotation a stored entry has. */
export function ownerOf(stored: StoredResource): string | undefined {
  const name = resourceFromStored(stored).metadata.annotations[AUTO_REGISTRATION_GROUP];
  return name ? `${stored.namespace}/${name}` : undefined;
}
