/**
 * What one client wants, has and has refused of one resource type on one stream: a state machine without I/O or time, in two variants,
 * delta.ts and sotw.ts. It knows neither nonces nor revisions, so that streams can share a state (subscription.ts). Quotations are from Envoy's "xDS REST and gRPC protocol", by the title of their section:
 * https://www.envoyproxy.io/docs/envoy/latest/api-docs/xds_protocol
 */
import type { EncodedResource } from "../lib/encoded.ts";
import { ABSENT, ClientState, type Held, versionOf } from "./client-state.ts";
import { CowSet } from "./cow.ts";
import { changedNames, NO_RESOURCES, type ResourceMap, typeVersion } from "./diff.ts";
import type { Content, Parcel, Phase, Reply } from "./push.ts";
import { Suspects } from "./suspects.ts";
import { letsGo } from "./traits.ts";
import { judge } from "./verdict.ts";

/** A push that was not answered yet, with what the client had before of each name that it changed. */
interface Outstanding {
  readonly parcel: Parcel;
  readonly before: ReadonlyMap<string, Held | undefined>;
  /** Those of them that came as the snapshot has them, and not as a stand-in for what the client refused: only they can be at fault. */
  readonly fresh: readonly string[];
  /** Whether nothing was left to send of the push's revision. */
  readonly complete: boolean;
}

/**
 * What a request meant, without what only the stream knows (push.ts). `complete`: nothing is left to send; `clean`: nor is anything refused;
 * `overheard`: it came too late to count.
 */
export type Meaning =
  | { readonly kind: "none" | "stale"; readonly overheard?: boolean }
  | { readonly kind: "ack"; readonly complete: boolean; readonly clean: boolean }
  | { readonly kind: "nack"; readonly message: string; readonly blamed: readonly string[] };

const NONE: ReadonlySet<Phase> = new Set();

export abstract class SubscriptionState {
  readonly typeUrl: string;
  /** In which phases take() gives nothing as long as nothing else happens. */
  exhausted: ReadonlySet<Phase> = NONE;
  protected wildcard = false;
  protected readonly names: CowSet;
  /** False until the client named anything: the legacy wildcard lasts as long. */
  protected named = false;
  protected readonly client: ClientState;
  /** Names to look at before the next push. */
  protected readonly dirty: CowSet;
  /** Names to send even if the client has the version. */
  protected readonly forced: CowSet;
  /** An answer is due even if there is nothing to say. */
  protected due = false;
  protected firstRequest = true;
  private readonly suspects: Suspects;
  /** Names unsubscribed while a response with them was on its way: the client keeps them if it subscribes to all before it reads that. */
  private readonly inFlight: Set<string>;
  private refusedNothing = false;
  private outstanding: Outstanding | undefined;
  /** Of an outstanding response that no copy of this state has. */
  private owned: { readonly of: Outstanding; readonly before: Map<string, Held | undefined> } | undefined;

  constructor(typeUrl: string, from?: SubscriptionState) {
    this.typeUrl = typeUrl;
    this.client = from?.client.copy() ?? new ClientState(letsGo(typeUrl));
    this.names = from?.names.copy() ?? new CowSet();
    this.dirty = from?.dirty.copy() ?? new CowSet();
    this.forced = from?.forced.copy() ?? new CowSet();
    this.suspects = from?.suspects.copy() ?? new Suspects();
    this.inFlight = new Set(from?.inFlight);
    if (!from) return;
    this.wildcard = from.wildcard;
    this.named = from.named;
    this.due = from.due;
    this.firstRequest = from.firstRequest;
    this.refusedNothing = from.refusedNothing;
    this.outstanding = from.outstanding;
  }

  /** A state of its own with the same content. */
  abstract copy(): SubscriptionState;

  /** The map that it was shown last. */
  get map(): ResourceMap | undefined {
    return this.client.map;
  }

  /** Another map of the latest snapshot. */
  update(map: ResourceMap): void {
    const { client } = this;
    const names = client.map ? changedNames(client.map, map) : new Set([...map.keys(), ...client.held.keys(), ...this.names]);
    client.map = map;
    for (const name of names) if (this.wants(name) || this.client.mayHave(name)) this.dirty.add(name);
  }

