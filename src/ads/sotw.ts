/** The state-of-the-world variant of subscription.ts: a request names everything that the client wants of the type. */
import type { EncodedResource } from "../lib/encoded.ts";
import { listVersion, NO_RESOURCES, type ResourceMap, typeVersion } from "./diff.ts";
import type { Content, Phase, Reply } from "./push.ts";
import { type Request, Subscription } from "./subscription.ts";
import { type Meaning, SubscriptionState } from "./subscription-state.ts";
import { hasWildcard, WILDCARD } from "./traits.ts";

/** A DiscoveryRequest, without what only the stream needs. */
export interface SotwRequest extends Request {
  readonly names: readonly string[];
  /** What the client says that it has. */
  readonly version: string;
}

export class SotwSubscription extends Subscription<SotwRequest, SotwState> {
  constructor(typeUrl: string) {
    super(new SotwState(typeUrl));
  }

  /** A response of another type made the client look at this one again (SotwState). */
  expectRepeat(): void {
    if (!this.state.expectsRepeat) this.step("repeat", (state) => state.expectRepeat());
  }
}

class SotwState extends SubscriptionState {
  private claimed: string | undefined;
  private answerRepeated = false;
  /** What the client left in requests that came too late to be answered: it may have forgotten it, though it came back to it since. */
  private readonly left: Set<string>;

  constructor(typeUrl: string, from?: SotwState) {
    super(typeUrl, from);
    this.claimed = from?.claimed;
    this.answerRepeated = from?.answerRepeated === true;
    this.left = new Set(from?.left);
  }

  copy(): SotwState {
    return new SotwState(this.typeUrl, this);
  }

  /** `foreign`: whether the request has a nonce, and it is not the one that the last request that counted had. */
  request(request: SotwRequest, reply: Reply, foreign: boolean): Meaning {
    const first = this.firstRequest;
    this.firstRequest = false;
    // "The nonce is valid only in the context of an individual xDS stream; it does not survive stream restarts" (Basic Protocol
    // Overview): a first request that carries one subscribes, and answers nothing.
    const answer: Meaning = first ? { kind: reply === "none" ? "none" : "stale" } : this.answer(reply, request.error);
    // "The management server should not send a DiscoveryResponse for any DiscoveryRequest that has a stale nonce" (Resource updates). The
    // client answers the newer response with all the names that it wants. A request that answers nothing may still follow an ACK, under its nonce.
    if (!first && (answer.kind === "none" || answer.kind === "stale") && (this.answerDue || foreign)) {
      this.overhear(request.names);
      return { kind: "stale", overheard: true };
    }
    const changed = this.want(request.names);
    if (first) this.begin(request);
    else if (!changed && (answer.kind === "none" || answer.kind === "stale") && request.error === undefined) this.repeated();
    return answer;
  }

  /**
   * A response of another type made the client look at this one again: Envoy then repeats its request unchanged, for a cluster or listener
   * that warms up, and waits. Answered once for each such response, so that a client which repeats itself cannot keep the server busy.
   */
  expectRepeat(): void {
    this.answerRepeated = true;
  }

  private begin(request: SotwRequest): void {
    // "It is generally safe for servers to do this optimization for LDS and CDS when the only subscription is a wildcard subscription"
    // (ACK/NACK and resource type instance version): not resending what the client had on an earlier stream.
    if (!hasWildcard(this.typeUrl)) return;
    if (this.wildcard && this.names.size === 0 && request.version !== "") this.claimed = request.version;
    this.due = true;
  }

  get expectsRepeat(): boolean {
    return this.answerRepeated;
  }

  private repeated(): void {
    if (!this.answerRepeated) return;
    this.answerRepeated = false;
    if (hasWildcard(this.typeUrl)) this.due = true;
    else for (const name of this.names) this.force(name);
  }

  private parse(names: readonly string[]): { readonly all: boolean; readonly wanted: ReadonlySet<string> } {
    // "(in SotW, all requests on the stream for that resource type have had an empty resource_names field) ... the server should treat
    // that identically to ... '*'" (How the client specifies what resources to return). "If the list of resource names becomes empty, that
    // means that the client is no longer interested in any resources of the specified type" (the same).
    if (names.length > 0) this.named = true;
    const wanted = new Set(names);
    const all = hasWildcard(this.typeUrl) && (!this.named || wanted.delete(WILDCARD));
    return { all, wanted };
  }

