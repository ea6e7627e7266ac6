/** In which order one stream's types are answered: the sequence of "Eventual consistency considerations" in Envoy's xDS protocol. Pure. */
import { type EncodedResource, type ProxySnapshot, TYPE, type TypeUrl } from "../lib/encoded.ts";
import { NO_RESOURCES, type ResourceMap } from "./diff.ts";
import type { Push } from "./push.ts";
import { SotwSubscription } from "./sotw.ts";
import type { Subscription } from "./subscription.ts";

/** "CDS updates (if any) must always be pushed first"; then EDS, LDS, RDS, VHDS, and what listeners and clusters refer to. */
export const ORDER: readonly TypeUrl[] = [
  TYPE.cluster,
  TYPE.endpoint,
  TYPE.listener,
  TYPE.route,
  TYPE.virtualHost,
  TYPE.secret,
  TYPE.extension,
];

/**
 * What refers to others goes before what it refers to: Envoy ignores a removed route or secret, but a route to a removed cluster answers with
 * 503. Extensions are never taken away: connections that drain under a listener's old filter chains still use them, and would get 500;
 * Envoy unsubscribes when the last is gone. docs/design.md, "xDS order", has the trials. (Virtual hosts go with what replaces them: traits.ts.)
 */
const REMOVAL_ORDER: readonly TypeUrl[] = [TYPE.listener, TYPE.route, TYPE.virtualHost, TYPE.cluster, TYPE.endpoint, TYPE.secret];

/** What Envoy fetches while a resource of the type warms up ("Resource warming"). */
const WARMED_BY: Readonly<Record<string, readonly TypeUrl[]>> = {
  [TYPE.cluster]: [TYPE.endpoint, TYPE.secret],
  [TYPE.listener]: [TYPE.route, TYPE.secret, TYPE.extension],
};

/** "LDS updates must arrive after corresponding CDS/EDS updates", and routes are not warmed: their clusters must be in place before. */
const AFTER_CLUSTERS: ReadonlySet<string> = new Set<string>([TYPE.listener, TYPE.route, TYPE.virtualHost]);

const KNOWN: ReadonlySet<string> = new Set<string>(ORDER);

export function isTypeUrl(typeUrl: string): typeUrl is TypeUrl {
  return KNOWN.has(typeUrl);
}

/**
 * All subscriptions of one stream. Give it requests (through the subscriptions) and snapshots, and take() from it whenever the stream can
 * carry another response: what was not taken is not queued, so a slow reader gets the latest state, not the history.
 */
export class Subscriptions<S extends Subscription> {
  private readonly byType = new Map<string, S>();
  /** Those of `byType`, in ORDER and in REMOVAL_ORDER. */
  private additions: readonly S[] = [];
  private removals: readonly S[] = [];
  private snapshot: ProxySnapshot | undefined;
  private latest: ProxySnapshot | undefined;
  private readonly create: (typeUrl: string) => S;

  constructor(create: (typeUrl: string) => S) {
    this.create = create;
  }

  /** The subscription of a type, made at the first call. A type that weft does not serve has no resources. */
  of(typeUrl: string): S {
    let subscription = this.byType.get(typeUrl);
    if (!subscription) {
      subscription = this.create(typeUrl);
      this.byType.set(typeUrl, subscription);
      this.additions = [...this.inOrder(ORDER)];
      this.removals = [...this.inOrder(REMOVAL_ORDER)];
      if (this.snapshot) this.show(subscription, this.snapshot);
    }
    return subscription;
  }

  get(typeUrl: string): S | undefined {
    return this.byType.get(typeUrl);
  }

  get size(): number {
    return this.byType.size;
  }

  all(): Iterable<S> {
    return this.byType.values();
  }

  /** The stream has ended. */
  close(): void {
    for (const subscription of this.byType.values()) subscription.close();
  }

  /** A newer snapshot. Returns whether there may be something to send: types whose map is the same are not looked at. */
  update(snapshot: ProxySnapshot): boolean {
    this.latest = snapshot;
    return this.adopt();
  }

