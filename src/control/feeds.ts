/**
 * What each connected proxy may have now: its part of the Mesh, and its own secrets. Implements the SnapshotSource that ADS reads.
 *
 * A workload that is not registered gets an empty snapshot. Where its WorkloadEntry was deleted under a running proxy, it keeps what it had
 * for a while: its callers must lose the endpoint first, or they would meet a sidecar that no longer knows its application.
 */
import type { ProxyClient, ProxyIdentity, SnapshotSource } from "../ads/types.ts";
import type { Clock } from "../lib/clock.ts";
import type { EncodedResource, ProxySnapshot } from "../lib/encoded.ts";
import { type TokenNeed, tokensNeeded } from "../mesh/token-injection.ts";
import type { Mesh, Workload } from "../mesh/types.ts";
import { abilitiesOf, type EnvoyAbilities } from "../xds/envoy-version.ts";
import { ProxySnapshots } from "../xds/proxy-snapshots.ts";

/**
 * Where a proxy's SDS secrets come from, `tokens` among them: calls `onSecrets` at once or soon, and at each renewal, until the returned function
 * is called.
 */
export type SecretsOf = (
  spiffeId: string,
  tokens: readonly TokenNeed[],
  onSecrets: (secrets: readonly EncodedResource[]) => void,
) => () => void;

const NO_TOKENS: readonly TokenNeed[] = [];
const NO_SECRETS: readonly EncodedResource[] = [];

/** The secret's name says all of a need. */
function sameTokens(one: readonly TokenNeed[], other: readonly TokenNeed[]): boolean {
  return one === other || (one.length === other.length && one.every(({ secret }, at) => secret === other[at]?.secret));
}

/** How long a proxy keeps its configuration after its WorkloadEntry is gone: time for every caller to take the endpoint out. */
const REMOVAL_GRACE_MS = 5_000;

interface Feed {
  readonly proxy: ProxyIdentity;
  readonly abilities: EnvoyAbilities;
  readonly onSnapshot: (snapshot: ProxySnapshot) => void;
  readonly snapshots: ProxySnapshots;
  /** The SPIFFE ID whose secrets are followed now. */
  spiffeId: string | undefined;
  /** The tokens among them. */
  tokens: readonly TokenNeed[];
  secrets: readonly EncodedResource[] | undefined;
  unfollow: (() => void) | undefined;
  /** Whether it was ever given a registered workload's snapshot. */
  served: boolean;
  cancelRemoval: (() => void) | undefined;
}

export interface ProxyFeedsOptions {
  readonly secretsOf: SecretsOf;
  readonly clock: Clock;
  /** Whether the proxy may have what the workload of its name gets; any may where absent. */
  readonly serves?: (proxy: ProxyIdentity, workload: Workload) => boolean;
  /** A proxy's snapshot could not be made: a defect of weft's. The proxy keeps what it has, the others get theirs. */
  readonly onTrouble: (proxy: ProxyIdentity, reason: unknown) => void;
}

export class ProxyFeeds implements SnapshotSource {
  #feeds = new Set<Feed>();
  #mesh: Mesh | undefined;
  #options: ProxyFeedsOptions;

  constructor(options: ProxyFeedsOptions) {
    this.#options = options;
  }

  subscribe(proxy: ProxyIdentity, onSnapshot: (snapshot: ProxySnapshot) => void, client?: ProxyClient): () => void {
    const feed: Feed = {
      proxy,
      abilities: client ? abilitiesOf(client.envoyVersion, client.protocol) : abilitiesOf(""),
      onSnapshot,
      snapshots: new ProxySnapshots(),
      spiffeId: undefined,
      tokens: NO_TOKENS,
      secrets: undefined,
      unfollow: undefined,
      served: false,
      cancelRemoval: undefined,
    };
    this.#feeds.add(feed);
    if (this.#mesh) this.#offer(feed, this.#mesh);
    return () => {
      feed.unfollow?.();
      feed.cancelRemoval?.();
      this.#feeds.delete(feed);
    };
  }

  /** Hands the new Mesh to every proxy. */
  update(mesh: Mesh): void {
    this.#mesh = mesh;
    for (const feed of this.#feeds) this.#offer(feed, mesh);
  }

  #guard(feed: Feed, body: () => unknown): void {
    try {
      body();
    } catch (reason) {
      this.#options.onTrouble(feed.proxy, reason);
    }
  }

  #offer(feed: Feed, mesh: Mesh): void {
    this.#guard(feed, () => {
      if (this.#workloadOf(feed, mesh) || !feed.served) {
        feed.cancelRemoval?.();
        feed.cancelRemoval = undefined;
        this.#refresh(feed, mesh);
      } else {
        feed.cancelRemoval ??= this.#options.clock.after(REMOVAL_GRACE_MS, () => this.#remove(feed));
      }
    });
  }

  #workloadOf({ proxy }: Feed, mesh: Mesh): Workload | undefined {
    const workload = mesh.workloads.get(proxy.id);
    return workload && (this.#options.serves?.(proxy, workload) ?? true) ? workload : undefined;
  }

  #remove(feed: Feed): void {
    feed.cancelRemoval = undefined;
    feed.served = false;
    if (this.#mesh) this.#offer(feed, this.#mesh);
  }

  #refresh(feed: Feed, mesh: Mesh): void {
    const spiffeId = this.#workloadOf(feed, mesh)?.spiffeId;
    const tokens = spiffeId === undefined ? NO_TOKENS : tokensNeeded(mesh, feed.proxy.id);
    const before = feed.unfollow;
    if (feed.spiffeId !== spiffeId || !sameTokens(feed.tokens, tokens)) {
      feed.spiffeId = spiffeId;
      feed.tokens = tokens;
      feed.secrets = undefined;
      feed.unfollow = undefined;
    }
    if (spiffeId !== undefined && !feed.unfollow) {
      let called = false;
      feed.unfollow = this.#options.secretsOf(spiffeId, tokens, (secrets) => {
        called = true;
        feed.secrets = secrets;
        // Not for a workload that is on its way out: its last snapshot stands until then.
        const now = this.#mesh;
        // What fails for one proxy must not keep the others, or the next renewal, from theirs.
        this.#guard(feed, () => now && this.#workloadOf(feed, now) && this.#emit(feed, now));
      });
      // After the new ones are followed: what both have is not issued anew.
      before?.();
      if (called) return;
    } else if (spiffeId === undefined) {
      before?.();
    }
    this.#emit(feed, mesh);
  }

  /** A workload with an identity waits for its first certificate: listeners that name a missing secret would only sit and warm. */
  #emit(feed: Feed, mesh: Mesh): void {
    if (feed.spiffeId !== undefined && !feed.secrets) return;
    const snapshot = this.#workloadOf(feed, mesh) && feed.snapshots.next(mesh, feed.proxy.id, feed.secrets ?? NO_SECRETS, feed.abilities);
    feed.served = snapshot !== undefined;
    feed.onSnapshot(snapshot ?? { revision: mesh.revision, resources: new Map() });
  }
}
