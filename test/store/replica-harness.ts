/** Replicas for tests, over any shared log: `storeContract("replica over etcd", replicaOver(openLog))`. */
import { afterEach } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Clock, systemClock } from "../../src/lib/clock.ts";
import { openReplica } from "../../src/store/replica/index.ts";
import type { ReplicaOptions } from "../../src/store/replica/options.ts";
import type { SharedLog } from "../../src/store/shared/log.ts";
import type { Store } from "../../src/store/store.ts";
import type { OpenForTest } from "./harness.ts";
import { temporaryDirectories } from "./temporary.ts";

/** Dates from `dates`, and everything else in real time: a replica waits, tries again and gives up. */
export function realTime(dates: Pick<Clock, "now">): Clock {
  return { now: () => dates.now(), monotonic: systemClock.monotonic, after: systemClock.after };
}

/**
 * A store of one node for each call.
 * @param openLog an empty log for each call; the replica closes it, `dispose` removes what it left in the engine
 */
export function replicaOver(openLog: () => Promise<{ readonly log: SharedLog; dispose?(): Promise<void> }>): OpenForTest {
  return async (options) => {
    const directory = mkdtempSync(join(tmpdir(), "weft-replica-"));
    const { log, dispose } = await openLog();
    const store = await openReplica({ ...options, path: join(directory, "weft.db"), log, clock: realTime(options.clock) });
    return {
      store,
      async dispose() {
        await store.close();
        await dispose?.();
        rmSync(directory, { recursive: true, force: true });
      },
    };
  };
}

export type Replica = Awaited<ReturnType<typeof openReplica>>;
export type MoreOptions = Partial<Omit<ReplicaOptions, "path" | "log">>;

/** A node: its data directory outlives its process. */
export class Node {
  readonly directory: string;
  readonly #connect: () => SharedLog | Promise<SharedLog>;
  #store: Replica | undefined;

  constructor(directory: string, connect: () => SharedLog | Promise<SharedLog>) {
    this.directory = directory;
    this.#connect = connect;
  }

  get path(): string {
    return join(this.directory, "weft.db");
  }

  get store(): Replica {
    if (!this.#store) throw new Error("the node is stopped");
    return this.#store;
  }

  get isRunning(): boolean {
    return this.#store !== undefined;
  }

  /** Gives up on the engine soon, so that tests are short. */
  async start(options: MoreOptions = {}): Promise<Replica> {
    const short = { clock: systemClock, patienceMs: 200, firstSyncMs: 1_000, writeTimeoutMs: 2_000 };
    this.#store = await openReplica({ ...short, ...options, path: this.path, log: await this.#connect() });
    return this.#store;
  }

  async stop(): Promise<void> {
    const store = this.#store;
    this.#store = undefined;
    await store?.close();
  }
}

/** Nodes of one engine; those that run are stopped after each test, and what they have left is removed. */
export function nodesOf(): (connect: () => SharedLog | Promise<SharedLog>) => Node {
  const temporary = temporaryDirectories();
  const nodes: Node[] = [];
  afterEach(async () => {
    for (const node of nodes.splice(0)) await node.stop();
  });
  return (connect) => {
    const node = new Node(temporary(), connect);
    nodes.push(node);
    return node;
  };
}

/** Waits for `condition`, and fails with `what` where it does not come true within `milliseconds`. */
export async function until(what: string, condition: () => boolean | Promise<boolean>, milliseconds = 15_000): Promise<void> {
  const end = performance.now() + milliseconds;
  while (!(await condition())) {
    if (performance.now() > end) throw new Error(`not within ${milliseconds} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

/** Everything that two stores must agree on, whatever path led there: rows, the end of the audit, private records of `collections`. */
export async function stateOf(store: Store, collections: readonly string[] = []): Promise<unknown> {
  const { revision, resources } = await store.list();
  const { head } = await store.readAudit({ after: 0, limit: 0 });
  return { revision, resources, head, records: await Promise.all(collections.map((collection) => store.readPrivate(collection))) };
}

/** Waits until all of `nodes` hold the same. */
export async function untilEqual(nodes: readonly Node[], collections: readonly string[] = []): Promise<unknown> {
  let states: readonly string[] = [];
  const equal = async () => {
    states = await Promise.all(nodes.map(async ({ store }) => JSON.stringify(await stateOf(store, collections))));
    return states.every((state) => state === states[0]);
  };
  await until("the nodes hold the same", equal).catch((reason) => {
    throw new Error(`${reason}\n${states.join("\n")}\n${nodes.map(({ store }) => JSON.stringify(store.standing?.())).join("\n")}`);
  });
  return JSON.parse(states[0] ?? "null");
}