  /**
   * "Warming of Cluster is completed only when a new ClusterLoadAssignment response is supplied by management server even though there
   * is no change in endpoints" (Resource warming): sends `names` again, as far as the client wants them and they are there.
   */
  resend(names: Iterable<string>): void {
    for (const name of names) if (this.wants(name) && this.client.map?.has(name)) this.force(name);
  }

  /** What to send next in `phase`, now taken as sent; undefined while an answer is due from the client, or when there is nothing. */
  take(phase: Phase): Parcel | undefined {
    const { client } = this;
    if (!client.map || this.outstanding) return undefined;
    const content = this.next(phase, client.map);
    if (!content) return undefined;
    const asked = this.due || this.forced.size > 0;
    const version = content.version ?? typeVersion(client.map);
    const { resources, removed } = content;
    const before = client.take(content, (name) => this.due || this.forced.has(name));
    const changed = [...before.keys()];
    const parcel = { phase, typeUrl: this.typeUrl, version, resources, removed, changed, asked };
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
    this.outstanding = { parcel, before, fresh, complete: this.dirty.size === 0 };
    return parcel;
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

  /** Whether a request came. */
  get begun(): boolean {
    return !this.firstRequest;
  }

  /** Whether there may be something to send. */
  get pending(): boolean {
    return this.dirty.size > 0;
  }

  /** Whether take() would give nothing, and change nothing. */
  get idle(): boolean {
    return this.outstanding !== undefined || !this.client.map || (this.dirty.size === 0 && !this.due);
  }

  /** Whether the client waits for something that it asked for, or has it and did not answer yet. */
  get askedUnderWay(): boolean {
    return this.forced.size > 0 || this.outstanding?.parcel.asked === true;
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

  /** Whether nothing of the present map is left to send, and nothing unanswered. */
  get settled(): boolean {
    return !this.outstanding && !this.due && this.dirty.size === 0;
  }

  /** Whether no refusal stands. */
  get clean(): boolean {
    return this.client.refused.size === 0 && !this.refusedNothing;
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
  protected answer(reply: Reply, error: string | undefined): Meaning {
    const { outstanding } = this;
    if (reply !== "answers" || !outstanding) return { kind: reply === "none" ? "none" : "stale" };
    this.outstanding = undefined;
    this.inFlight.clear();
    return error === undefined ? this.accept(outstanding) : this.refuse(outstanding, error);
  }

  private accept({ before, complete }: Outstanding): Meaning {
    const { refused, uncertain } = this.client;
    this.suspects.accepted();
    this.refusedNothing = false;
    if (refused.size > 0 || uncertain.size > 0) {
      for (const name of before.keys()) {
        uncertain.delete(name);
        if (refused.get(name) !== this.client.presentVersion(name)) refused.delete(name);
      }
    }
    const clean = refused.size === 0;
    return { kind: "ack", complete, clean };
  }

  private refuse({ parcel, before, fresh }: Outstanding, message: string): Meaning {
    const versions = new Map(parcel.resources.map((resource) => [resource.name, resource.version]));
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
    return { kind: "nack", message, blamed };
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
    if (!this.outstanding?.before.has(name)) return;
    this.ownBefore(this.outstanding).delete(name);
    this.inFlight.add(name);
  }

  /** What an outstanding response is about is shared with copies of this state until one of them forgets a part of it. */
  private ownBefore(outstanding: Outstanding): Map<string, Held | undefined> {
    if (this.owned?.of === outstanding) return this.owned.before;
    const before = new Map(outstanding.before);
    const of = { ...outstanding, before };
    this.outstanding = of;
    this.owned = { of, before };
    return before;
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

  /**
   * "The management server should only send updates to the Envoy client when the resources in the DiscoveryResponse have changed" (When
   * to send an update): where a newer snapshot leaves nothing to send, its revision is in force at once. To be called after each change.
   */
  settle(): void {
    const { client } = this;
    if (!client.map) return;
    for (const name of this.dirty) {
      if (!this.forced.has(name) && !client.lacks(name) && !client.isLeftover(name)) this.dirty.delete(name);
    }
    if (!this.settled) return;
    this.suspects.end();
    for (const [name, version] of client.refused) {
      if ((version !== ABSENT && !this.wants(name)) || client.presentVersion(name) !== version) client.refused.delete(name);
    }
  }
}
