/** What a node does while its engine is away, slow, silent or full, and when an answer is lost. */
import { describe, expect, test } from "bun:test";
import type { WeftError } from "../../src/lib/errors.ts";
import { apply, codeOf, idOf, put, refusal, take } from "./harness.ts";
import { type Fault, MemoryEngine, type MemoryLog } from "./memory-log.ts";
import { type Node, nodesOf, until, untilEqual } from "./replica-harness.ts";

const newNode = nodesOf();

async function start(count: number): Promise<{ engine: MemoryEngine; nodes: readonly Node[]; logs: readonly MemoryLog[] }> {
  const engine = new MemoryEngine();
  const nodes = Array.from({ length: count }, () => newNode(() => engine.connect()));
  for (const node of nodes) await node.start();
  return { engine, nodes, logs: engine.clients };
}

const standing = (node: Node) => node.store.standing?.();
const inTouch = (node: Node) => until("the node is in touch", () => standing(node)?.inTouch === true);
const outOfTouch = (node: Node) => until("the node knows that it is out of touch", () => standing(node)?.inTouch === false);

describe("a node whose engine is away", () => {
  test("serves what it had, says how old that is and why, and refuses writes as unavailable with the same words", async () => {
    const { engine, nodes } = await start(1);
    const [node] = nodes as [Node];
    await apply(node.store, put("a", 1));
    engine.setAway(true);
    await outOfTouch(node);
    expect((await node.store.list()).resources).toHaveLength(1);
    expect(standing(node)).toMatchObject({ engine: "memory log", inTouch: false, reason: "memory log: connection refused" });
    expect(standing(node)?.behindMs).toBeNumber();
    const refused = await refusal(apply(node.store, put("a", 2)));
    expect(refused.code).toBe("unavailable");
    expect(refused.message).toMatch(/^serving revision 1, \d+ s behind: memory log: .*connection refused; nothing was changed$/);
    const audit = { who: "x", from: "y", action: "z", outcome: "done", targets: [] } as const;
    const others = [
      node.store.recordAudit(audit),
      node.store.writePrivate({ collection: "c", puts: [], deletes: [], audit }),
      node.store.checkWritable(),
      apply(node.store, put("a", 1)),
    ];
    expect(await Promise.all(others.map(codeOf))).toEqual(Array(4).fill("unavailable"));
  });

  test("starts again and serves, and knows from the disk since when it is behind", async () => {
    const { engine, nodes } = await start(1);
    const [node] = nodes as [Node];
    await apply(node.store, put("a", 1));
    await node.stop();
    engine.setAway(true);
    const begin = performance.now();
    await node.start();
    expect(performance.now() - begin).toBeLessThan(5_000);
    expect((await node.store.get(idOf("a")))?.revision).toBe(1);
    expect(standing(node)?.behindMs).toBeGreaterThan(100);
    expect(await codeOf(apply(node.store, put("a", 2)))).toBe("unavailable");
  });

  test("starts and serves likewise where the engine takes connections and answers nothing", async () => {
    const { nodes, engine } = await start(1);
    const [node] = nodes as [Node];
    await apply(node.store, put("a", 1));
    await node.stop();
    const silent = newNodeOf(node, () => {
      const log = engine.connect();
      log.setSilent(true);
      return log;
    });
    await silent.start();
    expect((await silent.store.list()).resources).toHaveLength(1);
    expect(await codeOf(apply(silent.store, put("a", 2)))).toBe("unavailable");
  });

  test("does not start where it has never been in touch, and says after a while why", async () => {
    const engine = new MemoryEngine();
    engine.setAway(true);
    const node = newNode(() => engine.connect());
    const refused = await refusal(node.start());
    expect(refused.code).toBe("unavailable");
    expect(refused.message).toContain("memory log: connection refused");
    expect(refused.message).toContain("nothing of its log yet");
    engine.setAway(false);
    await node.start();
    expect(standing(node)?.inTouch).toBe(true);
  });

  test("catches up by itself, and tells its watchers of what is new and of nothing else", async () => {
    const { nodes, logs } = await start(2);
    const [a, b] = nodes as [Node, Node];
    await apply(a.store, put("a", 1));
    await untilEqual(nodes);
    const abort = new AbortController();
    const seen: number[] = [];
    const watching = (async () => {
      for await (const event of b.store.watch(1, abort.signal)) {
        if (event.type === "lost") throw new Error(event.reason);
        seen.push(event.revision);
      }
    })();
    logs[1]?.setAway(true);
    await outOfTouch(b);
    logs[1]?.setAway(false);
    await inTouch(b);
    expect(seen).toEqual([]);
    logs[1]?.setAway(true);
    await outOfTouch(b);
    await apply(a.store, put("a", 2));
    await apply(a.store, put("b", 1));
    logs[1]?.setAway(false);
    await untilEqual(nodes);
    abort.abort();
    await watching;
    expect(seen).toEqual([2, 3]);
  });

  test("says so to who listens, when it loses touch and when it finds it again", async () => {
    const { engine, nodes } = await start(1);
    const [node] = nodes as [Node];
    let told = 0;
    node.store.onPrivate((collection) => {
      if (collection === "") told += 1;
    });
    engine.setAway(true);
    await outOfTouch(node);
    expect(told).toBeGreaterThan(0);
    const before = told;
    engine.setAway(false);
    await inTouch(node);
    expect(told).toBeGreaterThan(before);
  });

  test("refuses changes at once where there is nobody to connect to, also those that wait for another, until it is in touch again", async () => {
    const { engine, nodes, logs } = await start(1);
    const [node] = nodes as [Node];
    const timed = async (change: Promise<unknown>) => {
      const began = performance.now();
      expect((await refusal(change)).message).toContain("nothing was changed");
      return performance.now() - began;
    };
    logs[0]?.setHolding(true);
    const underWay = apply(node.store, put("a", 1));
    // It is sent, and unanswered.
    await until("it is under way", () => logs[0]?.held === 1);
    const waiting = timed(apply(node.store, put("a", 2)));
    engine.nobody = true;
    engine.setAway(true);
    await outOfTouch(node);
    const began = performance.now();
    await Promise.all([waiting, timed(apply(node.store, put("a", 3)))]);
    expect(performance.now() - began).toBeLessThan(500);
    engine.setAway(false);
    logs[0]?.setHolding(false);
    await underWay;
    await inTouch(node);
    expect((await apply(node.store, put("a", 4))).revision).toBe(2);
  });

  test("tries again soon where a change was refused, however long the engine has been away", async () => {
    const engine = new MemoryEngine();
    const node = newNode(() => engine.connect());
    await node.start({ random: () => 1 });
    await apply(node.store, put("a", 1));
    const follows = () => engine.clients[0]?.follows ?? 0;
    const before = follows();
    engine.nobody = true;
    engine.setAway(true);
    // It comes after 2.6 s, and the next 3 s later.
    await until("the fourth try", () => follows() === before + 3);
    engine.setAway(false);
    const began = performance.now();
    await refusal(apply(node.store, put("a", 2)));
    await inTouch(node);
    expect(performance.now() - began).toBeLessThan(1_500);
  });

  test("learns from a change that nobody could take that there is nobody to connect to", async () => {
    const { engine, nodes } = await start(1);
    const [node] = nodes as [Node];
    engine.nobody = true;
    // Without a word to its followers.
    engine.away = true;
    expect((await refusal(apply(node.store, put("a", 1)))).message).toContain("nothing was changed");
    expect(standing(node)).toMatchObject({ inTouch: false, reason: "memory log: connection refused" });
    engine.setAway(false);
    await inTouch(node);
  });

  test("hands on what the engine cannot promise", async () => {
    const { nodes } = await start(1);
    await until("the warnings came", () => (standing(nodes[0] as Node)?.warnings.length ?? 0) > 0);
    expect(standing(nodes[0] as Node)?.warnings).toEqual(["nothing of it is kept"]);
  });

  test("refuses what a full engine refuses, says that nothing was changed, and goes on when there is room", async () => {
    const { engine, nodes } = await start(1);
    const [node] = nodes as [Node];
    await node.store.checkWritable();
    engine.full = true;
    expect((await refusal(apply(node.store, put("a", 1)))).message).toBe("memory log: it takes nothing more; nothing was changed");
    expect(await codeOf(node.store.checkWritable())).toBe("unavailable");
    expect(standing(node)?.inTouch).toBe(true);
    engine.full = false;
    expect((await apply(node.store, put("a", 1))).revision).toBe(1);
  });
});

