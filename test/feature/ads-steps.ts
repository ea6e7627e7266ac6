/** What the property test of ADS does to a client and its server, and the sequences that once went wrong. */
import { TYPE, type TypeUrl } from "../../src/lib/encoded.ts";
import type { Manners } from "./model-client.ts";
import type { Contents } from "./resources.ts";

export type Step =
  | { readonly do: "publish"; readonly contents: Contents }
  | { readonly do: "subscribe" | "unsubscribe"; readonly type: TypeUrl; readonly name: string }
  | { readonly do: "send" | "serve" | "read" };

/** The client refuses every resource with this content. */
export const BAD = "bad";

const publish = (type: TypeUrl, names: Readonly<Record<string, string>>): Step => ({ do: "publish", contents: { [type]: names } });
const subscribe = (type: TypeUrl, name: string): Step => ({ do: "subscribe", type, name });
const unsubscribe = (type: TypeUrl, name: string): Step => ({ do: "unsubscribe", type, name });
const serve: Step = { do: "serve" };
const send: Step = { do: "send" };
const read: Step = { do: "read" };
const { cluster: CDS, endpoint: EDS } = TYPE;

/** It names nothing when it refuses, and then applies nothing. */
const TERSE: Manners = { names: false, partial: false };

export const COUNTEREXAMPLES: [Step[], Manners][] = [
  // The client leaves "a" and comes back to it in requests that are too late to be answered, and has forgotten it meanwhile.
  [
    [
      ...[subscribe(EDS, "a"), subscribe(EDS, "b"), publish(EDS, { a: "3" }), serve, send, read],
      ...[unsubscribe(EDS, "a"), subscribe(EDS, "a"), publish(EDS, { a: "3", b: "1" })],
    ],
    TERSE,
  ],
  // The same with all clusters, but what came too late reached the client after it came back.
  [[subscribe(CDS, "*"), unsubscribe(CDS, "*"), publish(CDS, { a: "1" }), serve, subscribe(CDS, "*"), send, publish(CDS, {})], TERSE],
  // What was refused is no longer wanted by name when the refusal arrives, and was taken for another's fault.
  [
    [
      ...[subscribe(CDS, "a"), subscribe(CDS, "c"), serve, serve, unsubscribe(CDS, "a"), subscribe(CDS, "*")],
      ...[publish(CDS, { a: BAD }), send],
    ],
    TERSE,
  ],
  // A response that brings a bad one and says that another does not exist.
  [[subscribe(EDS, "b"), serve, subscribe(EDS, "c"), publish(EDS, { b: BAD })], TERSE],
  // The client stops wanting anything while it is searched which one it cannot use.
  [[subscribe(CDS, "*"), publish(CDS, { a: BAD, c: "1" }), serve, send, read, unsubscribe(CDS, "*"), serve], TERSE],
];
