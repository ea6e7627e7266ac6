/** What Envoy does differently with some resource types. Pure. */
import { TYPE } from "../lib/encoded.ts";

export const WILDCARD = "*";

/**
 * "For Listener and Cluster resource types, there is also a 'wildcard' subscription, which is triggered when subscribing to the special
 * name '*'" (How the client specifies what resources to return). The same two are sent whole in the state-of-the-world variant. Envoy asks for
 * virtual hosts in the same way, over delta only: once for those of all route configurations (source/common/router/vhds.cc).
 */
export function hasWildcard(typeUrl: string): boolean {
  return typeUrl === TYPE.listener || typeUrl === TYPE.cluster || typeUrl === TYPE.virtualHost;
}

/**
 * Whether what is gone is taken away in the very response that brings what is new: Envoy refuses a virtual host with a domain that another one
 * has still ("Only unique values for domains are permitted").
 */
export function replacesAtOnce(typeUrl: string): boolean {
  return typeUrl === TYPE.virtualHost;
}

/**
 * Whether the client is left to let go of what is gone, by unsubscribing: a listener's old filter chains use their extensions as long as they
 * drain, and answer with 500 where one is removed (docs/design.md, "xDS order").
 */
export function letsGo(typeUrl: string): boolean {
  return typeUrl === TYPE.extension;
}
