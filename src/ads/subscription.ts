/**
 * What one client wants, has and has refused of one resource type on one stream: a state machine without I/O or time, in two variants,
 * delta.ts and sotw.ts. Quotations are from Envoy's "xDS REST and gRPC protocol", by the title of their section:
 * https://www.envoyproxy.io/docs/envoy/latest/api-docs/xds_protocol
 */
import type { EncodedResource } from "../lib/encoded.ts";
import { ABSENT, ClientState, type Held, versionOf } from "./client-state.ts";
import { changedNames, NO_RESOURCES, type ResourceMap, typeVersion } from "./diff.ts";
import type { Answer, Content, Phase, Push } from "./push.ts";
import { Suspects } from "./suspects.ts";
import { letsGo } from "./traits.ts";
import { judge } from "./verdict.ts";

/** A push that was not answered yet, with what the client had before of each name that it changed. */
interface Outstanding {
  readonly push: Push;
  readonly before: Map<string, Held | undefined>;
  /** Those of them that came as the snapshot has them, and not as a stand-in for what the client refused: only they can be at fault. */
  readonly fresh: readonly string[];
  /** Whether nothing was left to send of the push's revision. */
  readonly complete: boolean;
}

export abstract class Subscription {
  readonly typeUrl: string;
  protected wildcard = false;
  protected readonly names = new Set<string>();
  /** False until the client named anything: the legacy wildcard lasts as long. */
  protected named = false;
  protected readonly client: ClientState;
  /** Names to look at before the next push. */
  protected readonly dirty = new Set<string>();
  /** Names to send even if the client has the version. */
  protected readonly forced = new Set<string>();
  /** An answer is due even if there is nothing to say. */
  protected due = false;
  protected firstRequest = true;
  private readonly suspects = new Suspects();
  /** Names unsubscribed while a response with them was on its way: the client keeps them if it subscribes to all before it reads that. */
  private readonly inFlight = new Set<string>();
  private refusedNothing = false;
  private outstanding: Outstanding | undefined;
  private current = 0;
  private acked: number | undefined;
  private answered: number | undefined;

  constructor(typeUrl: string) {
    this.typeUrl = typeUrl;
    this.client = new ClientState(letsGo(typeUrl));
  }

  /** A newer snapshot. Returns whether there may be something to send. */
  update(map: ResourceMap, revision: number): boolean {
    const { client } = this;
    const names = client.map ? changedNames(client.map, map) : new Set([...map.keys(), ...client.held.keys(), ...this.names]);
    client.map = map;
    this.current = revision;
    for (const name of names) if (this.wants(name) || this.client.mayHave(name)) this.dirty.add(name);
    return !this.settle();
  }

  /**
   * "Warming of Cluster is completed only when a new ClusterLoadAssignment response is supplied by management server even though there
   * is no change in endpoints" (Resource warming): sends `names` again, as far as the client wants them and they are there.
   */
  resend(names: Iterable<string>): void {
    for (const name of names) if (this.wants(name) && this.client.map?.has(name)) this.force(name);
  }

  /** What to send next in `phase`, now taken as sent; undefined while an answer is due from the client, or when there is nothing. */
  take(phase: Phase, nonce: string): Push | undefined {
    const { client } = this;
    if (!client.map || this.outstanding) return undefined;
    const content = this.next(phase, client.map);
    if (!content) {
      this.settle();
      return undefined;
    }
    const asked = this.due || this.forced.size > 0;
    const version = content.version ?? typeVersion(client.map);
    const { resources, removed } = content;
    const before = client.take(content, (name) => this.due || this.forced.has(name));
    const changed = [...before.keys()];
    const push = { phase, typeUrl: this.typeUrl, nonce, revision: this.current, version, resources, removed, changed, asked };
    const present = new Map(resources.map((resource) => [resource.name, resource.version]));
    const sent = changed.filter((name) => this.maySend(name));
    const fresh = sent.filter((name) => (present.get(name) ?? ABSENT) === client.presentVersion(name));
    this.due = false;
    for (const name of sent) {
      // What a full state repeats until its removal's turn is still to be removed.
      if (client.map.has(name) || !client.held.has(name)) this.dirty.delete(name);
      this.forced.delete(name);
    }
    if (phase === "additions") this.suspects.next();
    this.outstanding = { push, before, fresh, complete: this.dirty.size === 0 };
    return push;
  }

  private next(phase: Phase, map: ResourceMap): Content | undefined {
    for (;;) {
      const content = this.compose(phase, map);
      // Suspects may have gone meanwhile: then it is the next ones' turn.
      if (content || phase === "removals" || !this.suspects.next()) return content;
    }
  }

  /** Whether a response waits for the client's ACK or NACK. */
  get answerDue(): boolean {
    return this.outstanding !== undefined;
  }

  /** Whether there may be something to send. */
  get pending(): boolean {
    return !this.settle() && this.dirty.size > 0;
  }

  /** Whether the client waits for something that it asked for, or has it and did not answer yet. */
  get askedUnderWay(): boolean {
    return this.forced.size > 0 || this.outstanding?.push.asked === true;
  }

  /** How many names the client subscribes to by name. */
  get subscribed(): number {
    return this.names.size;
  }

