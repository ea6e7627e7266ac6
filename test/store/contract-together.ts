/** What every store promises of writes that are asked for at the same time. */
import { describe, expect, test } from "bun:test";
import { brokenAt, whole } from "./contract-audit.ts";
import { apply, codeOf, idOf, type OpenForTest, opener, put, remove } from "./harness.ts";

export function togetherContract(name: string, open: OpenForTest): void {
  describe(`the ${name} store, asked by many at once`, () => {
    const start = opener(open);

    test("gives each apply its own revision, answer, history and audit record, in the order in which they came", async () => {
      const store = await start();
      const results = await Promise.all(
        Array.from({ length: 50 }, (_, index) => apply(store, put(`a-${index}`, index), put("shared", index))),
      );
      expect(results.map(({ revision }) => revision)).toEqual(Array.from({ length: 50 }, (_, index) => index + 1));
      for (const [index, { changes }] of results.entries()) {
        expect(changes.map((change) => [change.name, change.action, change.resource.revision, change.resource.document.spec])).toEqual([
          [`a-${index}`, "created", index + 1, index],
          ["shared", index === 0 ? "created" : "updated", index + 1, index],
        ]);
      }
      expect((await store.list()).resources).toHaveLength(51);
      expect((await store.history()).map(({ revision }) => revision)).toEqual(
        results.flatMap(({ revision }) => [revision, revision]).reverse(),
      );
      expect((await whole(store)).map(({ revision, targets }) => [revision, targets.length])).toEqual(
        results.map(({ revision }) => [revision, 2]),
      );
      expect(await brokenAt(store)).toBeUndefined();
    });

    test("refuses one without harm to those beside it", async () => {
      const store = await start();
      await apply(store, put("a", 1));
      const outcomes = await Promise.all([
        codeOf(apply(store, put("b", 1))),
        codeOf(apply(store, put("half", 1), put("a", 2, { expect: 99 }))),
        codeOf(apply(store, put("c", 1))),
        codeOf(remove(store, "absent")),
        codeOf(remove(store, "a", 1)),
        codeOf(store.recordAudit({ who: "x", from: "y", action: "z", outcome: "done", targets: [] })),
        codeOf(apply(store, put("a", 3, { expect: "absent" }))),
      ]);
      expect(outcomes).toEqual(["resolved", "conflict", "resolved", "not_found", "resolved", "resolved", "resolved"]);
      const { revision, resources } = await store.list();
      expect([revision, resources.map((resource) => resource.name)]).toEqual([5, ["a", "b", "c"]]);
      expect((await whole(store)).map((record) => record.revision)).toEqual([1, 2, 3, 4, 4, 5]);
      expect(await brokenAt(store)).toBeUndefined();
    });

    test("shows a write to every read that begins after its answer", async () => {
      const store = await start();
      await Promise.all(
        Array.from({ length: 40 }, async (_, index) => {
          const { revision } = await apply(store, put(`a-${index % 7}`, index));
          expect((await store.get(idOf(`a-${index % 7}`)))?.revision).toBeGreaterThanOrEqual(revision);
          expect((await store.list()).revision).toBeGreaterThanOrEqual(revision);
        }),
      );
    });

    test("commits what was asked for before it is closed", async () => {
      const store = await start();
      const asked = [apply(store, put("a", 1)), apply(store, put("b", 1))];
      await store.close();
      expect(await Promise.all(asked.map(codeOf))).toEqual(["resolved", "resolved"]);
      expect(await codeOf(apply(store, put("c", 1)))).toBe("unavailable");
    });
  });
}