  /** A request that must not be answered: the next that counts says again what the client wants, but not what it left meanwhile. */
  private overhear(names: readonly string[]): void {
    const { all, wanted } = this.parse(names);
    for (const name of this.names) if (!wanted.has(name)) this.left.add(name);
    if (this.wildcard && !all) this.left.add(WILDCARD);
  }

  /** Returns whether the names changed. */
  private want(names: readonly string[]): boolean {
    const { all, wanted } = this.parse(names);
    let changed = false;
    for (const name of [...this.names]) {
      if (wanted.has(name)) continue;
      this.names.delete(name);
      changed = true;
      if (!all) this.forget(name);
    }
    for (const name of wanted) {
      if (this.names.has(name)) continue;
      this.subscribe(name);
      changed = true;
      // "The server must resend any newly requested resources, even if it previously sent those resources without having been asked for
      // them and the resources have not changed since that time" (the same).
      this.force(name);
    }
    if (all !== this.wildcard) {
      changed = true;
      if (all) this.subscribeAll();
      else this.unsubscribeAll();
    }
    return this.doubtWhatItLeft() || changed;
  }

  /** Returns whether there was any. */
  private doubtWhatItLeft(): boolean {
    const changed = this.left.size > 0;
    if (this.wildcard && this.left.delete(WILDCARD)) {
      for (const name of [...this.client.held.keys(), ...(this.client.map ?? NO_RESOURCES).keys()]) this.left.add(name);
      this.due = true;
    }
    for (const name of this.left) {
      if (!this.names.has(name) && !this.wildcard) continue;
      this.client.uncertain.add(name);
      this.force(name);
    }
    this.left.clear();
    return changed;
  }

  protected compose(phase: Phase, map: ResourceMap): Content | undefined {
    if (this.claimed !== undefined) this.recognise(map);
    return hasWildcard(this.typeUrl) ? this.composeAll(phase, map) : this.composeChanged(phase, map);
  }

  private recognise(map: ResourceMap): void {
    if (this.claimed === typeVersion(map)) {
      for (const [name, resource] of map) this.client.held.set(name, resource);
      this.due = false;
    }
    this.claimed = undefined;
    this.settle();
  }

  /**
   * "The server must include the complete state of the world, meaning that all resources of the relevant type that are needed by the
   * client must be included, even if they did not change since the last response" (Grouping Resources into Responses). "If a previously
   * seen resource is not present in a new response, that indicates that the resource has been removed" (Deleting Resources): so what is to
   * go is repeated until its turn comes, and what the client refused is replaced by what it has.
   */
  private composeAll(phase: Phase, map: ResourceMap): Content | undefined {
    for (const name of [...this.forced]) if (!this.client.deliverable(name)) this.forced.delete(name);
    const leftovers = [...this.dirty].filter((name) => this.client.isLeftover(name));
    const changed = [...this.dirty].some((name) => this.maySend(name) && (this.forced.has(name) || this.client.lacks(name)));
    if (phase === "additions" ? !changed && !this.due : leftovers.length === 0) return undefined;
    const gone = phase === "additions" ? [] : leftovers;
    const resources = new Map<string, EncodedResource>();
    for (const resource of this.client.resources()) resources.set(resource.name, resource);
    for (const name of this.wildcard ? map.keys() : this.names) {
      const resource = this.maySend(name) ? this.client.deliverable(name) : undefined;
      if (resource) resources.set(name, resource);
    }
    for (const name of gone) resources.delete(name);
    const list = [...resources.values()];
    const whole = list.length === map.size && list.every((resource) => map.get(resource.name)?.version === resource.version);
    return { resources: list, removed: [], gone, version: whole ? undefined : listVersion(list) };
  }

  /**
   * "All resource types except for Listener and Cluster are grouped into responses in the same way as in the incremental protocol
   * variants"; "for other resource types, the API provides no mechanism for the server to tell the client that resources have been
   * deleted" (Grouping Resources into Responses; Deleting Resources): what is gone is simply absent.
   */
  private composeChanged(phase: Phase, map: ResourceMap): Content | undefined {
    const resources: EncodedResource[] = [];
    for (const name of [...this.dirty]) {
      if (!map.has(name)) {
        this.client.held.delete(name);
        this.client.uncertain.delete(name);
        this.forced.delete(name);
        continue;
      }
      if (!this.maySend(name)) continue;
      const resource = this.forced.has(name) ? this.client.deliverable(name) : this.client.lacks(name) ? map.get(name) : undefined;
      if (resource) resources.push(resource);
      else this.forced.delete(name);
    }
    return phase === "additions" && resources.length > 0 ? { resources, removed: [], gone: [] } : undefined;
  }
}
