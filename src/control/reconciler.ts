/**
 * Follows the store: keeps every resource of the newest revision in memory, and turns them into a Mesh whenever they change.
 *
 * There is no debounce. A change is built as soon as the event loop is free; revisions that arrive while one is being built are taken
 * together by the next build.
 */
import type { Clock } from "../lib/clock.ts";
import { sleep } from "../lib/clock.ts";
import { WeftError } from "../lib/errors.ts";
import { buildMesh, type MeshOptions } from "../mesh/build.ts";
import { type ResourceChange, ResourceSet } from "../mesh/resource-set.ts";
import type { Mesh } from "../mesh/types.ts";
import { KINDS, resourceFromStored } from "../model/index.ts";
import { type AnyResource, type Kind, type Resource, resourceKey } from "../model/resource.ts";
import type { LostEvent, RevisionEvent, Store, StoredResource } from "../store/store.ts";

export interface ReconcilerOptions {
  readonly store: Pick<Store, "list" | "watch">;
  readonly clock: Clock;
  readonly trustDomain: string;
  /** The key sets that were fetched for RequestAuthentication (MeshOptions.jwks); `rebuild` when they change. */
  readonly jwks?: () => ReadonlyMap<string, string>;
  /** The keys of JWT-SVIDs (MeshOptions.jwtAuthorities); `rebuild` when they change. */
  readonly jwtAuthorities?: () => ReadonlyMap<string, string>;
  /** What is known of these workloads (MeshOptions.health); `rebuild` when it changes. */
  readonly health?: (entries: readonly Resource<"WorkloadEntry">[]) => NonNullable<MeshOptions["health"]>;
  /** What is sealed in the store, as it was written; nothing is where absent. */
  readonly open?: (document: StoredResource["document"]) => StoredResource["document"];
  /** Called with each revision that the store tells of, before it is built. */
  readonly onRevision?: (event: RevisionEvent) => void;
  /** Called after each build, before `reached` resolves for its revision. */
  readonly onMesh: (mesh: Mesh, milliseconds: number) => void;
  /** Told when the store's watch fails or loses its place; the reconciler goes on by itself. */
  readonly onTrouble: (message: string) => void;
}

interface Held {
  readonly stored: StoredResource;
  readonly resource: AnyResource;
}

/** Wait between tries to reach a store that fails: doubles from the first to the second, in milliseconds. */
const RETRY_MS = { first: 100, longest: 10_000 };

export class Reconciler {
  #options: ReconcilerOptions;
  #held = new Map<string, Held>();
  #revision = -1;
  #mesh: Mesh | undefined;
  /** Of what is held, as far as `#changes` does not say otherwise: by key, what stood in it before. */
  #set = ResourceSet.of([]);
  #changes = new Map<string, AnyResource | undefined>();
  #built = this.#set;
  #scheduled = false;
  #waiting: { readonly revision: number; readonly resolve: () => void; readonly reject: (reason: Error) => void }[] = [];
  #stop = new AbortController();
  #loop: Promise<void> | undefined;
  #events: AsyncIterable<RevisionEvent | LostEvent> | undefined;

  constructor(options: ReconcilerOptions) {
    this.#options = options;
  }

  /** The newest Mesh; undefined until the first full load. */
  get mesh(): Mesh | undefined {
    return this.#mesh;
  }

  /** What the newest Mesh was built of. */
  get built(): readonly AnyResource[] {
    return this.#built.all();
  }

  /** Those of one kind, oldest first; the same array while none of them changes. */
  of<K extends Kind>(kind: K): readonly Resource<K>[] {
    return this.#built.of(kind);
  }

  get trustDomain(): string {
    return this.#options.trustDomain;
  }

