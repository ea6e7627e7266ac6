/** What a subscription gives to its stream: responses before they have a form on the wire, and what the client's requests meant. */
import type { EncodedResource } from "../lib/encoded.ts";

/** "Additions" bring what is new, changed or asked for; "removals" take away what no snapshot has any more (order.ts says when). */
export type Phase = "additions" | "removals";

/** What a response brings, before it has a form on the wire: the same object for all streams that were in the same state. */
export interface Parcel {
  readonly phase: Phase;
  readonly typeUrl: string;
  /** Of the whole type (version_info, system_version_info). */
  readonly version: string;
  readonly resources: readonly EncodedResource[];
  readonly removed: readonly string[];
  /** Names of what is new to the client, or sent again because it asked or waits: all but what a full state merely repeats. */
  readonly changed: readonly string[];
  /** Whether something in it was asked for or is waited for, rather than changed. */
  readonly asked: boolean;
}

/** One response to one stream. */
export interface Push extends Parcel {
  readonly nonce: string;
  /** The store's revision that it stands for. */
  readonly revision: number;
  readonly parcel: Parcel;
}

/** What a request says of the response that waits for an answer. */
export type Reply = "none" | "stale" | "answers";

/** What a request meant. A "stale" one answers no response that waits for an answer; its subscription may count all the same. */
export type Answer =
  | { readonly kind: "none" | "stale" }
  | { readonly kind: "ack"; readonly push: Push }
  | { readonly kind: "nack"; readonly push: Push; readonly message: string; readonly blamed: readonly string[] };

/** What a variant wants to send. `gone` are the names that it takes away; `version` is given where it is not the whole map's. */
export interface Content {
  readonly resources: readonly EncodedResource[];
  readonly removed: readonly string[];
  readonly gone: readonly string[];
  readonly version?: string;
}
