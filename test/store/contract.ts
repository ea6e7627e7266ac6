/**
 * What every store promises (src/store/store.ts), as tests that each backend runs: `storeContract("sqlite", open)`. The property test
 * against a model is in contract-property.ts.
 */
import { afterEach, describe, expect, test } from "bun:test";
import type { Clock } from "../../src/lib/clock.ts";
import { WeftError } from "../../src/lib/errors.ts";
import type { Compactable, HistoryLimit, LostEvent, Put, ResourceId, RevisionEvent, Store } from "../../src/store/index.ts";

export interface OpenOptions {
  readonly clock: Clock;
  readonly historyLimit?: HistoryLimit;
}

export interface Opened {
  readonly store: Store & Compactable;
  /** Closes the store and removes what it left. */
  dispose(): Promise<void>;
}

export type OpenForTest = (options: OpenOptions) => Promise<Opened>;

export function clockAt(start: string): Clock & { set(time: string): void } {
  let now = Date.parse(start);
  return {
    now: () => now,
    monotonic: () => now,
    after: () => () => {},
    set(time) {
      now = Date.parse(time);
    },
  };
}

export const SOURCE = { file: "mesh.yaml", lines: { "": 1, "metadata.name": 4 } };

export function put(name: string, spec: unknown, more: Partial<Put> = {}): Put {
  const id = { kind: "VirtualService", namespace: "default", name };
  const document = { apiVersion: "networking.istio.io/v1", kind: id.kind, metadata: { name, namespace: id.namespace }, spec };
  return { ...id, document, source: SOURCE, ...more };
}

export function idOf(name: string): ResourceId {
  return { kind: "VirtualService", namespace: "default", name };
}

/** The code of the WeftError that `promise` rejects with; any other outcome is returned as text, so that the test shows it. */
export async function codeOf(promise: Promise<unknown>): Promise<string> {
  try {
    await promise;
    return "resolved";
  } catch (reason) {
    return reason instanceof WeftError ? reason.code : String(reason);
  }
}

export async function take(
  events: AsyncIterable<RevisionEvent | LostEvent>,
  enough: (event: RevisionEvent | LostEvent) => boolean,
): Promise<(RevisionEvent | LostEvent)[]> {
  const taken: (RevisionEvent | LostEvent)[] = [];
  for await (const event of events) {
    taken.push(event);
    if (enough(event)) break;
  }
  return taken;
}

