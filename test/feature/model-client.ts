/** A client of the pure state machines, with queues in both directions, for the property tests: it keeps what Envoy would keep. */
import { DeltaSubscription } from "../../src/ads/delta.ts";
import { Subscriptions } from "../../src/ads/order.ts";
import type { Push } from "../../src/ads/push.ts";
import { RequestContents } from "../../src/ads/request-content.ts";
import { SotwSubscription } from "../../src/ads/sotw.ts";
import type { Subscription } from "../../src/ads/subscription.ts";
import { hasWildcard } from "../../src/ads/traits.ts";
import type { EncodedResource, ProxySnapshot } from "../../src/lib/encoded.ts";

/** How the client refuses: it names the bad ones or not, and applies the good ones of the same response or not. */
export interface Manners {
  readonly names: boolean;
  readonly partial: boolean;
}

interface Wanted {
  wildcard: boolean;
  readonly names: Set<string>;
  nonce: string;
  begun: boolean;
  named: boolean;
}

const contents = new RequestContents();

export abstract class ModelClient<S extends Subscription> {
  readonly caches = new Map<string, Map<string, EncodedResource>>();
  readonly wanted = new Map<string, Wanted>();
  /** Every resource that the server sent, in order, as "type name version". */
  readonly received: string[] = [];
  /** Told of every response that the client refuses. */
  onRefusal: ((push: Push) => void) | undefined;
  protected readonly toServer: (() => void)[] = [];
  private readonly toClient: Push[] = [];
  private nonces = 0;
  protected readonly subscriptions: Subscriptions<S>;
  private readonly isBad: (resource: EncodedResource) => boolean;
  private readonly manners: Manners;

  constructor(create: (typeUrl: string) => S, isBad: (resource: EncodedResource) => boolean, manners: Manners) {
    this.subscriptions = new Subscriptions(create);
    this.isBad = isBad;
    this.manners = manners;
  }

  publish(snapshot: ProxySnapshot): void {
    this.subscriptions.update(snapshot);
  }

  subscription(typeUrl: string): S | undefined {
    return this.subscriptions.get(typeUrl);
  }

  /** The server sends one response. Returns whether there was one. */
  send(): boolean {
    this.nonces += 1;
    const push = this.subscriptions.take(String(this.nonces));
    if (push) this.toClient.push(push);
    return push !== undefined;
  }

  /** The server reads one request. */
  serve(): boolean {
    const request = this.toServer.shift();
    request?.();
    return request !== undefined;
  }

  /** The client reads one response, and answers. */
  read(): boolean {
    const push = this.toClient.shift();
    if (!push) return false;
    for (const resource of push.resources) this.received.push(`${push.typeUrl} ${resource.name} ${resource.version}`);
    const bad = push.resources.filter((resource) => this.isBad(resource) && this.wants(push.typeUrl, resource.name));
    const good = push.resources.filter((resource) => !this.isBad(resource) && this.wants(push.typeUrl, resource.name));
    if (bad.length === 0) this.apply(push, good);
    else if (this.manners.partial) for (const resource of good) this.cache(push.typeUrl).set(resource.name, resource);
    if (bad.length > 0) this.onRefusal?.(push);
    const names = this.manners.names ? bad.map((resource) => resource.name).join(", ") : "some resource";
    this.state(push.typeUrl).nonce = push.nonce;
    this.reply(push, bad.length === 0 ? undefined : `cannot use ${names}: it is bad`);
    return true;
  }

  abstract subscribe(typeUrl: string, name: string): void;
  abstract unsubscribe(typeUrl: string, name: string): void;
  protected abstract apply(push: Push, good: readonly EncodedResource[]): void;
  protected abstract reply(push: Push, error: string | undefined): void;

  cache(typeUrl: string): Map<string, EncodedResource> {
    let cache = this.caches.get(typeUrl);
    if (!cache) {
      cache = new Map();
      this.caches.set(typeUrl, cache);
    }
    return cache;
  }

  wants(typeUrl: string, name: string): boolean {
    const { wildcard, names } = this.state(typeUrl);
    return wildcard || names.has(name);
  }

  protected state(typeUrl: string): Wanted {
    let state = this.wanted.get(typeUrl);
    if (!state) {
      state = { wildcard: false, names: new Set(), nonce: "", begun: false, named: false };
      this.wanted.set(typeUrl, state);
    }
    return state;
  }

  protected want(typeUrl: string, name: string, yes: boolean): void {
    const state = this.state(typeUrl);
    if (name === "*" && hasWildcard(typeUrl)) state.wildcard = yes;
    else if (yes) state.names.add(name);
    else state.names.delete(name);
    for (const known of this.cache(typeUrl).keys()) if (!this.wants(typeUrl, known)) this.cache(typeUrl).delete(known);
  }
}

export class DeltaModelClient extends ModelClient<DeltaSubscription> {
  constructor(isBad: (resource: EncodedResource) => boolean, manners: Manners) {
    super((typeUrl) => new DeltaSubscription(typeUrl), isBad, manners);
  }

  subscribe(typeUrl: string, name: string): void {
    this.want(typeUrl, name, true);
    this.request(typeUrl, [name], []);
  }

  unsubscribe(typeUrl: string, name: string): void {
    this.want(typeUrl, name, false);
    this.request(typeUrl, [], [name]);
  }

  protected apply(push: Push, good: readonly EncodedResource[]): void {
    for (const resource of good) this.cache(push.typeUrl).set(resource.name, resource);
    for (const name of push.removed) this.cache(push.typeUrl).delete(name);
  }

  protected reply(push: Push, error: string | undefined): void {
    this.request(push.typeUrl, [], [], push.nonce, error);
  }

  private request(typeUrl: string, subscribe: string[], unsubscribe: string[], nonce = "", error?: string): void {
    const content = contents.of("delta", subscribe, unsubscribe);
    this.toServer.push(() =>
      this.subscriptions.of(typeUrl).request({ subscribe, unsubscribe, initialVersions: {}, nonce, error, content }),
    );
  }
}

export class SotwModelClient extends ModelClient<SotwSubscription> {
  constructor(isBad: (resource: EncodedResource) => boolean, manners: Manners) {
    super((typeUrl) => new SotwSubscription(typeUrl), isBad, manners);
  }

  subscribe(typeUrl: string, name: string): void {
    this.want(typeUrl, name, true);
    this.request(typeUrl, undefined);
  }

  unsubscribe(typeUrl: string, name: string): void {
    if (!this.state(typeUrl).begun) return;
    this.want(typeUrl, name, false);
    this.request(typeUrl, undefined);
  }

  protected apply(push: Push, good: readonly EncodedResource[]): void {
    if (hasWildcard(push.typeUrl)) this.cache(push.typeUrl).clear();
    for (const resource of good) this.cache(push.typeUrl).set(resource.name, resource);
  }

  protected reply(push: Push, error: string | undefined): void {
    this.request(push.typeUrl, error);
  }

  private request(typeUrl: string, error: string | undefined): void {
    const state = this.state(typeUrl);
    state.begun = true;
    const names = [...(state.wildcard ? ["*"] : []), ...state.names];
    const { nonce } = state;
    const content = contents.of("sotw", names);
    this.toServer.push(() => this.subscriptions.of(typeUrl).request({ names, version: "", nonce, error, content }));
  }
}
