/** What a node tells the others of itself on the board (src/store/shared/board.ts), as JSON: true now, worth nothing later, and a hint only. */

import type { InForce } from "./in-force.ts";

export interface NodeCard {
  readonly node: string;
  /** The revision that it serves. */
  readonly revision: number;
  /** Standing.behindMs; null where it was never in touch with the engine. */
  readonly behindMs: number | null;
  /** Keys of the workloads whose proxies are connected to it, sorted. */
  readonly proxies: readonly string[];
  /** By workload key, of those that it asks whether they are ready: why one is not. */
  readonly notReady: Readonly<Record<string, string>>;
  /** RFC 3339, UTC: the end of the node's own certificate; null where it has none. */
  readonly certificateNotAfter: string | null;
  /** Of weft. */
  readonly version: string;
  /** Where its node-to-node RPC is reached, "10.0.0.5:15016"; "" where that is off. */
  readonly address: string;
  /** What of the mesh's trust bundle all proxies that are connected to it have (cluster-propagation.ts). */
  readonly trusts: readonly string[];
  /** What its connected proxies have taken; absent on the card of an earlier weft. */
  readonly inForce?: InForce;
  /** RFC 3339, UTC, by its own clock: when it last changed. */
  readonly at: string;
}
