/** The part of the contract that is about the past and the future: history, watch, compaction, and the end. */
import { describe, expect, test } from "bun:test";
import { apply, clockAt, codeOf, idOf, type OpenForTest, opener, put, take } from "./harness.ts";

export function watchContract(name: string, open: OpenForTest): void {
  describe(`the ${name} store`, () => {
    const start = opener(open);

    test("tells its history newest first, with who, when, what and the document of then", async () => {
      const clock = clockAt("2026-01-01T00:00:00Z");
      const store = await start({ clock });
      await store.apply({ puts: [put("a", 1), put("b", 1)], deletes: [], who: "uid 1000" });
      clock.set("2026-01-02T00:00:00Z");
      await store.apply({ puts: [put("a", 2)], deletes: [idOf("b")], who: "admin token" });
      const entry = (name: string, revision: number, action: string, spec: number) => ({
        ...idOf(name),
        revision,
        action,
        who: revision === 1 ? "uid 1000" : "admin token",
        at: `2026-01-0${revision}T00:00:00.000Z`,
        document: put(name, spec).document,
      });
      const second = [entry("a", 2, "updated", 2), entry("b", 2, "deleted", 1)];
      const first = [entry("a", 1, "created", 1), entry("b", 1, "created", 1)];
      expect(await store.history()).toEqual([...second, ...first] as never);
      expect(await store.history({ since: 1 })).toEqual(second as never);
      expect(await store.history({ limit: 3 })).toEqual([...second, first[0]] as never);
      expect(await store.history({ name: "b" })).toEqual([second[1], first[1]] as never);
      expect(await store.history({ kind: "ServiceEntry" })).toEqual([]);
    });

    test("a watcher sees what was there and then what comes, whole revisions, each once and in order", async () => {
      const store = await start();
      await apply(store, put("a", 0), put("b", 0));
      await apply(store, put("a", 1));
      const abort = new AbortController();
      const seen = take(store.watch(0, abort.signal), (event) => event.type === "revision" && event.revision === 4);
      await apply(store, put("b", 0));
      await store.apply({ puts: [put("c", 0)], deletes: [idOf("a")], who: "uid 1000" });
      await apply(store, put("d", 0));
      const events = await seen;
      const short = events.map((event) => event.type === "revision" && [event.revision, event.changes.map((c) => `${c.action} ${c.name}`)]);
      expect(short).toEqual([
        [1, ["created a", "created b"]],
        [2, ["updated a"]],
        [3, ["created c", "deleted a"]],
        [4, ["created d"]],
      ]);
      const third = events[2];
      expect(third?.type === "revision" && third.changes[1]?.resource).toMatchObject({ revision: 2, document: put("a", 1).document });
    });

    test("watchers that start in the midst of writes see each revision once, at any speed", async () => {
      const store = await start();
      const last = 150;
      const watchers: Promise<number[]>[] = [];
      const watch = async (since: number, turns: number) => {
        const seen: number[] = [];
        for await (const event of store.watch(since, new AbortController().signal)) {
          if (event.type === "lost") throw new Error(event.reason);
          seen.push(event.revision);
          if (event.revision === last) break;
          for (let turn = 0; turn < turns; turn++) await new Promise((resolve) => setImmediate(resolve));
        }
        return seen;
      };
      for (let revision = 1; revision <= last; revision++) {
        if (revision % 30 === 0) watchers.push(watch(revision - 1, 0), watch(revision - 20, 3), watch(0, 1));
        await apply(store, put("a", revision));
        if (revision % 7 === 0) await new Promise((resolve) => setImmediate(resolve));
      }
      for (const [index, seen] of (await Promise.all(watchers)).entries()) {
        const begin = [30, 60, 90, 120, 150][Math.floor(index / 3)] ?? 0;
        const since = [begin - 1, begin - 20, 0][index % 3] ?? 0;
        expect(seen).toEqual(Array.from({ length: last - since }, (_, offset) => since + 1 + offset));
      }
    });

    test("a watch ends quietly when it is aborted, before, between and during waits", async () => {
      const store = await start();
      await apply(store, put("a", 1));
      expect(await take(store.watch(0, AbortSignal.abort()), () => false)).toEqual([]);
      const abort = new AbortController();
      const waiting = take(store.watch(0, abort.signal), () => false);
      await new Promise((resolve) => setImmediate(resolve));
      abort.abort();
      await apply(store, put("a", 2));
      expect((await waiting).map((event) => event.type === "revision" && event.revision)).toEqual([1]);
    });

    test("a watch from a revision that the store has not reached is lost", async () => {
      const store = await start();
      await apply(store, put("a", 1));
      const events = await take(store.watch(2, new AbortController().signal), () => false);
      expect(events).toEqual([{ type: "lost", reason: expect.stringContaining("ahead of the store") }]);
    });

    test("compaction forgets old history, keeps what is stored, and watches from before it are lost", async () => {
      const store = await start();
      for (let revision = 1; revision <= 10; revision++) await apply(store, put("a", revision), put("b", 1));
      const slow = store.watch(5, new AbortController().signal)[Symbol.asyncIterator]();
      expect((await slow.next()).value).toMatchObject({ type: "revision", revision: 6 });
      await store.compact(3);
      expect((await store.history()).map((entry) => entry.revision)).toEqual([10, 9, 8]);
      expect((await store.list()).resources).toHaveLength(2);
      expect((await slow.next()).value).toMatchObject({ type: "lost", reason: expect.stringContaining("compacted") });
      expect((await slow.next()).done).toBe(true);
      const kept = await take(store.watch(7, new AbortController().signal), (e) => e.type === "lost" || e.revision === 10);
      expect(kept.map((event) => event.type === "revision" && event.revision)).toEqual([8, 9, 10]);
      expect((await apply(store, put("a", 11))).revision).toBe(11);
    });

    test("keeps its history within its limits of revisions and bytes, and always the newest revision", async () => {
      const few = await start({ historyLimit: { revisions: 4, bytes: 1e9 } });
      for (let revision = 1; revision <= 9; revision++) await apply(few, put("a", revision));
      expect((await few.history()).map((entry) => entry.revision)).toEqual([9, 8, 7, 6]);
      const small = await start({ historyLimit: { revisions: 1000, bytes: 10_000 } });
      for (let revision = 1; revision <= 9; revision++) await apply(small, put("a", String(revision).repeat(3_000)));
      expect((await small.history()).map((entry) => entry.revision)).toEqual([9, 8, 7]);
      await apply(small, put("a", "x".repeat(50_000)));
      expect((await small.history()).map((entry) => entry.revision)).toEqual([10]);
    });

    test("says that it can be written to, and that it is closed when it is", async () => {
      const store = await start();
      await store.checkWritable();
      expect((await store.list()).revision).toBe(0);
      const watching = take(store.watch(0, new AbortController().signal), () => false);
      await new Promise((resolve) => setImmediate(resolve));
      await store.close();
      await store.close();
      expect(await watching).toEqual([{ type: "lost", reason: "the store was closed" }]);
      const calls = [store.list(), store.get(idOf("a")), apply(store, put("a", 1)), store.history(), store.checkWritable()];
      expect(await Promise.all(calls.map(codeOf))).toEqual(Array(5).fill("unavailable"));
    });
  });
}
