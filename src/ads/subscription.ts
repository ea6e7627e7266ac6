/**
 * What one client wants, has and has refused of one resource type on one stream: a state machine without I/O or time, in two variants,
 * delta.ts and sotw.ts. Quotations are from Envoy's "xDS REST and gRPC protocol", by the title of their section:
 * https://www.envoyproxy.io/docs/envoy/latest/api-docs/xds_protocol
 */
import type { EncodedResource } from "../lib/encoded.ts";
import { TYPE } from "../lib/encoded.ts";
import { blamed } from "./blame.ts";
import { changedNames, NO_RESOURCES, type ResourceMap, typeVersion } from "./diff.ts";
import type { Answer, Content, Phase, Push } from "./push.ts";

export const WILDCARD = "*";

/** What the client has of one name: the resource, or only its version where another stream brought it (initial_resource_versions). */
type Held = EncodedResource | string;

/** A push that was not answered yet, with what the client had before of each name that it changed. */
interface Outstanding {
  readonly push: Push;
  readonly before: Map<string, Held | undefined>;
  /** Those of them that came as the snapshot has them, and not as a stand-in for what the client refused: only they can be at fault. */
  readonly fresh: readonly string[];
  /** Whether nothing was left to send of the push's revision. */
  readonly complete: boolean;
}

const versionOf = (held: Held | undefined) => (typeof held === "object" ? held.version : held);

/** The version of a resource that is not there, so that a refused removal is recorded like any other refusal. */
const ABSENT = "";

export abstract class Subscription {
  readonly typeUrl: string;
  protected wildcard = false;
  protected readonly names = new Set<string>();
  /** False until the client named anything: the legacy wildcard lasts as long. */
  protected named = false;
  protected map: ResourceMap | undefined;
  protected readonly held = new Map<string, Held>();
  /** Names to look at before the next push. */
  protected readonly dirty = new Set<string>();
  /** Names to send even if the client has the version. */
  protected readonly forced = new Set<string>();
  /** An answer is due even if there is nothing to say. */
  protected due = false;
  protected firstRequest = true;
  private readonly refused = new Map<string, string>();
  /** Names that a refused response was about: the client may have taken what it brought, or kept what it had. */
  protected readonly uncertain = new Set<string>();
  /** Names unsubscribed while a response with them was on its way: the client keeps them if it subscribes to all before it reads that. */
  private readonly inFlight = new Set<string>();
  private refusedNothing = false;
  private outstanding: Outstanding | undefined;
  private current = 0;
  private acked: number | undefined;

  constructor(typeUrl: string) {
    this.typeUrl = typeUrl;
  }

  /** A newer snapshot. Returns whether there may be something to send. */
  update(map: ResourceMap, revision: number): boolean {
    const names = this.map ? changedNames(this.map, map) : [...new Set([...map.keys(), ...this.held.keys(), ...this.names])];
    this.map = map;
    this.current = revision;
    for (const name of names) if (this.wants(name) || this.mayHave(name)) this.dirty.add(name);
    return !this.settle();
  }

  /**
   * "Warming of Cluster is completed only when a new ClusterLoadAssignment response is supplied by management server even though there
   * is no change in endpoints" (Resource warming): sends `names` again, as far as the client wants them and they are there.
   */
  resend(names: Iterable<string>): void {
    for (const name of names) if (this.wants(name) && this.map?.has(name)) this.force(name);
  }

  /** What to send next in `phase`, now taken as sent; undefined while an answer is due from the client, or when there is nothing. */
  take(phase: Phase, nonce: string): Push | undefined {
    if (!this.map || this.outstanding) return undefined;
    const content = this.compose(phase, this.map);
    if (!content) {
      this.settle();
      return undefined;
    }
    const before = new Map<string, Held | undefined>();
    const asked = this.due || this.forced.size > 0;
    const version = content.version ?? typeVersion(this.map);
    const { resources, removed } = content;
    for (const resource of resources) {
      // What a full state repeats unchanged is no part of what an answer can be about.
      const { name } = resource;
      const known = versionOf(this.held.get(name)) === resource.version && !this.uncertain.has(name);
      if (!known || this.due || this.forced.has(name)) before.set(name, this.held.get(name));
      this.held.set(resource.name, resource);
    }
    for (const name of content.gone) {
      before.set(name, this.held.get(name));
      this.held.delete(name);
    }
    const changed = [...before.keys()];
    const push = { phase, typeUrl: this.typeUrl, nonce, revision: this.current, version, resources, removed, changed, asked };
    const present = new Map(resources.map((resource) => [resource.name, resource.version]));
    const fresh = changed.filter((name) => (present.get(name) ?? ABSENT) === this.presentVersion(name));
    this.due = false;
    for (const name of changed) {
      // What a full state repeats until its removal's turn is still to be removed.
      if (this.map.has(name) || !this.held.has(name)) this.dirty.delete(name);
      this.forced.delete(name);
    }
    this.outstanding = { push, before, fresh, complete: this.dirty.size === 0 };
    return push;
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
    if (this.refused.size > 0 || this.refusedNothing) return "NACKED";
    return this.map && this.settled ? "SYNCED" : "PENDING";
  }

  /** The last revision of which the client is known to have everything that it wants of this type. */
  get ackedRevision(): number | undefined {
    return this.acked;
  }

  /** How many resources the client has. */
  get size(): number {
    return this.held.size;
  }

  /** The names whose present version the client refused. */
  get refusedNames(): readonly string[] {
    return [...this.refused.keys()];
  }

