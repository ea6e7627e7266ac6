/**
 * What every store promises (src/store/store.ts), as tests that each backend runs: `storeContract("sqlite", open)`. Reading and writing
 * are here; its audit in contract-audit.ts, pages in contract-pages.ts, writes at the same time in contract-together.ts, watching and the past in contract-watch.ts, any sequence of transactions against a model in contract-property.ts.
 */
import { describe, expect, test } from "bun:test";
import type { Store } from "../../src/store/index.ts";
import { auditContract } from "./contract-audit.ts";
import { pageContract } from "./contract-pages.ts";
import { storeProperty } from "./contract-property.ts";
import { togetherContract } from "./contract-together.ts";
import { watchContract } from "./contract-watch.ts";
import { apply, clockAt, codeOf, idOf, type OpenForTest, opener, put, remove, SOURCE } from "./harness.ts";

export function storeContract(name: string, open: OpenForTest): void {
  describe(`the ${name} store`, () => {
    const start = opener(open);

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
  });
  auditContract(name, open);
  pageContract(name, open);
  togetherContract(name, open);
  watchContract(name, open);
  storeProperty(name, open);
}
