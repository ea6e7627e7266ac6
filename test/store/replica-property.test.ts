/** Whatever is done on which node, and whatever happens to the engine and the nodes meanwhile: in the end all hold the same. */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { makeImage } from "../../src/store/replica/image.ts";
import { brokenAt } from "./contract-audit.ts";
import { apply, codeOf, put, remove } from "./harness.ts";
import { type Fault, MemoryEngine, type MemoryLog } from "./memory-log.ts";
import { type Node, nodesOf, until, untilEqual } from "./replica-harness.ts";

const newNode = nodesOf();
const NODES = 3;
const COLLECTIONS = ["tokens", "nodes"];

const node = fc.nat(NODES - 1);
const name = fc.constantFrom("a", "b", "c", "d");
const step = fc.oneof(
  { weight: 8, arbitrary: fc.record({ what: fc.constant("put"), node, name, spec: fc.nat(2) }) },
  { weight: 3, arbitrary: fc.record({ what: fc.constant("delete"), node, name }) },
  {
    weight: 3,
    arbitrary: fc.record({ what: fc.constant("private"), node, name, collection: fc.constantFrom(...COLLECTIONS), gone: fc.boolean() }),
  },
  { weight: 1, arbitrary: fc.record({ what: fc.constant("audit"), node }) },
  {
    weight: 1,
    arbitrary: fc.record({ what: fc.constant("fault"), node, fault: fc.constantFrom<Fault>("answer-lost", "request-lost", "delayed") }),
  },
  { weight: 2, arbitrary: fc.record({ what: fc.constant("cut off"), node, away: fc.boolean() }) },
  { weight: 1, arbitrary: fc.record({ what: fc.constant("slow"), node, turns: fc.nat(8) }) },
  { weight: 2, arbitrary: fc.record({ what: fc.constant("restart"), node }) },
  { weight: 1, arbitrary: fc.record({ what: fc.constant("stop"), node }) },
  { weight: 1, arbitrary: fc.record({ what: fc.constant("snapshot"), node }) },
  { weight: 1, arbitrary: fc.record({ what: fc.constant("deliver") }) },
  { weight: 1, arbitrary: fc.record({ what: fc.constant("roll back"), count: fc.integer({ min: 1, max: 3 }) }) },
);
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;

class World {
  readonly engine = new MemoryEngine();
  readonly #logs: (MemoryLog | undefined)[] = [];
  readonly nodes: readonly Node[] = Array.from({ length: NODES }, (_, index) =>
    newNode(() => {
      const log = this.engine.connect();
      this.#logs[index] = log;
      return log;
    }),
  );
  /** What was asked and is not answered yet: the next step does not wait for it. */
  readonly #asked: Promise<unknown>[] = [];

  async begin(): Promise<void> {
    for (const one of this.nodes) await this.#start(one);
  }

  async #start(one: Node): Promise<void> {
    // Where nothing was ever synced a node does not start without the engine.
    await one.start({ patienceMs: 20, firstSyncMs: 2_000, writeTimeoutMs: 150, random: () => 0 }).catch(() => {});
  }

  async run(one: Step): Promise<void> {
    if (one.what === "deliver") this.engine.deliver();
    if ("count" in one) this.#rollBack(one.count);
    if (!("node" in one)) return;
    const target = this.nodes[one.node] as Node;
    const log = this.#logs[one.node];
    if (one.what === "restart" || one.what === "stop") await target.stop();
    if (one.what === "restart") await this.#start(target);
    if (!log || !target.isRunning) return;
    if ("fault" in one) log.faults.push(one.fault);
    if ("away" in one) log.setAway(one.away);
    if ("turns" in one) log.slow = one.turns;
    if (one.what === "snapshot") await this.#snapshot(target, log);
    const audit = { who: "x", from: "y", action: "z", outcome: "done", targets: [] } as const;
    if ("spec" in one) this.#ask(apply(target.store, put(one.name, one.spec)));
    else if ("gone" in one) {
      const { collection, name: id, gone } = one;
      this.#ask(target.store.writePrivate({ collection, puts: gone ? [] : [{ id, value: { id } }], deletes: gone ? [id] : [], audit }));
    } else if ("name" in one) this.#ask(remove(target.store, one.name));
    else if (one.what === "audit") this.#ask(target.store.recordAudit(audit));
    await new Promise((resolve) => setImmediate(resolve));
  }

  /** Not to before its snapshot, nor to an empty log, which nodes that hold something do not follow (replica-resync.test.ts). */
  #rollBack(count: number): void {
    const { snapshot, head } = this.engine;
    this.engine.rollBack(Math.min(count, head.sequence - Math.max(1, snapshot?.place.sequence ?? 1)));
  }

  /** What a node does when one is due. */
  async #snapshot({ path }: Node, log: MemoryLog): Promise<void> {
    const { sequence, id, bytes } = await makeImage(path);
    const known = this.engine.entries.some(({ place }) => place.sequence === sequence && place.id === id);
    if (known) await log.putSnapshot({ place: { sequence, id }, bytes }, sequence).catch(() => {});
  }

  #ask(answer: Promise<unknown>): void {
    this.#asked.push(codeOf(answer).then((code) => expect(["resolved", "conflict", "not_found", "unavailable"]).toContain(code)));
  }

  /** All faults are mended. */
  async end(): Promise<void> {
    await Promise.all(this.#asked);
    this.engine.deliver();
    for (const log of this.engine.clients) {
      log.faults = [];
      log.slow = 0;
      log.setAway(false);
    }
    for (const one of this.nodes) if (!one.isRunning) await one.start({ firstSyncMs: 5_000 });
  }
}

describe("nodes on one log", () => {
  test("end with the same rows, audit and private records, and histories that agree, for any order of changes, faults and restarts", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 40 }), async (steps) => {
        const world = new World();
        await world.begin();
        for (const one of steps) await world.run(one);
        await world.end();
        // A last change by everyone: no node is left behind, and none is stuck.
        for (const [index, { store }] of world.nodes.entries()) {
          await until("a last change is made", async () => (await codeOf(apply(store, put(`last-${index}`, 1)))) === "resolved");
        }
        await untilEqual(world.nodes, COLLECTIONS);
        const histories = await Promise.all(
          world.nodes.map(async ({ store }) => ({ entries: await store.history(), compacted: (await store.revisions(0)).compacted })),
        );
        const since = Math.max(...histories.map(({ compacted }) => compacted));
        const shared = histories.map(({ entries }) => entries.filter(({ revision }) => revision > since));
        for (const one of shared) expect(one).toEqual(shared[0] as never);
        for (const { store } of world.nodes) {
          expect(await brokenAt(store)).toBeUndefined();
          const { revision, compacted, revisions } = await store.revisions(0);
          expect(revisions.map((one) => one.revision)).toEqual(
            Array.from({ length: revision - compacted }, (_, index) => compacted + 1 + index),
          );
        }
        for (const one of world.nodes) await one.stop();
      }),
      { numRuns: 25, interruptAfterTimeLimit: 60_000 },
    );
  }, 120_000);
});