/** The same data directory, reached through other connections. */
function newNodeOf(node: Node, connect: () => MemoryLog): Node {
  const again = newNode(connect);
  Object.defineProperty(again, "path", { value: node.path });
  return again;
}

describe("a write whose answer is lost", () => {
  const outcomes: readonly (readonly [string, readonly Fault[]])[] = [
    ["was made", ["answer-lost"]],
    ["was lost on its way", ["request-lost"]],
    ["was lost on its way, again and again", ["request-lost", "request-lost", "request-lost"]],
    ["was made at the second try, whose answer is lost too", ["request-lost", "answer-lost"]],
    ["may still come", ["delayed"]],
  ];
  for (const [what, faults] of outcomes) {
    test(`is answered when it is known, and made once, where it ${what}`, async () => {
      const { engine, nodes, logs } = await start(2);
      const [a, b] = nodes as [Node, Node];
      await apply(a.store, put("a", 0));
      logs[0]?.faults.push(...faults);
      expect((await apply(a.store, put("a", 1))).revision).toBe(2);
      engine.deliver();
      await apply(b.store, put("b", 1));
      await untilEqual(nodes);
      expect(engine.head.sequence).toBe(3);
      expect((await a.store.history()).map(({ revision, name }) => [revision, name])).toEqual([
        [3, "b"],
        [2, "a"],
        [1, "a"],
      ]);
    });
  }

  test("is planned again where another node's came in its place", async () => {
    const { nodes, logs, engine } = await start(2);
    const [a, b] = nodes as [Node, Node];
    await apply(a.store, put("a", 0));
    await untilEqual(nodes);
    logs[0]?.faults.push("delayed");
    const lost = apply(a.store, put("a", "a"));
    await until("it is under way", () => logs[0]?.faults.length === 0);
    await apply(b.store, put("a", "b"));
    expect((await lost).revision).toBe(3);
    engine.deliver();
    await untilEqual(nodes);
    expect((await b.store.get(idOf("a")))?.document.spec).toBe("a");
    expect((await b.store.list()).revision).toBe(3);
  });

  test("is answered as unavailable where it stays unknown, with how to find out; it is there later where it was made, and once", async () => {
    const { engine, nodes, logs } = await start(2);
    const [a] = nodes as [Node];
    await apply(a.store, put("a", 0));
    logs[0]?.faults.push("delayed");
    const asked = refusal(apply(a.store, put("a", 1)));
    await until("it is under way", () => logs[0]?.faults.length === 0);
    logs[0]?.setAway(true);
    const refused: WeftError = await asked;
    expect(refused.code).toBe("unavailable");
    expect(refused.message).toContain("it may have been, or may still be, or not");
    expect(refused.message).toContain("`weft get VirtualService a -n default` shows it");
    engine.deliver();
    logs[0]?.setAway(false);
    await until("the change is there", async () => (await a.store.get(idOf("a")))?.document.spec === 1);
    await untilEqual(nodes);
    expect((await apply(a.store, put("a", 1))).revision).toBe(2);
  });

  test("keeps the node from saying that it is in touch, and from writing more, until it can come true no more", async () => {
    const { nodes, logs } = await start(2);
    const [a, b] = nodes as [Node, Node];
    logs[0]?.setHolding(true);
    const given = refusal(apply(a.store, put("a", 1)));
    await apply(b.store, put("b", 1));
    await apply(b.store, put("b", 2));
    expect((await given).message).toContain("it may have been, or may still be, or not");
    // Entries go on coming, and what is told of the log's end.
    await apply(b.store, put("b", 3));
    await until("the other's change is here", async () => (await a.store.get(idOf("b")))?.document.spec === 3);
    await Bun.sleep(100);
    expect(standing(a)).toMatchObject({ inTouch: false, reason: "it is not known yet what became of a change that was given up" });
    expect((await refusal(apply(a.store, put("c", 1)))).message).toContain("nothing was changed");
    logs[0]?.setHolding(false);
    await inTouch(a);
    expect(await a.store.get(idOf("a"))).toBeUndefined();
    expect(await codeOf(apply(a.store, put("c", 1)))).toBe("resolved");
  });

  test("is there as soon as the node says that it is in touch, where it came true after it was given up", async () => {
    const { nodes, logs } = await start(1);
    const [node] = nodes as [Node];
    logs[0]?.setHolding(true);
    expect((await refusal(apply(node.store, put("a", 1)))).message).toContain("may still be");
    logs[0]?.setHolding(false);
    await inTouch(node);
    expect((await node.store.get(idOf("a")))?.document.spec).toBe(1);
  });

  test("is answered within its time by an engine that has fallen silent", async () => {
    const { nodes, logs } = await start(1);
    const [node] = nodes as [Node];
    logs[0]?.setSilent(true);
    const begin = performance.now();
    expect((await refusal(apply(node.store, put("a", 1)))).message).toContain("did not say within 2 s");
    expect(performance.now() - begin).toBeLessThan(4_000);
    logs[0]?.setSilent(false);
    expect(await codeOf(apply(node.store, put("b", 1)))).toBe("resolved");
    expect(await take(node.store.watch(0, AbortSignal.timeout(500)), () => false)).not.toEqual([]);
  });
});
