/** What one client has of one resource type, may have and has refused, as far as its server can know. No I/O, no time. */
import type { EncodedResource } from "../lib/encoded.ts";
import { CowMap } from "./cow.ts";
import type { ResourceMap } from "./diff.ts";
import type { Content } from "./push.ts";

/** What the client has of one name: the resource, or only its version where another stream brought it (initial_resource_versions). */
export type Held = EncodedResource | string;

/** The version of a resource that is not there, so that a refused removal is recorded like any other refusal. */
export const ABSENT = "";

export const versionOf = (held: Held | undefined) => (typeof held === "object" ? held.version : held);

export class ClientState {
  private readonly letsGo: boolean;
  /** What the client is to have, of the latest snapshot; undefined before the first. */
  map: ResourceMap | undefined;
  readonly held: CowMap<Held>;
  /** Names that a refused response was about: the client may have taken what it brought, or kept what it had. */
  readonly uncertain: Set<string>;
  /** Name to refused version. */
  readonly refused: Map<string, string>;

  /** `letsGo`: whether the client lets go by itself of what nothing refers to any more, so that nothing is to be taken from it. */
  constructor(letsGo: boolean, from?: ClientState) {
    this.letsGo = letsGo;
    this.map = from?.map;
    this.held = from?.held.copy() ?? new CowMap();
    this.uncertain = new Set(from?.uncertain);
    this.refused = new Map(from?.refused);
  }

  copy(): ClientState {
    return new ClientState(this.letsGo, this);
  }

  /** The version that the snapshot has of `name`. */
  presentVersion(name: string): string {
    return this.map?.get(name)?.version ?? ABSENT;
  }

  /** Whether the client has this version of `name`, beyond doubt. */
  knownToHave(name: string, version: string): boolean {
    return versionOf(this.held.get(name)) === version && !this.uncertain.has(name);
  }

  mayHave(name: string): boolean {
    return this.held.has(name) || this.uncertain.has(name);
  }

  /** The resource to send for `name`: the snapshot's, or where the client refused that, the last one that it took. */
  deliverable(name: string): EncodedResource | undefined {
    const resource = this.map?.get(name);
    if (!resource || this.refused.get(name) !== resource.version) return resource;
    const held = this.held.get(name);
    return typeof held === "object" && held.version !== resource.version ? held : undefined;
  }

  /** Whether the client lacks the snapshot's version of `name` and has not refused it. */
  lacks(name: string): boolean {
    const resource = this.map?.get(name);
    if (!resource || this.refused.get(name) === resource.version) return false;
    if (this.uncertain.has(name)) return true;
    const held = this.held.get(name);
    if (held === resource) return false;
    if (versionOf(held) !== resource.version) return true;
    this.held.set(resource.name, resource);
    return false;
  }

  /** Whether the client still has `name` although no snapshot does, is to be told so, and has not refused to let go of it. */
  isLeftover(name: string): boolean {
    if (this.letsGo) return false;
    return this.map?.has(name) === false && this.mayHave(name) && this.refused.get(name) !== ABSENT;
  }

  /**
   * Takes `content` as sent. Returns what the client had before of each name that an answer can be about: all but what a full state merely
   * repeats, unless it is sent `again` on purpose.
   */
  take(content: Content, again: (name: string) => boolean): Map<string, Held | undefined> {
    const before = new Map<string, Held | undefined>();
    for (const resource of content.resources) {
      const { name, version } = resource;
      if (!this.knownToHave(name, version) || again(name)) before.set(name, this.held.get(name));
      this.held.set(name, resource);
    }
    for (const name of content.gone) {
      before.set(name, this.held.get(name));
      this.held.delete(name);
    }
    return before;
  }

  put(name: string, held: Held | undefined): void {
    if (held === undefined) this.held.delete(name);
    else this.held.set(name, held);
  }

  forget(name: string): void {
    this.held.delete(name);
    this.uncertain.delete(name);
    this.refused.delete(name);
  }

  /** What the client has, as far as it is known, including what was sent and not answered yet. */
  *resources(): Iterable<EncodedResource> {
    for (const [name, held] of this.held) {
      const resource = typeof held === "object" ? held : this.map?.get(name);
      if (resource && resource.version === versionOf(held)) yield resource;
    }
  }
}
