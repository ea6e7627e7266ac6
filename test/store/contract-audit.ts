/** What every store promises of its audit (src/lib/audit.ts). */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { type AuditEvent, type AuditRecord, ChainVerifier } from "../../src/lib/audit.ts";
import { MOST_CHANGES } from "../../src/store/history-limit.ts";
import type { Compactable, Store } from "../../src/store/index.ts";
import { apply, clockAt, codeOf, idOf, type OpenForTest, opener, put, remove } from "./harness.ts";

const REFUSAL: AuditEvent = {
  who: "unknown",
  from: "admin 127.0.0.1",
  action: "apply",
  outcome: "refused",
  targets: [],
  reason: "unauthenticated: no token",
  count: 3,
};

export async function whole(store: Store): Promise<readonly AuditRecord[]> {
  return (await store.readAudit({ after: 0, limit: 1_000_000 })).records;
}

/** What is wrong with the store's chain; undefined where it is whole. */
export async function brokenAt(store: Store): Promise<string | undefined> {
  const { anchor, head, records } = await store.readAudit({ after: 0, limit: 1_000_000 });
  const verifier = new ChainVerifier(anchor);
  for (const record of records) {
    const wrong = verifier.take(record);
    if (wrong !== undefined) return wrong;
  }
  return verifier.last.sequence === head.sequence && verifier.last.hash === head.hash ? undefined : "the end is missing";
}

