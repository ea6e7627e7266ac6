/** The records of cluster-schemas.ts as they are now, followed: whoever changed them, and after the store was away. */
import * as v from "valibot";
import { WeftError } from "../lib/errors.ts";
import type { PrivateChange, Store } from "../store/store.ts";
import {
  AUTHORITIES,
  type AuthorityRecord,
  AuthoritySchema,
  CertifiedSchema,
  MESH_ID,
  type MeshRecord,
  MeshSchema,
  NODES,
  type NodeRecord,
  NodeSchema,
  nodeOfCertifiedId,
  nodeOfRemovedId,
  type RemovedRecord,
  RemovedSchema,
} from "./cluster-schemas.ts";

export type ClusterStore = Pick<Store, "readPrivate" | "writePrivate" | "onPrivate">;

export interface RecordsOptions {
  readonly store: ClusterStore;
  /** What cannot be read; what is known stays. */
  readonly onTrouble: (message: string) => void;
}

export class ClusterRecords {
  readonly #options: RecordsOptions;
  readonly #listeners = new Set<() => void>();
  #nodes: ReadonlyMap<string, NodeRecord> = new Map();
  #removed: ReadonlyMap<string, RemovedRecord> = new Map();
  #authorities: ReadonlyMap<string, AuthorityRecord> = new Map();
  #certified: ReadonlyMap<string, number> = new Map();
  #mesh: MeshRecord | undefined;
  #reading: Promise<void> = Promise.resolve();
  #stop = () => {};

  private constructor(options: RecordsOptions) {
    this.#options = options;
  }

  /** @throws WeftError "unavailable" where the store cannot be read, or holds what is none of them */
  static async open(options: RecordsOptions): Promise<ClusterRecords> {
    const records = new ClusterRecords(options);
    records.#stop = options.store.onPrivate((collection) => {
      if (collection === "" || collection === NODES || collection === AUTHORITIES) void records.#follow();
    });
    await records.refresh();
    return records;
  }

  get nodes(): ReadonlyMap<string, NodeRecord> {
    return this.#nodes;
  }

  /** Those that were removed and have not joined again. */
  get removed(): ReadonlyMap<string, RemovedRecord> {
    return this.#removed;
  }

  /** When each was last certified, to the day; milliseconds since the epoch. */
  get certified(): ReadonlyMap<string, number> {
    return this.#certified;
  }

  get authorities(): ReadonlyMap<string, AuthorityRecord> {
    return this.#authorities;
  }

  /** Undefined while there is none in this store. */
  get mesh(): MeshRecord | undefined {
    return this.#mesh;
  }

  /** Calls `listener` after each change, until the returned function is called. */
  onChange(listener: () => void): () => void {
    const own = () => listener();
    this.#listeners.add(own);
    return () => this.#listeners.delete(own);
  }

  /** Changes the store, and what is known here. @throws WeftError "conflict", "unavailable" */
  async write(change: PrivateChange): Promise<void> {
    await this.#options.store.writePrivate(change);
    await this.refresh();
  }

  /** As the store is now. @throws WeftError "unavailable" */
  refresh(): Promise<void> {
    const reading = this.#reading.then(() => this.#read());
    this.#reading = reading.catch(() => {});
    return reading;
  }

  close(): void {
    this.#stop();
    this.#listeners.clear();
  }

  async #follow(): Promise<void> {
    try {
      await this.refresh();
    } catch (reason) {
      this.#options.onTrouble(`what is known of the mesh's nodes could not be read again: ${WeftError.from(reason).message}`);
    }
  }

  async #read(): Promise<void> {
    const { store } = this.#options;
    const [nodes, authorities] = await Promise.all([store.readPrivate(NODES), store.readPrivate(AUTHORITIES)]);
    const now = {
      nodes: new Map<string, NodeRecord>(),
      removed: new Map<string, RemovedRecord>(),
      certified: new Map<string, number>(),
      authorities: new Map<string, AuthorityRecord>(),
      mesh: undefined as MeshRecord | undefined,
    };
    for (const { id, value } of nodes) {
      const gone = nodeOfRemovedId(id);
      const certified = nodeOfCertifiedId(id);
      if (certified !== undefined) now.certified.set(certified, parse(CertifiedSchema, NODES, id, value).at);
      else if (gone === undefined) now.nodes.set(id, parse(NodeSchema, NODES, id, value));
      else now.removed.set(gone, parse(RemovedSchema, NODES, id, value));
    }
    for (const { id, value } of authorities) {
      if (id === MESH_ID) now.mesh = parse(MeshSchema, AUTHORITIES, id, value);
      else now.authorities.set(id, parse(AuthoritySchema, AUTHORITIES, id, value));
    }
    // Removal is two writes: where only the first was made, or the authority published meanwhile, the node's record counts.
    for (const [id, { removedAt }] of now.removed) {
      const authority = now.authorities.get(id);
      if (authority && authority.removedAt === undefined && !now.nodes.has(id))
        now.authorities.set(id, { ...authority, signs: [], removedAt });
    }
    const before = {
      nodes: this.#nodes,
      removed: this.#removed,
      certified: this.#certified,
      authorities: this.#authorities,
      mesh: this.#mesh,
    };
    if (Bun.deepEquals(before, now)) return;
    this.#nodes = now.nodes;
    this.#removed = now.removed;
    this.#certified = now.certified;
    this.#authorities = now.authorities;
    this.#mesh = now.mesh;
    for (const listener of [...this.#listeners]) listener();
  }
}

function parse<S extends v.GenericSchema>(schema: S, collection: string, id: string, value: unknown): v.InferOutput<S> {
  const parsed = v.safeParse(schema, value);
  if (parsed.success) return parsed.output;
  throw new WeftError("unavailable", `the store is damaged, or of a newer weft: ${collection} ${id} cannot be read`);
}
