/** What every store promises of listings in pages. */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import type { ListFilter, PagePlace, Store, StoredResource } from "../../src/store/index.ts";
import { apply, codeOf, idOf, type OpenForTest, opener, put, remove } from "./harness.ts";

/** All pages of a listing; `between` is called before each but the first. */
async function pages(store: Store, filter: ListFilter, limit: number, between: () => Promise<unknown> = async () => {}) {
  const found: StoredResource[][] = [];
  const revisions = new Set<number>();
  for (let from: PagePlace | undefined; ; ) {
    const page = await store.listPage(filter, { limit, from });
    found.push([...page.resources]);
    revisions.add(page.revision);
    if (!page.next) return { found, revisions };
    from = page.next;
    await between();
  }
}

export function pageContract(name: string, open: OpenForTest): void {
  describe(`the ${name} store`, () => {
    const start = opener(open);

    test("lists in pages of the size that was asked for, the last one shorter, and none twice", async () => {
      const store = await start();
      await apply(store, ...Array.from({ length: 7 }, (_, index) => put(`a-${index}`, index)), put("b", 1, { kind: "ServiceEntry" }));
      const { found } = await pages(store, {}, 3);
      expect(found.map((page) => page.length)).toEqual([3, 3, 2]);
      expect(found.flat()).toEqual([...(await store.list()).resources]);
      expect((await pages(store, { kind: "VirtualService" }, 7)).found).toHaveLength(1);
      expect((await pages(store, { namespace: "nowhere" }, 1)).found).toEqual([[]]);
    });

    test("shows one revision in all pages, whatever is made, changed and deleted between them", async () => {
      const store = await start();
      const operation = fc.record({ name: fc.nat(12), spec: fc.nat(3), what: fc.constantFrom("put", "put", "delete") });
      const change = async ({ name: number, spec, what }: { name: number; spec: number; what: string }) => {
        const id = `r${number}`;
        if (what === "put") await apply(store, put(id, spec));
        else await codeOf(remove(store, id));
      };
      await fc.assert(
        fc.asyncProperty(
          fc.array(operation, { maxLength: 20 }),
          fc.array(operation, { maxLength: 40 }),
          fc.integer({ min: 1, max: 5 }),
          async (before, later, limit) => {
            for (const one of before) await change(one);
            const { revision, resources } = await store.list();
            const rest = [...later];
            const { found, revisions } = await pages(store, {}, limit, async () => {
              for (const one of rest.splice(0, 4)) await change(one);
            });
            expect([...revisions]).toEqual([revision]);
            expect(found.flat()).toEqual([...resources]);
          },
        ),
        { numRuns: 40 },
      );
    });

    test("refuses to go on with a listing whose revision the history does not reach, rather than to show another", async () => {
      const store = await start();
      for (let index = 0; index < 5; index++) await apply(store, put(`a-${index}`, index));
      const { next } = await store.listPage({}, { limit: 2 });
      await apply(store, put("a-4", 9));
      await apply(store, put("a-4", 10));
      await store.compact(1);
      expect(await codeOf(store.listPage({}, { limit: 2, from: next }))).toBe("conflict");
      const ahead = { revision: 99, after: idOf("a-1") };
      expect(await codeOf(store.listPage({}, { limit: 2, from: ahead }))).toBe("conflict");
    });
  });
}
