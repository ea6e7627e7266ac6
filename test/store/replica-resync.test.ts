/** What a node does where the log cannot go on from its place: it was trimmed, has lost writes, is empty, another one, or not to be read. */
import { describe, expect, test } from "bun:test";
import { readdirSync, readFileSync, renameSync } from "node:fs";
import { basename, join } from "node:path";
import { parseAllDocuments } from "yaml";
import { systemClock } from "../../src/lib/clock.ts";
import { openSqliteStore } from "../../src/store/index.ts";
import { placeAtStart } from "../../src/store/replica/stage.ts";
import { openConnection } from "../../src/store/sqlite/open.ts";
import { writeFilling } from "../../src/store/sqlite/place.ts";
import { writeResource } from "../../src/store/sqlite/rows.ts";
import { brokenAt } from "./contract-audit.ts";
import { apply, codeOf, idOf, put, refusal, remove, take } from "./harness.ts";
import { MemoryEngine, type MemoryLog } from "./memory-log.ts";
import { type Node, nodesOf, until, untilEqual } from "./replica-harness.ts";

const newNode = nodesOf();
const AUDIT = { who: "uid 0", from: "admin.sock", action: "join", outcome: "done", targets: ["node b"] } as const;
/** So that it does not pack, and a few of them make a snapshot due (16 MiB). */
const large = (bytes: number) =>
  Buffer.from(crypto.getRandomValues(new Uint8Array(60_000)))
    .toString("base64")
    .repeat(1)
    .slice(0, bytes);

async function start(count: number) {
  const engine = new MemoryEngine();
  const nodes = Array.from({ length: count }, () => newNode(() => engine.connect())) as [Node, Node, Node];
  for (const node of nodes) await node.start();
  return { engine, nodes };
}

/** Writes until the engine has a snapshot, and lets the entries before it go. */
async function snapshotAndTrim(engine: MemoryEngine, node: Node): Promise<void> {
  for (let round = 0; !engine.snapshot; round++) {
    if (round > 600) throw new Error("no snapshot was made");
    await apply(node.store, ...[0, 1, 2, 3, 4].map((part) => put(`large-${part}`, { round, text: large(60_000) })));
  }
  engine.trim(engine.snapshot.place.sequence);
}

const standing = (node: Node) => node.store.standing?.();
const reason = (node: Node, words: string) => until(`the node says "${words}"`, () => standing(node)?.reason?.includes(words) === true);

describe("a node that lost its place", () => {
  test("takes the snapshot, removes what is gone, and its watchers list again", async () => {
    const { engine, nodes } = await start(2);
    const [a, b] = nodes;
    await apply(a.store, put("stays", 1), put("goes", 1), put("changes", 1));
    await a.store.writePrivate({ collection: "used", puts: [{ id: "x", value: {} }], deletes: [], audit: AUDIT });
    await untilEqual([a, b], ["used"]);
    await b.stop();
    await remove(a.store, "goes");
    await apply(a.store, put("changes", 2), put("comes", 1));
    await a.store.writePrivate({ collection: "used", puts: [], deletes: ["x"], audit: AUDIT });
    await snapshotAndTrim(engine, a);
    // The engine is out of reach while b starts, so that its watch begins before it catches up.
    engine.setAway(true);
    await b.start();
    const told: string[] = [];
    b.store.onPrivate((collection) => told.push(collection));
    const uid = (await b.store.get(idOf("stays")))?.uid;
    const watching = take(b.store.watch((await b.store.list()).revision, new AbortController().signal), () => false);
    engine.setAway(false);
    expect(await watching).toEqual([{ type: "lost", reason: expect.stringContaining("list again") }]);
    const state = (await untilEqual([a, b], ["used"])) as { resources: { name: string }[]; records: unknown };
    expect(state.resources.map(({ name }) => name).filter((name) => !name.startsWith("large"))).toEqual(["changes", "comes", "stays"]);
    expect(state.records).toEqual([[]]);
    expect(told).toContain("used");
    expect((await b.store.get(idOf("stays")))?.uid).toBe(uid as string);
    expect(await brokenAt(b.store)).toBeUndefined();
    expect(await b.store.readAudit({ after: 0, limit: 3 })).toEqual(await a.store.readAudit({ after: 0, limit: 3 }));
    expect(standing(b)?.warnings).not.toContainEqual(expect.stringContaining("lost changes"));
    await apply(b.store, put("after", 1));
    await untilEqual([a, b]);
  }, 60_000);

  test("a fresh node starts from the snapshot and the entries after it, and its audit and private records are whole", async () => {
    const { engine, nodes } = await start(1);
    const [a] = nodes;
    await a.store.writePrivate({ collection: "nodes", puts: [{ id: "a", value: { n: 1 } }], deletes: [], audit: AUDIT });
    await snapshotAndTrim(engine, a);
    await apply(a.store, put("after", 1));
    const fresh = newNode(() => engine.connect());
    await fresh.start();
    await untilEqual([a, fresh], ["nodes"]);
    expect(await brokenAt(fresh.store)).toBeUndefined();
    expect((await fresh.store.history()).map(({ name }) => name)).toContain("after");
    expect(readdirSync(fresh.directory).filter((name) => name.includes("resync"))).toEqual([]);
  }, 60_000);

  test("a fresh node takes a mesh of many resources in many turns of the event loop", async () => {
    const { engine, nodes } = await start(1);
    const [a] = nodes;
    for (let part = 0; part < 5; part++) {
      await apply(a.store, ...Array.from({ length: 2_000 }, (_, index) => put(`r-${part}-${index}`, index)));
    }
    await snapshotAndTrim(engine, a);
    const fresh = newNode(() => engine.connect());
    let turns = 0;
    const counting = setInterval(() => {
      turns += 1;
    }, 0);
    await fresh.start({ firstSyncMs: 300 });
    clearInterval(counting);
    await untilEqual([a, fresh]);
    expect((await fresh.store.list()).resources).toHaveLength(10_005);
    // Two for each thousand rows at the very least; in one turn it would be a handful.
    expect(turns).toBeGreaterThan(20);
  }, 60_000);
});