  /** Loads everything, builds the first Mesh, then follows the store in the background. @throws WeftError where the first load fails. */
  async start(): Promise<void> {
    await this.#load();
    this.#watch();
    this.#build();
    this.#loop = this.#follow();
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#loop;
    for (const waiter of this.#waiting.splice(0)) waiter.reject(endingError());
  }

  /**
   * Resolves once a Mesh of `revision` or later was built and handed on; also, with nothing reached, when `signal` says that nobody waits any more. Rejects
   * where none will be, as weft ends: nobody is to wait for it.
   */
  reached(revision: number, signal?: AbortSignal): Promise<void> {
    if ((this.#mesh && this.#mesh.revision >= revision) || signal?.aborted) return Promise.resolve();
    if (this.#stop.signal.aborted) return Promise.reject(endingError());
    return new Promise((resolve, reject) => {
      const leave = () => {
        this.#waiting = this.#waiting.filter((one) => one !== waiter);
        waiter.resolve();
      };
      const left = () => signal?.removeEventListener("abort", leave);
      const waiter = {
        revision,
        resolve() {
          left();
          resolve();
        },
        reject(reason: Error) {
          left();
          reject(reason);
        },
      };
      this.#waiting.push(waiter);
      signal?.addEventListener("abort", leave, { once: true });
    });
  }

  /** A resource of the newest revision that was seen, by "kind/namespace/name". */
  resource(key: string): AnyResource | undefined {
    return this.#held.get(key)?.resource;
  }

  /** The same resource stands elsewhere in the user's files now: no revision tells of it, but provenance must name the new lines. */
  moved(stored: StoredResource): void {
    const held = this.#held.get(keyOf(stored));
    if (!held || held.stored.revision !== stored.revision || Bun.deepEquals(held.stored.source, stored.source)) return;
    this.#put(keyOf(stored), { stored, resource: this.#read(stored) });
    this.#schedule();
  }

  /** Something besides the resources changed: builds the Mesh of the same revision anew. The first is built of it anyhow: before the load there would be nothing in it. */
  rebuild(): void {
    if (this.#mesh) this.#schedule();
  }

  /** How many resources of each kind the newest Mesh was built of; 0 too. */
  counts(): ReadonlyMap<string, number> {
    return new Map(Object.values(KINDS).map(({ kind }) => [kind, this.#built.of(kind).length]));
  }

  async #load(): Promise<void> {
    const { revision, resources } = await this.#options.store.list();
    const next = new Map<string, Held>();
    for (const stored of resources) next.set(keyOf(stored), this.#hold(stored));
    this.#held = next;
    this.#changes.clear();
    const all = [...next.values()].map(({ resource }) => resource);
    this.#set = ResourceSet.of(all, this.#set);
    this.#revision = revision;
  }

  /** Right after a listing: between the two the store could become another one at the same revision, and nobody would tell. */
  #watch(): void {
    this.#events = this.#options.store.watch(this.#revision, this.#stop.signal);
  }

  #put(key: string, held: Held | undefined): void {
    if (!this.#changes.has(key)) this.#changes.set(key, this.#held.get(key)?.resource);
    if (held) this.#held.set(key, held);
    else this.#held.delete(key);
  }

  /** What is held, oldest first. */
  #current(): ResourceSet {
    const changes: ResourceChange[] = [];
    for (const [key, before] of this.#changes) {
      const after = this.#held.get(key)?.resource;
      if (before !== after) changes.push({ before, after });
    }
    this.#changes.clear();
    if (changes.length > 0) this.#set = this.#set.with(changes);
    return this.#set;
  }

  /** Keeps the object that is already held where the resource is the same, so that the Mesh can reuse what was made from it. */
  #hold(stored: StoredResource): Held {
    const held = this.#held.get(keyOf(stored));
    const isSame = held?.stored.uid === stored.uid && held.stored.revision === stored.revision;
    // An engine that lost writes gives their revisions to others.
    if (isSame && Bun.deepEquals(held.stored.document, stored.document)) return held;
    return { stored, resource: this.#read(stored) };
  }

  #read(stored: StoredResource): AnyResource {
    const { open } = this.#options;
    return resourceFromStored(open ? { ...stored, document: open(stored.document) } : stored);
  }

  async #follow(): Promise<void> {
    let wait = RETRY_MS.first;
    let isLost = false;
    const { clock, onTrouble } = this.#options;
    while (!this.#stop.signal.aborted) {
      try {
        if (isLost) {
          await this.#relist();
          isLost = false;
          this.#schedule();
        }
        for await (const event of this.#events ?? []) {
          if (event.type === "lost") {
            onTrouble(`the store's watch lost its place (${event.reason}): listing again`);
            isLost = true;
            await this.#relist();
            isLost = false;
          } else {
            this.#take(event);
            this.#options.onRevision?.(event);
          }
          wait = RETRY_MS.first;
          this.#schedule();
        }
      } catch (reason) {
        // After a watch that lost its place, a new one from there would not tell what was missed.
        if (!isLost) this.#watch();
        onTrouble(`the store cannot be followed (${WeftError.from(reason).message}); trying again in ${wait} ms`);
      }
      if (this.#stop.signal.aborted) return;
      await sleep(clock, wait, this.#stop.signal);
      wait = Math.min(wait * 2, RETRY_MS.longest);
    }
  }

  async #relist(): Promise<void> {
    await this.#load();
    this.#watch();
    this.#giveUp();
  }

  /** Who waits for a revision that the store has had and lost would wait for ever. */
  #giveUp(): void {
    const lost = this.#waiting.filter((waiter) => waiter.revision > this.#revision);
    this.#waiting = this.#waiting.filter((waiter) => waiter.revision <= this.#revision);
    for (const { revision, reject } of lost)
      reject(new WeftError("unavailable", `revision ${revision} was acknowledged, and lost by the store's engine`));
  }

  #take(event: RevisionEvent): void {
    for (const change of event.changes) {
      const key = keyOf(change);
      this.#put(key, change.action === "deleted" ? undefined : this.#hold(change.resource));
    }
    this.#revision = event.revision;
  }

  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      try {
        this.#build();
      } catch (reason) {
        // A defect, since building is total; the Mesh before stays in force, and the next change tries again.
        const { message } = WeftError.from(reason);
        this.#options.onTrouble(`revision ${this.#revision} could not be built (${message}); the one before stays in force`);
        const failure = new WeftError("internal", `revision ${this.#revision} is stored, but could not be built: ${message}`, {
          cause: reason,
        });
        for (const waiter of this.#waiting.splice(0)) waiter.reject(failure);
      }
    });
  }

  #build(): void {
    const { clock, trustDomain, onMesh } = this.#options;
    const began = clock.monotonic();
    const resources = this.#current();
    this.#built = resources;
    const [jwks, jwtAuthorities, health] = [
      this.#options.jwks?.(),
      this.#options.jwtAuthorities?.(),
      this.#options.health?.(resources.of("WorkloadEntry")),
    ];
    this.#mesh = buildMesh(resources, { revision: this.#revision, trustDomain, jwks, jwtAuthorities, health }, this.#mesh);
    onMesh(this.#mesh, clock.monotonic() - began);
    const { revision } = this.#mesh;
    const done = this.#waiting.filter((waiter) => waiter.revision <= revision);
    this.#waiting = this.#waiting.filter((waiter) => waiter.revision > revision);
    for (const waiter of done) waiter.resolve();
  }
}

const endingError = () => new WeftError("unavailable", "weft is shutting down");

function keyOf(id: { kind: string; namespace: string; name: string }): string {
  return resourceKey(id.kind, id.namespace, id.name);
}