  /** Whether the client has accepted this version of `name` and has been sent no other since. */
  inForce(name: string, version: string): boolean {
    if (versionOf(this.held.get(name)) !== version || this.uncertain.has(name)) return false;
    const before = this.outstanding?.before;
    return !before?.has(name) || versionOf(before.get(name)) === version;
  }

  /** What the client has, as far as it is known, including what was sent and not answered yet. */
  *resources(): Iterable<EncodedResource> {
    for (const [name, held] of this.held) {
      const resource = typeof held === "object" ? held : this.map?.get(name);
      if (resource && resource.version === versionOf(held)) yield resource;
    }
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
    const { push, before, fresh, complete } = outstanding;
    if (error === undefined) {
      this.refusedNothing = false;
      for (const name of before.keys()) this.uncertain.delete(name);
      for (const name of before.keys()) if (this.refused.get(name) !== this.presentVersion(name)) this.refused.delete(name);
      if (complete && this.refused.size === 0) this.acked = push.revision;
      this.settle();
      return { kind: "ack", push };
    }
    const guilty = blamed(error, fresh);
    const versions = new Map(push.resources.map((resource) => [resource.name, resource.version]));
    for (const name of guilty) if (before.has(name)) this.refused.set(name, versions.get(name) ?? ABSENT);
    this.refusedNothing = guilty.length === 0;
    for (const [name, held] of before) {
      if (held === undefined) this.held.delete(name);
      else this.held.set(name, held);
      this.dirty.add(name);
      this.uncertain.add(name);
      // Whether the others were applied is not known: Envoy applies what is good of clusters and listeners, and nothing of a response
      // that it cannot read. They are sent again without the guilty; each round refuses at least one more, so this ends.
      if (guilty.length > 0 && !guilty.includes(name)) this.force(name);
    }
    this.settle();
    return { kind: "nack", push, message: error, blamed: guilty };
  }

  protected wants(name: string): boolean {
    return this.names.has(name) || (this.wildcard && (this.map ?? NO_RESOURCES).has(name));
  }

  protected force(name: string): void {
    this.forced.add(name);
    this.dirty.add(name);
  }

  protected subscribe(name: string): void {
    this.names.add(this.map?.get(name)?.name ?? name);
  }

  /** Forgets what the client no longer wants; a later subscription is answered anew. */
  protected forget(name: string): void {
    this.held.delete(name);
    this.dirty.delete(name);
    this.forced.delete(name);
    this.refused.delete(name);
    this.uncertain.delete(name);
    if (this.outstanding?.before.delete(name)) this.inFlight.add(name);
  }

  protected subscribeAll(): void {
    this.wildcard = true;
    for (const name of this.inFlight) this.uncertain.add(name);
    for (const names of [this.map?.keys() ?? [], this.held.keys(), this.uncertain]) for (const name of names) this.dirty.add(name);
  }

  protected unsubscribeAll(): void {
    this.wildcard = false;
    for (const name of [...this.held.keys(), ...this.uncertain, ...this.dirty]) if (!this.names.has(name)) this.forget(name);
  }

  /** The resource to send for `name`: the snapshot's, or where the client refused that, the last one that it took. */
  protected deliverable(name: string): EncodedResource | undefined {
    const resource = this.map?.get(name);
    if (!resource || this.refused.get(name) !== resource.version) return resource;
    const held = this.held.get(name);
    return typeof held === "object" && held.version !== resource.version ? held : undefined;
  }

  /** Whether the client lacks the snapshot's version of `name` and has not refused it. */
  protected lacks(name: string): boolean {
    const resource = this.map?.get(name);
    if (!resource || this.refused.get(name) === resource.version) return false;
    if (this.uncertain.has(name)) return true;
    const held = this.held.get(name);
    if (held === resource) return false;
    if (versionOf(held) !== resource.version) return true;
    this.held.set(resource.name, resource);
    return false;
  }

  /** Whether the client still has `name` although no snapshot does, and has not refused to let go of it. */
  protected isLeftover(name: string): boolean {
    return this.map?.has(name) === false && this.mayHave(name) && this.refused.get(name) !== ABSENT;
  }

  private mayHave(name: string): boolean {
    return this.held.has(name) || this.uncertain.has(name);
  }

  private presentVersion(name: string): string {
    return this.map?.get(name)?.version ?? ABSENT;
  }

  private get settled(): boolean {
    return !this.outstanding && !this.due && this.dirty.size === 0;
  }

  /**
   * "The management server should only send updates to the Envoy client when the resources in the DiscoveryResponse have changed" (When
   * to send an update): where a newer snapshot leaves nothing to send, its revision is in force at once.
   */
  protected settle(): boolean {
    if (!this.map) return this.dirty.size === 0;
    for (const name of this.dirty) {
      if (!this.forced.has(name) && !this.lacks(name) && !this.isLeftover(name)) this.dirty.delete(name);
    }
    if (!this.settled) return false;
    for (const [name, version] of this.refused) {
      if ((version !== ABSENT && !this.wants(name)) || this.presentVersion(name) !== version) this.refused.delete(name);
    }
    if (this.refused.size === 0 && !this.refusedNothing) this.acked = this.current;
    return true;
  }
}

/**
 * "For Listener and Cluster resource types, there is also a 'wildcard' subscription, which is triggered when subscribing to the special
 * name '*'" (How the client specifies what resources to return). The same two are sent whole in the state-of-the-world variant.
 */
export function hasWildcard(typeUrl: string): boolean {
  return typeUrl === TYPE.listener || typeUrl === TYPE.cluster;
}