describe("a node that was killed while it was filled for the first time", () => {
  test("begins anew, without what it had of it", async () => {
    const { engine, nodes } = await start(1);
    await apply(nodes[0].store, put("a", 1));
    const node = newNode(() => engine.connect());
    const { connection } = openConnection(node.path);
    writeFilling(connection, placeAtStart("memory log", "2026-01-01T00:00:00Z"));
    const row = { ...idOf("half"), document: "{}", hash: "", source: "{}", uid: "1", revision: 1, createdAt: "", updatedAt: "" };
    writeResource(connection, row);
    connection.close();
    await node.start();
    expect((await node.store.list()).resources.map(({ name }) => name)).toEqual(["a"]);
    await untilEqual([nodes[0], node]);
  });
});

describe("a log that lost writes which it had acknowledged", () => {
  test("is followed, and never mixed: what it lost is in a file that can be applied again, and a warning stays until that is moved away", async () => {
    const { engine, nodes } = await start(2);
    const [a, b] = nodes;
    await apply(a.store, put("kept", 1), put("gone", 1));
    await untilEqual([a, b]);
    engine.setAway(true);
    engine.setAway(false);
    await apply(a.store, put("lost", { x: [1] }));
    await apply(a.store, put("kept", 2));
    await apply(a.store, put("kept", 3));
    await remove(a.store, "gone");
    await untilEqual([a, b]);
    const watching = take(a.store.watch((await a.store.list()).revision, new AbortController().signal), () => false);
    await b.stop();
    engine.rollBack(4);
    expect(await watching).toEqual([{ type: "lost", reason: expect.stringContaining("list again") }]);
    await until("the node follows the log again", () => standing(a)?.inTouch === true);
    expect((await a.store.list()).resources.map(({ name, document }) => [name, document.spec])).toEqual([
      ["gone", 1],
      ["kept", 1],
    ]);
    expect((await a.store.list()).revision).toBe(1);
    const [file = ""] = readdirSync(a.directory).filter((name) => name.includes(".lost-"));
    const text = readFileSync(join(a.directory, file), "utf8");
    const documents = parseAllDocuments(text)
      .map((document) => document.toJS())
      .filter(Boolean);
    expect(documents).toEqual([put("lost", { x: [1] }).document, put("kept", 3).document] as never);
    expect(text).toContain("# weft delete VirtualService gone -n default");
    expect(standing(a)?.warnings[0]).toContain(file);
    expect(await brokenAt(a.store)).toBeUndefined();

    await apply(a.store, put("kept", 4));
    await b.start();
    await untilEqual([a, b]);
    expect(readdirSync(b.directory).some((name) => name.includes(".lost-"))).toBe(true);
    await a.stop();
    await a.start();
    expect(standing(a)?.warnings[0]).toContain(file);
    await a.stop();
    renameSync(join(a.directory, file), join(a.directory, `done-${basename(file)}`));
    await a.start();
    expect(standing(a)?.warnings ?? []).not.toContainEqual(expect.stringContaining(file));
  });

  test("is found out also where others wrote as many since: a watcher at the same revision lists again", async () => {
    const { engine, nodes } = await start(2);
    const [a, b] = nodes;
    await apply(a.store, put("a", "first"));
    await untilEqual([a, b]);
    await b.stop();
    const uid = (await a.store.get(idOf("a")))?.uid;
    await apply(a.store, put("a", "lost"));
    await a.stop();
    engine.rollBack(1);
    await b.start();
    await apply(b.store, put("a", "instead"));
    engine.setAway(true);
    await a.start();
    const watching = take(a.store.watch(2, new AbortController().signal), () => false);
    expect((await a.store.get(idOf("a")))?.document.spec).toBe("lost");
    engine.setAway(false);
    expect(await watching).toEqual([{ type: "lost", reason: expect.stringContaining("list again") }]);
    expect(await a.store.get(idOf("a"))).toMatchObject({ revision: 2, uid, document: { spec: "instead" } });
    await untilEqual([a, b]);
    expect((await a.store.history()).map(({ document }) => document.spec)).toEqual(["instead", "first"]);
  });
});

