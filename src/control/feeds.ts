/**
 * What each connected proxy may have now: its part of the Mesh, and its own secrets. Implements the SnapshotSource that ADS reads.
 *
 * A workload that is not registered (its WorkloadEntry was deleted) gets an empty snapshot: its listeners and clusters go away.
 */
import type { ProxyIdentity, SnapshotSource } from "../ads/types.ts";
import type { EncodedResource, ProxySnapshot } from "../lib/encoded.ts";
import type { Mesh } from "../mesh/types.ts";
import { buildSnapshot } from "../xds/snapshot.ts";

/** Where a proxy's SDS secrets come from: calls `onSecrets` at once or soon, and at each renewal, until the returned function is called. */
export type SecretsOf = (spiffeId: string, onSecrets: (secrets: readonly EncodedResource[]) => void) => () => void;

interface Feed {
  readonly proxy: ProxyIdentity;
  readonly onSnapshot: (snapshot: ProxySnapshot) => void;
  /** Of the SPIFFE ID whose secrets are followed now. */
  spiffeId: string | undefined;
  secrets: readonly EncodedResource[] | undefined;
  unfollow: (() => void) | undefined;
}

export class ProxyFeeds implements SnapshotSource {
  #feeds = new Set<Feed>();
  #mesh: Mesh | undefined;
  #secretsOf: SecretsOf;

  constructor(secretsOf: SecretsOf) {
    this.#secretsOf = secretsOf;
  }

  subscribe(proxy: ProxyIdentity, onSnapshot: (snapshot: ProxySnapshot) => void): () => void {
    const feed: Feed = { proxy, onSnapshot, spiffeId: undefined, secrets: undefined, unfollow: undefined };
    this.#feeds.add(feed);
    if (this.#mesh) this.#refresh(feed, this.#mesh);
    return () => {
      feed.unfollow?.();
      this.#feeds.delete(feed);
    };
  }

  /** Hands the new Mesh to every proxy. */
  update(mesh: Mesh): void {
    this.#mesh = mesh;
    for (const feed of this.#feeds) this.#refresh(feed, mesh);
  }

  #refresh(feed: Feed, mesh: Mesh): void {
    const spiffeId = mesh.workloads.get(feed.proxy.id)?.spiffeId;
    if (feed.spiffeId !== spiffeId) {
      feed.unfollow?.();
      feed.spiffeId = spiffeId;
      feed.secrets = undefined;
      feed.unfollow = undefined;
    }
    if (spiffeId !== undefined && !feed.unfollow) {
      let called = false;
      feed.unfollow = this.#secretsOf(spiffeId, (secrets) => {
        called = true;
        feed.secrets = secrets;
        if (this.#mesh) this.#emit(feed, this.#mesh);
      });
      if (called) return;
    }
    this.#emit(feed, mesh);
  }

  /** A workload with an identity waits for its first certificate: listeners that name a missing secret would only sit and warm. */
  #emit(feed: Feed, mesh: Mesh): void {
    if (feed.spiffeId !== undefined && !feed.secrets) return;
    feed.onSnapshot(this.snapshotOf(feed.proxy.id, mesh, feed.secrets ?? []));
  }

  /** The snapshot of workload `id` ("ns/name"); empty where it is not registered. */
  snapshotOf(id: string, mesh: Mesh, secrets: readonly EncodedResource[]): ProxySnapshot {
    return buildSnapshot(mesh, id, secrets) ?? { revision: mesh.revision, resources: new Map() };
  }
}
