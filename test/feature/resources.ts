/** Made-up resources and snapshots for the tests of ADS, which never looks inside. */
import { create, toBinary } from "@bufbuild/protobuf";
import { AnySchema } from "@bufbuild/protobuf/wkt";
import type { ProxyIdentity, SnapshotSource } from "../../src/ads/types.ts";
import type { EncodedResource, ProxySnapshot, TypeUrl } from "../../src/lib/encoded.ts";
import { contentVersion } from "../../src/lib/hash.ts";

/** Version `content` of a resource, the same object at every call. */
export function resource(typeUrl: TypeUrl, name: string, content: string): EncodedResource {
  const key = `${typeUrl} ${name} ${content}`;
  let made = cache.get(key);
  if (!made) {
    const any = toBinary(AnySchema, create(AnySchema, { typeUrl, value: new TextEncoder().encode(`${name}=${content}`) }));
    const sources = [{ kind: "ServiceEntry", namespace: "default", name, file: "mesh.yaml", line: content.length }];
    made = { typeUrl, name, version: contentVersion(any), any, sources };
    cache.set(key, made);
  }
  return made;
}
const cache = new Map<string, EncodedResource>();

/** Name to content, by type. */
export type Contents = Partial<Record<TypeUrl, Readonly<Record<string, string>>>>;

export function snapshot(revision: number, contents: Contents): ProxySnapshot {
  const resources = new Map<TypeUrl, ReadonlyMap<string, EncodedResource>>();
  for (const [type, names] of Object.entries(contents)) {
    const typeUrl = type as TypeUrl;
    resources.set(typeUrl, new Map(Object.entries(names).map(([name, content]) => [name, resource(typeUrl, name, content)])));
  }
  return { revision, resources };
}

/** A source that tests write to; the same snapshot for every proxy. */
export class FakeSource implements SnapshotSource {
  private readonly listeners = new Set<(snapshot: ProxySnapshot) => void>();
  private latest: ProxySnapshot | undefined;
  private revision = 0;
  readonly subscribers = new Map<string, number>();

  /** The next revision; returns its number. */
  publish(contents: Contents): number {
    this.revision += 1;
    this.latest = snapshot(this.revision, contents);
    for (const listener of this.listeners) listener(this.latest);
    return this.revision;
  }

  /** The next revision, with maps that stay the same objects; returns its number. */
  touch(): number {
    this.revision += 1;
    this.latest = { revision: this.revision, resources: this.latest?.resources ?? new Map() };
    for (const listener of this.listeners) listener(this.latest);
    return this.revision;
  }

  subscribe(proxy: ProxyIdentity, onSnapshot: (snapshot: ProxySnapshot) => void): () => void {
    this.listeners.add(onSnapshot);
    this.subscribers.set(proxy.id, (this.subscribers.get(proxy.id) ?? 0) + 1);
    if (this.latest) onSnapshot(this.latest);
    return () => {
      this.listeners.delete(onSnapshot);
      this.subscribers.set(proxy.id, (this.subscribers.get(proxy.id) ?? 0) - 1);
    };
  }
}