describe("an empty log", () => {
  test("that had entries before takes nothing from a node: it serves, says so, and fills the log where it is told to carry over", async () => {
    const { engine, nodes } = await start(2);
    const [a, b] = nodes;
    await apply(a.store, put("a", 1));
    await a.store.writePrivate({ collection: "nodes", puts: [{ id: "a", value: {} }], deletes: [], audit: AUDIT });
    await untilEqual([a, b]);
    engine.empty();
    await reason(a, "is empty");
    expect((await a.store.list()).resources).toHaveLength(1);
    expect(await codeOf(apply(a.store, put("a", 2)))).toBe("unavailable");
    await a.stop();
    await a.start();
    expect((await a.store.list()).resources).toHaveLength(1);
    expect(standing(a)?.inTouch).toBe(false);
    await a.stop();
    await a.start({ carryOver: true });
    await until("the node is in touch", () => standing(a)?.inTouch === true);
    await apply(a.store, put("a", 2));
    await untilEqual([a, b], ["nodes"]);
    expect(standing(b)?.warnings).not.toContainEqual(expect.stringContaining("lost changes"));
    const fresh = newNode(() => engine.connect());
    await fresh.start();
    await untilEqual([a, fresh], ["nodes"]);
  });

  test("is filled with what a database of --store sqlite holds only where that is asked for", async () => {
    const engine = new MemoryEngine();
    const [node, other] = [newNode(() => engine.connect()), newNode(() => engine.connect())];
    const before = await openSqliteStore({ path: node.path, clock: systemClock });
    await apply(before, put("a", 1), put("b", 1));
    await remove(before, "b");
    const { head } = await before.readAudit({ after: 0, limit: 0 });
    await before.close();
    const refused = await refusal(node.start());
    expect([refused.code, refused.help]).toEqual(["conflict", expect.stringContaining("--carry-over")]);
    expect(engine.head.sequence).toBe(0);
    await node.start({ carryOver: true });
    expect((await node.store.list()).revision).toBe(2);
    expect((await node.store.history()).length).toBe(3);
    await other.start();
    await untilEqual([node, other]);
    expect((await other.store.readAudit({ after: 0, limit: 0 })).head).toEqual(head);
    await apply(other.store, put("c", 1));
    await untilEqual([node, other]);
    await node.stop();
    await node.start();
    expect((await node.store.list()).revision).toBe(3);
  });

  test("that was filled by another node first is not filled again, nor mixed with", async () => {
    const engine = new MemoryEngine();
    const nodes = [newNode(() => engine.connect()), newNode(() => engine.connect())] as const;
    for (const { path } of nodes) {
      const store = await openSqliteStore({ path, clock: systemClock });
      await apply(store, put("own", path));
      await store.close();
    }
    await nodes[0].start({ carryOver: true });
    const refused = await refusal(nodes[1].start({ carryOver: true }));
    expect(refused.code).toBe("conflict");
    expect(refused.message).toContain("holds resources of its own");
    const alone = await openSqliteStore({ path: nodes[1].path, clock: systemClock });
    expect((await alone.get(idOf("own")))?.document.spec).toBe(nodes[1].path);
    await alone.close();
  });
});