export function auditContract(name: string, open: OpenForTest): void {
  describe(`the audit of the ${name} store`, () => {
    const start = opener(open);

    test("audits every change with who asked, through which door, and the revision; and nothing that changes nothing", async () => {
      const clock = clockAt("2026-01-01T00:00:00Z");
      const store = await start({ clock });
      await store.apply({ puts: [put("a", 1), put("b", 1)], deletes: [], who: "uid 1000", from: "admin.sock" });
      await apply(store, put("a", 1));
      await apply(store, put("a", 1, { source: { file: "moved.yaml", lines: {} } }));
      clock.set("2026-01-02T00:00:00Z");
      await remove(store, "b");
      expect(await whole(store)).toMatchObject([
        {
          sequence: 1,
          at: "2026-01-01T00:00:00.000Z",
          revision: 1,
          who: "uid 1000",
          from: "admin.sock",
          action: "apply",
          outcome: "done",
          targets: ["VirtualService default/a created", "VirtualService default/b created"],
        },
        { sequence: 2, at: "2026-01-02T00:00:00.000Z", revision: 2, action: "delete", targets: ["VirtualService default/b deleted"] },
      ]);
      expect(await brokenAt(store)).toBeUndefined();
    });

    test("records refusals in the same chain, at the revision that stood", async () => {
      const store = await start();
      await apply(store, put("a", 1));
      expect(await store.recordAudit(REFUSAL)).toMatchObject({ ...REFUSAL, sequence: 2, revision: 1 });
      await apply(store, put("a", 2));
      expect((await whole(store)).map(({ outcome, revision }) => [outcome, revision])).toEqual([
        ["done", 1],
        ["refused", 1],
        ["done", 2],
      ]);
      expect(await brokenAt(store)).toBeUndefined();
    });

    test("audits no change that fails, since it did not happen", async () => {
      const store = await start();
      expect(await codeOf(store.apply({ puts: [put("new", 1)], deletes: [idOf("absent")], who: "x" }))).toBe("not_found");
      expect(await whole(store)).toEqual([]);
    });

    test("reads the audit in pages, each with both ends of the chain", async () => {
      const store = await start();
      for (const spec of [1, 2, 3, 4, 5]) await apply(store, put("a", spec));
      const page = await store.readAudit({ after: 1, limit: 2 });
      expect(page.records.map(({ sequence }) => sequence)).toEqual([2, 3]);
      expect([page.anchor.sequence, page.head.sequence]).toEqual([0, 5]);
      expect((await store.readAudit({ after: 5, limit: 2 })).records).toEqual([]);
    });

    test("drops the oldest records over its limit, and the chain still holds from there", async () => {
      const store = await start({ auditLimit: 3 });
      for (const spec of [1, 2, 3, 4, 5]) await apply(store, put("a", spec));
      const { anchor, records } = await store.readAudit({ after: 0, limit: 10 });
      expect(anchor.sequence).toBe(2);
      expect(records.map(({ sequence }) => sequence)).toEqual([3, 4, 5]);
      expect(await brokenAt(store)).toBeUndefined();
    });

    test("keeps private records beside the resources, each change of them with its audit record, and shows them to no reader of resources", async () => {
      const store = await start();
      const audit = { who: "uid 0", from: "admin.sock", action: "create-access", outcome: "done", targets: ["access token ci"] } as const;
      await store.writePrivate({
        collection: "tokens",
        puts: [
          { id: "b", value: { hash: "1" } },
          { id: "a", value: { hash: "2" } },
        ],
        deletes: [],
        audit,
      });
      await store.writePrivate({ collection: "other", puts: [{ id: "a", value: {} }], deletes: [], audit });
      await store.writePrivate({ collection: "tokens", puts: [{ id: "b", value: { hash: "3" } }], deletes: ["a", "absent"], audit });
      expect(await store.readPrivate("tokens")).toEqual([{ id: "b", value: { hash: "3" } }]);
      expect(await store.readPrivate("nothing")).toEqual([]);
      expect(await store.list()).toEqual({ revision: 0, resources: [] });
      expect((await whole(store)).map(({ action }) => action)).toEqual(["create-access", "create-access", "create-access"]);
      expect(await brokenAt(store)).toBeUndefined();
    });

    test("lets exactly one of several use a private record up, and tells of each change of a collection", async () => {
      const store = await start();
      const audit = { who: "uid 0", from: "admin.sock", action: "join", outcome: "done", targets: ["node b"] } as const;
      const told: string[] = [];
      const stop = store.onPrivate((collection) => told.push(collection));
      await store.writePrivate({ collection: "joins", puts: [{ id: "a", value: {} }], deletes: [], audit });
      expect(told).toEqual(["joins"]);
      const use = (node: string) =>
        codeOf(store.writePrivate({ collection: "joins", puts: [{ id: node, value: {} }], deletes: ["a"], requires: ["a"], audit }));
      const outcomes = await Promise.all(["b", "c", "d"].map(use));
      expect(outcomes.sort()).toEqual(["conflict", "conflict", "resolved"]);
      expect(await store.readPrivate("joins")).toHaveLength(1);
      expect(await whole(store)).toHaveLength(2);
      expect(told).toEqual(["joins", "joins"]);
      stop();
      await store.writePrivate({ collection: "joins", puts: [], deletes: [], audit });
      expect(told).toHaveLength(2);
    });

    test("lets exactly one of several take the name of a private record", async () => {
      const store = await start();
      const audit = { who: "uid 0", from: "admin.sock", action: "join", outcome: "done", targets: ["node b"] } as const;
      const take = (key: string) =>
        codeOf(store.writePrivate({ collection: "nodes", puts: [{ id: "b", value: { key } }], deletes: [], absent: ["b"], audit }));
      expect((await Promise.all(["1", "2", "3"].map(take))).sort()).toEqual(["conflict", "conflict", "resolved"]);
      expect(await whole(store)).toHaveLength(1);
    });

    test("lets exactly one of several replace a private record as they have read it", async () => {
      const store = await start();
      const audit = { who: "uid 0", from: "admin.sock", action: "revoke-token", outcome: "done", targets: ["workload a"] } as const;
      const raise = (by: string, value: { n: number; by: string } | undefined) =>
        codeOf(
          store.writePrivate({
            collection: "epochs",
            puts: [{ id: "a", value: { n: (value?.n ?? 0) + 1, by } }],
            deletes: [],
            expects: [{ id: "a", value }],
            audit,
          }),
        );
      expect((await Promise.all(["x", "y", "z"].map((by) => raise(by, undefined)))).sort()).toEqual(["conflict", "conflict", "resolved"]);
      const [first] = await store.readPrivate("epochs");
      const read = first?.value as { n: number; by: string };
      expect((await Promise.all(["x", "y", "z"].map((by) => raise(by, read)))).sort()).toEqual(["conflict", "conflict", "resolved"]);
      expect((await store.readPrivate("epochs"))[0]?.value.n).toBe(2);
      expect(await whole(store)).toHaveLength(2);
    });

    test("tells what changed in the revisions that are kept, whole revisions, not all at once", async () => {
      const store: Store & Compactable = await start();
      const many = Array.from({ length: MOST_CHANGES + 1 }, (_, index) => put(`r${index}`, 0));
      await apply(store, put("a", 1));
      await apply(store, ...many);
      await apply(store, put("a", 2));
      await remove(store, "a");
      const pageAfter = async (after: number) =>
        (await store.revisions(after)).revisions.map(({ revision, targets }) => [revision, targets.length]);
      expect(await pageAfter(0)).toEqual([[1, 1]]);
      expect(await pageAfter(1)).toEqual([[2, MOST_CHANGES + 1]]);
      expect(await pageAfter(2)).toEqual([
        [3, 1],
        [4, 1],
      ]);
      expect(await pageAfter(4)).toEqual([]);
      await store.compact(1);
      expect(await store.revisions(0)).toEqual({
        revision: 4,
        compacted: 3,
        revisions: [{ revision: 4, targets: ["VirtualService default/a deleted"] }],
      });
    });

    test("has exactly one record of each revision, whatever is done", async () => {
      const step = fc.record({
        name: fc.constantFrom("a", "b", "c"),
        spec: fc.integer({ min: 0, max: 2 }),
        what: fc.constantFrom("put", "delete", "refuse"),
      });
      await fc.assert(
        fc.asyncProperty(fc.array(step, { maxLength: 20 }), async (steps) => {
          const store: Store & Compactable = await start();
          for (const { name, spec, what } of steps) {
            if (what === "put") await apply(store, put(name, spec));
            else if (what === "delete") await codeOf(remove(store, name));
            else await store.recordAudit(REFUSAL);
          }
          const revisions = new Set((await store.history()).map(({ revision }) => revision));
          const done = (await whole(store)).filter(({ outcome }) => outcome === "done");
          expect(done.map(({ revision }) => revision)).toEqual([...revisions].sort((a, b) => a - b));
          const told = await store.revisions(0);
          expect(told.revisions).toEqual(done.map(({ revision, targets }) => ({ revision, targets })));
          expect(told).toMatchObject({ revision: done.length, compacted: 0 });
          expect((await store.revisions(3)).revisions).toEqual(told.revisions.slice(3));
          expect(await brokenAt(store)).toBeUndefined();
        }),
        { numRuns: 30 },
      );
    });
  });
}
