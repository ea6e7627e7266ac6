/** The incremental variant of subscription.ts: a request names what the client starts and stops wanting. */
import type { EncodedResource } from "../lib/encoded.ts";
import type { ResourceMap } from "./diff.ts";
import type { Content, Phase, Reply } from "./push.ts";
import { type Request, Subscription } from "./subscription.ts";
import { type Meaning, SubscriptionState } from "./subscription-state.ts";
import { hasWildcard, replacesAtOnce, WILDCARD } from "./traits.ts";

/** A DeltaDiscoveryRequest, without what only the stream needs. */
export interface DeltaRequest extends Request {
  readonly subscribe: readonly string[];
  readonly unsubscribe: readonly string[];
  /** Name to version. */
  readonly initialVersions: Readonly<Record<string, string>>;
}

export class DeltaSubscription extends Subscription<DeltaRequest, DeltaState> {
  constructor(typeUrl: string) {
    super(new DeltaState(typeUrl));
  }
}

class DeltaState extends SubscriptionState {
  copy(): DeltaState {
    return new DeltaState(this.typeUrl, this);
  }

  /**
   * "While a response_nonce may be set on the request, the server must honor changes to the subscription state even if the nonce is stale.
   * The nonce may be used to correlate an ack/nack with a server response, but should not be used to reject stale requests" (Incremental xDS).
   */
  request(request: DeltaRequest, reply: Reply): Meaning {
    const answer = this.answer(reply, request.error);
    const first = this.firstRequest;
    this.firstRequest = false;
    if (first) this.begin(request);
    for (const name of request.unsubscribe) this.unsubscribe(name);
    for (const name of request.subscribe) this.start(name, first);
    return answer;
  }

  private begin(request: DeltaRequest): void {
    // "On reconnect the Incremental xDS client may tell the server of its known resources to avoid resending them over the network by
    // sending them in initial_resource_versions" (Incremental xDS).
    const asked = new Set(request.subscribe);
    // "(legacy behavior) the request must have no resources in both resource_names_subscribe and resource_names_unsubscribe" (the same).
    const legacy = request.subscribe.length === 0 && request.unsubscribe.length === 0;
    const all = hasWildcard(this.typeUrl) && (legacy || asked.has(WILDCARD));
    for (const [name, version] of Object.entries(request.initialVersions)) {
      if (all || asked.has(name)) {
        this.client.held.set(name, version);
        this.dirty.add(name);
      }
    }
    if (!all) return;
    this.subscribeAll();
    // A client that starts waits for an answer even where there is nothing; one that comes back and has everything does not.
    this.due = this.client.held.size === 0;
  }

  private start(name: string, first: boolean): void {
    // "However, once the client does explicitly subscribe to a resource name (whether it be '*' or any other name), then this legacy
    // semantic is no longer available" (How the client specifies what resources to return); an existing "*" goes on until unsubscribed.
    this.named = true;
    if (name === WILDCARD && hasWildcard(this.typeUrl)) {
      // begin() has done it, and knows what the client has.
      if (first) return;
      this.subscribeAll();
      for (const known of this.client.map?.keys() ?? []) this.force(known);
      this.due = true;
      return;
    }
    this.subscribe(name);
    // "The server must still provide those resources in the response; due to implementation details hidden from the server, the client
    // may have 'forgotten' those resources despite apparently remaining subscribed" (Subscribing to Resources).
    if (first && this.client.held.has(name)) this.dirty.add(name);
    else this.force(name);
  }

  private unsubscribe(name: string): void {
    this.named = true;
    if (name === WILDCARD && hasWildcard(this.typeUrl)) {
      this.unsubscribeAll();
      return;
    }
    // "It can simply ignore these phantom unsubscriptions" (Unsubscribing from Resources).
    if (!this.names.delete(name)) return;
    // "When a client has a wildcard subscription ('*') and a subscription to another specific resource name ... the server must send a
    // response that includes the specific resource in either the removed_resources field (if it is not included in the wildcard) or in
    // the resources field (if it is included in the wildcard)" (the same).
    if (this.wildcard) this.force(name);
    else this.forget(name);
  }

  protected compose(phase: Phase, map: ResourceMap): Content | undefined {
    const resources: EncodedResource[] = [];
    const removed: string[] = [];
    const along: string[] = [];
    const atOnce = replacesAtOnce(this.typeUrl);
    for (const name of this.dirty) {
      if (phase === "additions" && !this.maySend(name) && !(atOnce && !map.has(name))) continue;
      const forced = this.forced.has(name);
      if (phase === "additions" && map.has(name)) {
        const resource = forced ? this.client.deliverable(name) : this.client.lacks(name) ? map.get(name) : undefined;
        if (resource) resources.push(resource);
        else this.forced.delete(name);
      } else if (!map.has(name)) {
        // "When a resource subscribed to by a client does not exist, the server will send a DeltaDiscoveryResponse message that contains
        // that resource's name in the removed_resources field" (Knowing When a Requested Resource Does Not Exist): at once, for the client
        // waits. "The server signals the client that a resource should be deleted via the removed_resources field" (Deleting Resources).
        if (forced ? phase === "additions" : phase === "removals" && this.client.isLeftover(name)) removed.push(name);
        else if (atOnce && this.client.isLeftover(name)) along.push(name);
      }
    }
    if (resources.length > 0) removed.push(...along);
    const nothing = resources.length === 0 && removed.length === 0;
    if (nothing && !(phase === "additions" && this.due)) return undefined;
    return { resources, removed, gone: removed };
  }
}
