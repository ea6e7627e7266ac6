/**
 * Keeps weft's own documents (own-documents.ts) as they must be for `--in-mesh`, and takes this node's away where weft runs without it. They go through
 * the store as everybody's do, with a revision, history and audit. What somebody else wrote under their names is never overwritten.
 */
import type { Clock } from "../lib/clock.ts";
import { WeftError } from "../lib/errors.ts";
import { resourceKey } from "../model/resource.ts";
import { canonicalJson } from "../store/canonical.ts";
import type { Delete, Document, Put, ResourceId, Store, StoredResource, Transaction } from "../store/store.ts";
import { isManaged, isOwnEntry, nodeOf, OWN_SERVICE, type OwnPlace, ownEntry, ownEntryId, ownService } from "./own-documents.ts";
import type { Reconciler } from "./reconciler.ts";

/** Between two writes: where something else writes these documents as eagerly, the mesh must not be built over and over. Milliseconds. */
const APART_MS = 10_000;

export interface OwnWorkloadOptions {
  readonly store: Pick<Store, "apply" | "get" | "list">;
  readonly reconciler: Pick<Reconciler, "resource">;
  readonly clock: Clock;
  readonly node: string;
  /** Undefined: this node is not in its mesh. */
  readonly place: OwnPlace | undefined;
  /** Whether the node was removed from the mesh: then its documents are no concern of its own any more. Never where absent. */
  readonly isRemoved?: () => boolean;
  readonly log: { info(message: string): void; warning(message: string): void };
}

export class OwnWorkload {
  readonly #options: OwnWorkloadOptions;
  readonly #keys: readonly string[];
  #seen: readonly unknown[] | undefined;
  #status: string | undefined;
  /** Why its sidecar cannot reach it, in words. */
  #shut: string | undefined;
  #working: Promise<void> | undefined;
  #resting = false;
  /** Asked meanwhile. */
  #again = false;
  #cancel = () => {};
  #closed = false;

  constructor(options: OwnWorkloadOptions) {
    this.#options = options;
    this.#keys = [OWN_SERVICE, ownEntryId(options.node)].map(({ kind, namespace, name }) => resourceKey(kind, namespace, name));
  }

  /** Whether weft is in its mesh, or why not, in words; undefined before the first look. */
  get status(): string | undefined {
    return this.#status && this.#shut ? `${this.#status}; ${this.#shut}` : this.#status;
  }

  /** Says why its sidecar cannot reach it; undefined where it can. */
  set shut(reason: string | undefined) {
    this.#shut = reason;
  }

  /** To be called whenever the resources may have changed. */
  follow(): void {
    const now = this.#keys.map((key) => this.#options.reconciler.resource(key));
    if (this.#seen && now.every((one, index) => one === this.#seen?.[index])) return;
    this.#seen = now;
    this.#work();
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#cancel();
    await this.#working;
  }

  #work(): void {
    if (this.#closed) return;
    if (this.#working || this.#resting) this.#again = true;
    else this.#working = this.#run();
  }

  async #run(): Promise<void> {
    const { store, clock, log, node } = this.#options;
    this.#again = false;
    try {
      const transaction = await this.#plan();
      if (transaction) {
        const { revision } = await store.apply({ ...transaction, who: `weft, node ${node}` });
        log.info(`${this.#status} (revision ${revision})`);
      }
      this.#resting = transaction !== undefined;
    } catch (reason) {
      const { message } = WeftError.from(reason);
      this.#status = `weft's own place in the mesh could not be written (${message})`;
      log.warning(`${this.#status}; trying again in ${APART_MS / 1_000} s`);
      this.#resting = true;
      this.#again = true;
    }
    this.#working = undefined;
    const goOn = () => {
      this.#resting = false;
      if (this.#again) this.#work();
    };
    if (this.#resting) this.#cancel = clock.after(APART_MS, goOn);
    else goOn();
  }

  /** What must be written; undefined where nothing. */
  async #plan(): Promise<Omit<Transaction, "who"> | undefined> {
    const { store, node, place, isRemoved } = this.#options;
    if (isRemoved?.()) {
      this.#status = `not in the mesh: node ${node} was removed from it`;
      return undefined;
    }
    const [service, entry] = await Promise.all([store.get(OWN_SERVICE), store.get(ownEntryId(node))]);
    return place ? this.#joining(place, service, entry) : await this.#leaving(service, entry);
  }

  #joining(place: OwnPlace, service: StoredResource | undefined, entry: StoredResource | undefined): Omit<Transaction, "who"> | undefined {
    const { log } = this.#options;
    const foreign = [service, entry].find((one) => one && !isManaged(one));
    if (foreign) {
      const name = `${foreign.kind} ${foreign.namespace}/${foreign.name}`;
      this.#tell(`weft is not in its mesh: ${name} is not of its making, and left alone; delete it, and weft writes its own`, log.warning);
      return undefined;
    }
    this.#status = `registered as WorkloadEntry weft-system/${ownEntryId(place.node).name} at ${place.address}:${place.port}`;
    const puts = [
      ...putOf(OWN_SERVICE, ownService(place, service?.document), service),
      ...putOf(ownEntryId(place.node), ownEntry(place), entry),
    ];
    return puts.length === 0 ? undefined : { puts, deletes: [] };
  }

  async #leaving(service: StoredResource | undefined, entry: StoredResource | undefined): Promise<Omit<Transaction, "who"> | undefined> {
    const { store, node } = this.#options;
    if (!entry || !isOwnEntry(entry) || nodeOf(entry) !== node) return undefined;
    this.#status = `left the mesh: weft runs without --in-mesh on node ${node}`;
    return { puts: [], deletes: await leavingDeletes(store, service, entry) };
  }

  #tell(status: string, tell: (message: string) => void): void {
    if (this.#status === status) return;
    this.#status = status;
    tell(status);
  }
}

/** Takes away what `node` was in the mesh: for a node that was removed. @throws WeftError "conflict", "unavailable" */
export async function removeOwnEntry(store: Pick<Store, "apply" | "get" | "list">, node: string, who: string): Promise<void> {
  const [service, entry] = await Promise.all([store.get(OWN_SERVICE), store.get(ownEntryId(node))]);
  if (!entry || !isOwnEntry(entry)) return;
  await store.apply({ puts: [], deletes: await leavingDeletes(store, service, entry), who });
}

/** The service goes with the last of its nodes. */
async function leavingDeletes(store: Pick<Store, "list">, service: StoredResource | undefined, entry: StoredResource): Promise<Delete[]> {
  const { resources } = await store.list({ kind: entry.kind, namespace: entry.namespace });
  const last = resources.every((one) => one.name === entry.name || !isOwnEntry(one));
  const going = last && service && isManaged(service) ? [entry, service] : [entry];
  return going.map(({ kind, namespace, name, revision }) => ({ kind, namespace, name, expect: revision }));
}

/** None where that stands there already. */
function putOf(id: ResourceId, document: Document, before: StoredResource | undefined): Put[] {
  if (before && canonicalJson(before.document) === canonicalJson(document)) return [];
  return [{ ...id, document, source: { file: "weft run --in-mesh", lines: { "": 1 } }, expect: before?.revision ?? "absent" }];
}