  /** What the type's status is: "NACKED" from a refusal until what replaced the refused bytes was accepted. */
  get status(): "SYNCED" | "PENDING" | "NACKED" {
    if (this.client.refused.size > 0 || this.refusedNothing || this.suspects.active) return "NACKED";
    return this.client.map && this.settled ? "SYNCED" : "PENDING";
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
    return this.client.held.size;
  }

  /** The names whose present version the client refused. */
  get refusedNames(): readonly string[] {
    return [...this.client.refused.keys()];
  }

  /** Whether the client has accepted this version of `name` and has been sent no other since. */
  inForce(name: string, version: string): boolean {
    if (!this.client.knownToHave(name, version)) return false;
    const before = this.outstanding?.before;
    return !before?.has(name) || versionOf(before.get(name)) === version;
  }

  /** Whether the client has, or was sent, any version of `name`. */
  holds(name: string): boolean {
    return this.client.held.has(name);
  }

  /** What the client has, as far as it is known, including what was sent and not answered yet. */
  resources(): Iterable<EncodedResource> {
    return this.client.resources();
  }

  /** The content of the next response; undefined when there is nothing to send. */
  protected abstract compose(phase: Phase, map: ResourceMap): Content | undefined;

  /**
   * "The response_nonce field tells the server which of its responses the ACK or NACK is associated with"; "NACK signifies unsuccessful
   * configuration and is indicated by the presence of the error_detail field" (ACK and NACK semantics summary). Versions are not compared.
   */
  protected answer(nonce: string, error: string | undefined): Answer {
    if (nonce === "") return { kind: "none" };
    const outstanding = this.outstanding;
    if (outstanding?.push.nonce !== nonce) return { kind: "stale" };
    this.outstanding = undefined;
    this.inFlight.clear();
    return error === undefined ? this.accept(outstanding) : this.refuse(outstanding, error);
  }

  private accept({ push, before, complete }: Outstanding): Answer {
    const { refused, uncertain } = this.client;
    this.suspects.accepted();
    this.refusedNothing = false;
    for (const name of before.keys()) {
      uncertain.delete(name);
      if (refused.get(name) !== this.client.presentVersion(name)) refused.delete(name);
    }
    if (complete) this.answered = push.revision;
    if (complete && refused.size === 0) this.acked = push.revision;
    this.settle();
    return { kind: "ack", push };
  }

  private refuse({ push, before, fresh }: Outstanding, message: string): Answer {
    const versions = new Map(push.resources.map((resource) => [resource.name, resource.version]));
    const refusal = { message, fresh, brought: (name: string) => versions.has(name), wanted: (name: string) => before.has(name) };
    const { guilty, blamed, again } = judge(refusal, this.suspects);
    for (const name of guilty) this.client.refused.set(name, versions.get(name) ?? ABSENT);
    this.refusedNothing = guilty.size === 0 && !again;
    for (const [name, held] of before) {
      this.client.put(name, held);
      this.client.uncertain.add(name);
      this.dirty.add(name);
      if (again && !guilty.has(name)) this.force(name);
    }
    this.settle();
    return { kind: "nack", push, message, blamed };
  }

  /** Whether the next response may bring `name` (suspects.ts). */
  protected maySend(name: string): boolean {
    return this.suspects.maySend(name);
  }

  protected wants(name: string): boolean {
    return this.names.has(name) || (this.wildcard && (this.client.map ?? NO_RESOURCES).has(name));
  }

  protected force(name: string): void {
    this.forced.add(name);
    this.dirty.add(name);
  }

  protected subscribe(name: string): void {
    this.names.add(this.client.map?.get(name)?.name ?? name);
  }

  /** Forgets what the client no longer wants; a later subscription is answered anew. */
  protected forget(name: string): void {
    this.client.forget(name);
    this.dirty.delete(name);
    this.forced.delete(name);
    if (this.outstanding?.before.delete(name)) this.inFlight.add(name);
  }

  protected subscribeAll(): void {
    this.wildcard = true;
    const { map, held, uncertain } = this.client;
    for (const name of this.inFlight) uncertain.add(name);
    for (const names of [map?.keys() ?? [], held.keys(), uncertain]) for (const name of names) this.dirty.add(name);
  }

  protected unsubscribeAll(): void {
    this.wildcard = false;
    for (const name of [...this.client.held.keys(), ...this.client.uncertain, ...this.dirty]) if (!this.names.has(name)) this.forget(name);
  }

  private get settled(): boolean {
    return !this.outstanding && !this.due && this.dirty.size === 0;
  }

  /**
   * "The management server should only send updates to the Envoy client when the resources in the DiscoveryResponse have changed" (When
   * to send an update): where a newer snapshot leaves nothing to send, its revision is in force at once.
   */
  protected settle(): boolean {
    const { client } = this;
    if (!client.map) return this.dirty.size === 0;
    for (const name of this.dirty) {
      if (!this.forced.has(name) && !client.lacks(name) && !client.isLeftover(name)) this.dirty.delete(name);
    }
    if (!this.settled) return false;
    this.suspects.end();
    for (const [name, version] of client.refused) {
      if ((version !== ABSENT && !this.wants(name)) || client.presentVersion(name) !== version) client.refused.delete(name);
    }
    this.answered = this.current;
    if (client.refused.size === 0 && !this.refusedNothing) this.acked = this.current;
    return true;
  }
}
