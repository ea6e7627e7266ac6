/**
 * One stream's subscription to one resource type. What it wants and has (subscription-state.ts) is the same for many streams at once: proxies
 * that see the same mesh ask for the same names, are sent the same and accept it. So streams share a state as long as the same happens to
 * them: what follows from a state is worked out for the first, and is there for the others (shared-states.ts).
 */

import type { EncodedResource } from "../lib/encoded.ts";
import type { ResourceMap } from "./diff.ts";
import type { Answer, Parcel, Phase, Push, Reply } from "./push.ts";
import { RequestContents } from "./request-content.ts";
import { SharedStates } from "./shared-states.ts";
import type { Meaning, SubscriptionState } from "./subscription-state.ts";

export interface Request {
  readonly nonce: string;
  /** The error_detail's message; undefined where there is no error_detail. */
  readonly error: string | undefined;
  /** The same for requests that differ in nothing but their nonce; undefined where that is not known. */
  readonly content?: number;
}

interface State<R> extends SubscriptionState {
  copy(): State<R>;
  request(request: R, reply: Reply, foreign: boolean): Meaning;
}

export abstract class Subscription<R extends Request = never, S extends State<R> = State<R>> {
  private states: SharedStates<S>;
  private outstanding: Push | undefined;
  /** Of the last request that counted. */
  private lastNonce = "";
  private current = 0;
  private acked: number | undefined;
  private answered: number | undefined;

  constructor(first: S) {
    this.states = new SharedStates(first);
  }

  get typeUrl(): string {
    return this.state.typeUrl;
  }

  protected get state(): S {
    return this.states.state;
  }

  /** A newer snapshot. Returns whether there may be something to send. */
  update(map: ResourceMap, revision: number): boolean {
    this.current = revision;
    if (this.state.map !== map) this.states.show(map);
    return !this.note();
  }

  request(request: R): Answer {
    const { outstanding } = this;
    const { nonce } = request;
    const reply = nonce === "" ? "none" : outstanding?.nonce === nonce ? "answers" : "stale";
    const foreign = nonce !== "" && nonce !== this.lastNonce;
    const { error, content } = request;
    const key = error === undefined && content !== undefined ? `request ${content} ${reply} ${foreign}` : undefined;
    const meaning = this.states.step(key, (state) => state.request(request, reply, foreign));
    if (meaning.kind !== "ack" && meaning.kind !== "nack") {
      if (!meaning.overheard) this.lastNonce = nonce;
      this.note();
      return { kind: meaning.kind };
    }
    this.lastNonce = nonce;
    this.outstanding = undefined;
    if (!outstanding) throw new Error("an answer to nothing");
    if (meaning.kind === "ack" && meaning.complete) {
      this.answered = outstanding.revision;
      if (meaning.clean) this.acked = outstanding.revision;
    }
    this.note();
    if (meaning.kind === "ack") return { kind: "ack", push: outstanding };
    return { kind: "nack", message: meaning.message, blamed: meaning.blamed, push: outstanding };
  }

  protected step(key: string, run: (state: S) => void): void {
    this.states.step(key, run);
  }

  /**
   * "Warming of Cluster is completed only when a new ClusterLoadAssignment response is supplied by management server even though there
   * is no change in endpoints" (Resource warming): sends `names` again, as far as the client wants them and they are there.
   */
  resend(names: readonly string[]): void {
    if (names.length === 0) return;
    const content = resent.of("resend", names);
    this.states.step(content === undefined ? undefined : `resend ${content}`, (state) => state.resend(names));
  }

  /** What to send next in `phase`, now taken as sent; undefined while an answer is due from the client, or when there is nothing. */
  take(phase: Phase, nonce: string): Push | undefined {
    if (this.state.idle) return undefined;
    const parcel: Parcel | undefined = this.states.take(phase);
    if (parcel) this.outstanding = { ...parcel, nonce, revision: this.current, parcel };
    else this.note();
    return parcel && this.outstanding;
  }

  /** The stream has ended. */
  close(): void {
    this.states.leave();
  }

  /** Whether the client has asked for anything yet. */
  get begun(): boolean {
    return this.state.begun;
  }

  /** Whether a response waits for the client's ACK or NACK. */
  get answerDue(): boolean {
    return this.state.answerDue;
  }

  /** Whether there may be something to send. */
  get pending(): boolean {
    return this.state.pending;
  }

  /** Whether the client waits for something that it asked for, or has it and did not answer yet. */
  get askedUnderWay(): boolean {
    return this.state.askedUnderWay;
  }

  /** How many names the client subscribes to by name. */
  get subscribed(): number {
    return this.state.subscribed;
  }

  /** What the type's status is: "NACKED" from a refusal until what replaced the refused bytes was accepted. */
  get status(): "SYNCED" | "PENDING" | "NACKED" {
    return this.state.status;
  }

  /** The last revision of which the client is known to have everything that it wants of this type. */
  get ackedRevision(): number | undefined {
    return this.acked;
  }

  /** The last revision of which nothing is left to send, and nothing unanswered: all of it is accepted, or refused. */
  get settledRevision(): number | undefined {
    return this.answered;
  }

  /** How many resources the client has. */
  get size(): number {
    return this.state.size;
  }

  /** The names whose present version the client refused. */
  get refusedNames(): readonly string[] {
    return this.state.refusedNames;
  }

  /** Whether the client has accepted this version of `name` and has been sent no other since. */
  inForce(name: string, version: string): boolean {
    return this.state.inForce(name, version);
  }

  /** Whether the client has, or was sent, any version of `name`. */
  holds(name: string): boolean {
    return this.state.holds(name);
  }

  /** What the client has, as far as it is known, including what was sent and not answered yet. */
  resources(): Iterable<EncodedResource> {
    return this.state.resources();
  }

  /** Where nothing is left to send, the present revision is in force. Returns whether it is so. */
  private note(): boolean {
    if (!this.state.map || !this.state.begun || !this.state.settled) return false;
    this.answered = this.current;
    if (this.state.clean) this.acked = this.current;
    return true;
  }
}

/** By what they name: each proxy has a list of its own of what came with its clusters. */
const resent = new RequestContents();