  /**
   * Listeners and routes that wait for clusters of the present snapshot go out before a newer one is looked at: else clusters that change
   * faster than the client answers would keep them back for ever.
   */
  private adopt(): boolean {
    const { latest } = this;
    if (!latest || latest === this.snapshot || this.keptBack()) return false;
    this.snapshot = latest;
    let changed = false;
    for (const subscription of this.byType.values()) if (this.show(subscription, latest)) changed = true;
    return changed;
  }

  private keptBack(): boolean {
    // What was asked for before the first snapshot waits for that one.
    if (!this.snapshot || !this.clustersUnderWay()) return false;
    for (const typeUrl of AFTER_CLUSTERS) if (this.byType.get(typeUrl)?.pending) return true;
    return false;
  }

  private show(subscription: S, snapshot: ProxySnapshot): boolean {
    const map = isTypeUrl(subscription.typeUrl) ? snapshot.resources.get(subscription.typeUrl) : undefined;
    return subscription.update(map ?? NO_RESOURCES, snapshot.revision);
  }

  /** The next response to send, taken as sent; undefined when there is none now. */
  take(nonce: string): Push | undefined {
    const push = this.takeAddition(nonce) ?? this.takeRemoval(nonce);
    // What was kept back may just have been sent, or answered.
    return push ?? (this.adopt() ? this.take(nonce) : undefined);
  }

  private takeAddition(nonce: string): Push | undefined {
    for (const subscription of this.additions) {
      if (AFTER_CLUSTERS.has(subscription.typeUrl) && this.clustersUnderWay()) continue;
      const push = subscription.take("additions", nonce);
      if (push) {
        this.prepareWarming(push);
        return push;
      }
    }
    return undefined;
  }

  /**
   * "Stale CDS clusters and related EDS endpoints (ones no longer being referenced) can then be removed": when the client has answered all
   * that came instead of them.
   */
  private takeRemoval(nonce: string): Push | undefined {
    for (const subscription of this.byType.values()) if (subscription.answerDue) return undefined;
    for (const subscription of this.removals) {
      const push = subscription.take("removals", nonce);
      if (push) return push;
    }
    return undefined;
  }

  private *inOrder(order: readonly TypeUrl[]): Iterable<S> {
    for (const typeUrl of order) {
      const subscription = this.byType.get(typeUrl);
      if (subscription) yield subscription;
    }
    for (const [typeUrl, subscription] of this.byType) if (!isTypeUrl(typeUrl)) yield subscription;
  }

  /** Envoy asks for a new cluster's endpoints before it ACKs the cluster, so when both are answered the clusters are in place. */
  private clustersUnderWay(): boolean {
    return this.byType.get(TYPE.cluster)?.answerDue === true || this.byType.get(TYPE.endpoint)?.askedUnderWay === true;
  }

  /** By convention of weft's resources, the assignment of an EDS cluster has the cluster's name. */
  private prepareWarming(push: Push): void {
    if (push.typeUrl === TYPE.cluster) this.byType.get(TYPE.endpoint)?.resend(push.changed);
    if (push.typeUrl === TYPE.route) this.prepareVirtualHosts(push.resources);
    for (const typeUrl of WARMED_BY[push.typeUrl] ?? []) {
      const subscription = this.byType.get(typeUrl);
      if (subscription instanceof SotwSubscription) subscription.expectRepeat();
    }
  }

  /**
   * Envoy asks for all virtual hosts once a stream, and says nothing when it begins anew to want those of a route configuration, whose listener
   * would wait for them for ever (source/common/router/vhds.cc, use_namespace_matching_): they follow the route configuration, whenever it is sent.
   */
  private prepareVirtualHosts(routes: readonly EncodedResource[]): void {
    const subscription = this.byType.get(TYPE.virtualHost);
    const all = this.snapshot?.resources.get(TYPE.virtualHost);
    if (!subscription || !all) return;
    for (const { name } of routes) subscription.resend(hostsOf(all, name));
  }
}

const hosts = new WeakMap<ResourceMap, Map<string, readonly string[]>>();

/** Names of the virtual hosts of a route configuration: the same array for all streams that get the same ones. */
function hostsOf(all: ResourceMap, route: string): readonly string[] {
  const byRoute = hosts.get(all) ?? new Map<string, readonly string[]>();
  hosts.set(all, byRoute);
  const known = byRoute.get(route) ?? [...all.keys()].filter((host) => host.startsWith(`${route}/`));
  byRoute.set(route, known);
  return known;
}