describe("a database that belongs to another store", () => {
  test("is not taken from one log to another, nor to SQLite alone, unless it is carried over", async () => {
    const [one, two] = [new MemoryEngine(), new MemoryEngine()];
    let engine = one;
    const node = newNode(() => engine.connect());
    await node.start();
    await apply(node.store, put("a", 1));
    await node.stop();
    const other = newNode(() => two.connect());
    await other.start();
    await apply(other.store, put("b", 1));
    engine = two;
    const refused = await refusal(node.start());
    expect(refused.message).toContain("is another one than this database has followed");
    expect((await refusal(openSqliteStore({ path: node.path, clock: systemClock }))).message).toContain("follows the log in memory log");
    engine = one;
    await node.start();
    expect((await node.store.list()).resources.map(({ name }) => name)).toEqual(["a"]);
    await node.stop();
    const alone = await openSqliteStore({ path: node.path, clock: systemClock, carryOver: true });
    await apply(alone, put("c", 1));
    await alone.close();
    expect((await refusal(node.start())).code).toBe("conflict");
  });
});

test("another log in the place of the one that is followed is not read over and over", async () => {
  const [one, two] = [new MemoryEngine(), new MemoryEngine()];
  const [node, other] = [newNode(() => one.connect()), newNode(() => two.connect())];
  await node.start();
  await other.start();
  for (const { store } of [node, other]) await apply(store, put("a", 1));
  let reads = 0;
  const log = one.clients[0] as MemoryLog;
  log.snapshot = async () => {
    reads += 1;
    await Bun.sleep(200);
    return undefined;
  };
  one.entries = two.entries;
  one.change();
  await reason(node, "is another one than this database has followed");
  await Bun.sleep(2_000);
  expect(reads).toBe(1);
  expect(standing(node)?.reason).toContain("is another one than this database has followed");
});

describe("an entry that cannot be read", () => {
  const spoil: readonly (readonly [string, (bytes: Uint8Array) => void, string])[] = [
    ["of a newer weft", (bytes) => bytes.set([99], 2), "update weft on this node"],
    ["that was damaged", (bytes) => bytes.set([(bytes.at(-1) ?? 0) ^ 1], bytes.length - 1), "is damaged"],
    ["that is none of weft's", (bytes) => bytes.set([0, 0]), "none of weft's"],
  ];
  for (const [what, change, words] of spoil) {
    test(`stops a node, which serves on and says why, and is never skipped, where it is one ${what}`, async () => {
      const { engine, nodes } = await start(2);
      const [a, b] = nodes;
      await apply(a.store, put("a", 1));
      await untilEqual([a, b]);
      await b.stop();
      await apply(a.store, put("a", 2));
      await apply(a.store, put("b", 1));
      await a.stop();
      const bytes = engine.entries[1]?.bytes ?? new Uint8Array();
      const sound = bytes.slice();
      change(bytes);
      await b.start();
      await reason(b, "entry 2");
      expect((await refusal(apply(b.store, put("c", 1)))).message).toContain("entry 2");
      expect(`${standing(b)?.reason} ${(await refusal(apply(b.store, put("c", 1)))).message}`).toContain(
        words === "update weft on this node" ? "newer weft" : words,
      );
      expect((await b.store.get(idOf("a")))?.document.spec).toBe(1);
      expect((await b.store.list()).revision).toBe(1);
      bytes.set(sound);
      await a.start();
      await untilEqual([a, b]);
    });
  }

  test("is passed by a snapshot that was made after it", async () => {
    const { engine, nodes } = await start(2);
    const [a, b] = nodes;
    await apply(a.store, put("a", 1));
    await untilEqual([a, b]);
    await b.stop();
    await apply(a.store, put("a", 2));
    const bytes = engine.entries[1]?.bytes;
    if (bytes) bytes[2] = 99;
    await b.start();
    await reason(b, "entry 2");
    for (let round = 0; !engine.snapshot; round++)
      await apply(a.store, ...[0, 1, 2, 3, 4].map((part) => put(`large-${part}`, { round, text: large(60_000) })));
    await untilEqual([a, b]);
  }, 60_000);
});