export function storeContract(name: string, open: OpenForTest): void {
  describe(`the ${name} store`, () => {
    const opened: Opened[] = [];
    const start = async (options: Partial<OpenOptions> = {}) => {
      const one = await open({ clock: clockAt("2026-01-01T00:00:00Z"), ...options });
      opened.push(one);
      return one.store;
    };
    const apply = (store: Store, ...puts: Put[]) => store.apply({ puts, deletes: [], who: "uid 1000" });
    const remove = (store: Store, name: string, expected?: number) =>
      store.apply({ puts: [], deletes: [{ ...idOf(name), expect: expected }], who: "uid 1000" });
    afterEach(async () => {
      for (const one of opened.splice(0)) await one.dispose();
    });

    test("begins empty at revision 0", async () => {
      const store = await start();
      expect(await store.list()).toEqual({ revision: 0, resources: [] });
      expect(await store.get(idOf("a"))).toBeUndefined();
      expect(await store.history()).toEqual([]);
    });

    test("gives back a document as it was written, keys in the user's order", async () => {
      const store = await start();
      const spec = { z: 1, a: { "10": [true, null, -0.5, 1e21], "9": "" }, "": {} };
      await apply(store, put("a", spec));
      const stored = await store.get(idOf("a"));
      expect(stored?.document).toEqual(put("a", spec).document);
      expect(JSON.stringify(stored?.document)).toBe(JSON.stringify(put("a", spec).document));
      expect(stored?.source).toEqual(SOURCE);
    });

    test("applies many documents as one revision, and answers each in its place", async () => {
      const store = await start();
      await apply(store, put("old", 1), put("same", 1));
      const result = await store.apply({
        puts: [put("new", 1), put("old", 2), put("same", 1)],
        deletes: [],
        who: "uid 1000",
      });
      expect(result.revision).toBe(2);
      expect(result.changes.map((change) => [change.name, change.action, change.resource.revision])).toEqual([
        ["new", "created", 2],
        ["old", "updated", 2],
        ["same", "unchanged", 1],
      ]);
      const gone = await remove(store, "old");
      expect(gone.changes.map((change) => [change.action, change.resource.revision, change.resource.document])).toEqual([
        ["deleted", 2, put("old", 2).document],
      ]);
    });

    test("makes no revision of content that it has, whatever the order of keys", async () => {
      const store = await start();
      await apply(store, put("a", { x: 1, y: [{ p: 1, q: 2 }] }));
      const again = await apply(store, put("a", { y: [{ q: 2, p: 1 }], x: 1 }));
      expect(again.revision).toBe(1);
      expect(again.changes[0]?.action).toBe("unchanged");
      expect((await apply(store)).revision).toBe(1);
      expect(await store.history()).toHaveLength(1);
      const reordered = await apply(store, put("a", { x: 1, y: [{ p: 1, q: 2 }, {}] }));
      expect(reordered.revision).toBe(2);
    });

    test("refreshes the source where only that is new, without a revision", async () => {
      const store = await start();
      await apply(store, put("a", 1));
      const moved = { file: "moved.yaml", lines: { "": 7 } };
      const result = await apply(store, put("a", 1, { source: moved }));
      expect(result).toMatchObject({ revision: 1, changes: [{ action: "unchanged", resource: { revision: 1, source: moved } }] });
      expect((await store.get(idOf("a")))?.source).toEqual(moved);
      expect(await store.history()).toHaveLength(1);
    });

    test("keeps the uid and the time of creation across updates, and gives a new uid to what is made again", async () => {
      const clock = clockAt("2026-01-01T00:00:00Z");
      const store = await start({ clock });
      const made = (await apply(store, put("a", 1))).changes[0]?.resource;
      clock.set("2026-01-02T00:00:00Z");
      await apply(store, put("a", 2));
      const updated = await store.get(idOf("a"));
      expect(updated).toMatchObject({ uid: made?.uid, createdAt: "2026-01-01T00:00:00.000Z", updatedAt: "2026-01-02T00:00:00.000Z" });
      await remove(store, "a");
      clock.set("2026-01-03T00:00:00Z");
      await apply(store, put("a", 2));
      const again = await store.get(idOf("a"));
      expect(again).toMatchObject({ revision: 4, createdAt: "2026-01-03T00:00:00.000Z", updatedAt: "2026-01-03T00:00:00.000Z" });
      expect(again?.uid).not.toBe(made?.uid);
      expect(again?.uid).toMatch(/^[0-9a-f-]{36}$/);
    });

    test("writes only onto the revision that the writer expects", async () => {
      const store = await start();
      expect(await codeOf(apply(store, put("a", 1, { expect: 1 })))).toBe("conflict");
      await apply(store, put("a", 1, { expect: "absent" }));
      expect(await codeOf(apply(store, put("a", 1, { expect: "absent" })))).toBe("conflict");
      await apply(store, put("a", 2, { expect: 1 }));
      expect(await codeOf(apply(store, put("a", 2, { expect: 1 })))).toBe("conflict");
      expect(await codeOf(remove(store, "a", 1))).toBe("conflict");
      expect((await remove(store, "a", 2)).revision).toBe(3);
      expect(await codeOf(remove(store, "a"))).toBe("not_found");
    });

    test("changes nothing where one part of a transaction fails", async () => {
      const store = await start();
      await apply(store, put("a", 1), put("b", 1));
      const before = [await store.list(), await store.history()];
      const moved = { file: "moved.yaml", lines: {} };
      const failing = [
        store.apply({ puts: [put("new", 1), put("a", 2), put("b", 2, { expect: 99 })], deletes: [], who: "x" }),
        store.apply({ puts: [put("new", 1)], deletes: [idOf("a"), idOf("absent")], who: "x" }),
        store.apply({ puts: [put("a", 1, { source: moved }), put("b", 1, { expect: "absent" })], deletes: [], who: "x" }),
      ];
      expect(await Promise.all(failing.map(codeOf))).toEqual(["conflict", "not_found", "conflict"]);
      expect([await store.list(), await store.history()]).toEqual(before);
    });

    test("refuses an id that occurs twice, an id that it could not give back, and what is not JSON", async () => {
      const store = await start();
      const cycle: Record<string, unknown> = {};
      cycle.self = cycle;
      const wrong = [
        apply(store, put("a", 1), put("a", 2)),
        store.apply({ puts: [put("a", 1)], deletes: [idOf("a")], who: "x" }),
        ...["", "a/b", "a\0b", "a\ud800"].map((name) => apply(store, put(name, 1))),
        ...[Number.NaN, 1n, () => 1, new Date(0), new Map(), [undefined], cycle].map((spec) => apply(store, put("a", { spec }))),
      ];
      expect(new Set(await Promise.all(wrong.map(codeOf)))).toEqual(new Set(["invalid"]));
      expect((await store.list()).revision).toBe(0);
    });

    test("lets exactly one of two writers win who saw the same revision", async () => {
      const store = await start();
      await apply(store, put("a", 0));
      for (let round = 0; round < 20; round++) {
        const seen = (await store.get(idOf("a")))?.revision;
        const writers = [1, 2].map((writer) => codeOf(apply(store, put("a", { round, writer }, { expect: seen }))));
        expect((await Promise.all(writers)).sort()).toEqual(["conflict", "resolved"]);
      }
      expect((await store.list()).revision).toBe(21);
    });

    test("loses no update of many writers that retry on conflict", async () => {
      const store = await start();
      await apply(store, put("counter", 0));
      const increment = async () => {
        for (;;) {
          const seen = await store.get(idOf("counter"));
          const value = Number(seen?.document.spec) + 1;
          const outcome = await codeOf(apply(store, put("counter", value, { expect: seen?.revision })));
          if (outcome === "resolved") return;
          expect(outcome).toBe("conflict");
        }
      };
      await Promise.all(Array.from({ length: 10 }, increment));
      expect((await store.get(idOf("counter")))?.document.spec).toBe(10);
    });

    test("lists sorted, and by kind, namespace and name", async () => {
      const store = await start();
      const ids = [
        ["WorkloadEntry", "default", "a"],
        ["ServiceEntry", "default", "b"],
        ["ServiceEntry", "default", "a"],
        ["ServiceEntry", "apps", "z"],
        ["ServiceEntry", "apps", "Z"],
        ["ServiceEntry", "apps", "\u{1f600}"],
        ["ServiceEntry", "apps", "\uff5e"],
      ] as const;
      await apply(store, ...ids.map(([kind, namespace, name]) => put(name, 1, { kind, namespace })));
      const names = async (filter: Parameters<Store["list"]>[0]) =>
        (await store.list(filter)).resources.map(({ kind, namespace, name }) => `${kind}/${namespace}/${name}`);
      const all = [
        "ServiceEntry/apps/Z",
        "ServiceEntry/apps/z",
        "ServiceEntry/apps/\uff5e",
        "ServiceEntry/apps/\u{1f600}",
        "ServiceEntry/default/a",
        "ServiceEntry/default/b",
        "WorkloadEntry/default/a",
      ];
      expect(await names({})).toEqual(all);
      expect(await names({ kind: "ServiceEntry", namespace: "default" })).toEqual(all.slice(4, 6));
      expect(await names({ name: "a" })).toEqual(["ServiceEntry/default/a", "WorkloadEntry/default/a"]);
      expect(await names({ namespace: "nowhere" })).toEqual([]);
    });

    test("is not changed through an object that it was given or gave out", async () => {
      const store = await start();
      const given = put("a", { list: [1] });
      await apply(store, given);
      (given.document.spec as { list: number[] }).list.push(2);
      const got = await store.get(idOf("a"));
      Object.assign(got?.document ?? {}, { spec: "changed" });
      expect((await store.get(idOf("a")))?.document.spec).toEqual({ list: [1] });
    });

    test("keeps documents of several megabytes, and any Unicode", async () => {
      const store = await start();
      const odd = { "ключ \u0000 \u2028": "日本語 \u{1f600} \ud800 e\u0301 \u0000 end", quotes: "\\\"'" };
      const large = { text: "é".repeat(4_000_000) };
      await apply(store, put("large", large), put("odd-名前-\u{1f600}", odd), put("proto", JSON.parse('{"__proto__": {"a": 1}}')));
      expect((await store.get(idOf("large")))?.document.spec).toEqual(large);
      expect((await store.get(idOf("odd-名前-\u{1f600}")))?.document.spec).toEqual(odd);
      expect(JSON.stringify((await store.get(idOf("proto")))?.document.spec)).toBe('{"__proto__":{"a":1}}');
      expect((await apply(store, put("large", large), put("odd-名前-\u{1f600}", odd))).revision).toBe(1);
    });

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
