/** A store against the simplest model of one: a map and a list of revisions. Any sequence of transactions must give the same in both. */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import type { ResourceId, Transaction } from "../../src/store/index.ts";
import { clockAt, codeOf, type OpenForTest, take } from "./harness.ts";

const id = fc.record({
  kind: fc.constantFrom("A", "B"),
  namespace: fc.constantFrom("n", "m"),
  name: fc.constantFrom("x", "y", "z"),
});
/** How an `expect` is made from the model's revision of the resource, so that many of them hold and many fail. */
const expectation = fc.constantFrom("any", "any", "now", "before", "absent");
const put = fc.record({ id, spec: fc.oneof(fc.nat(2), fc.jsonValue({ maxDepth: 2 })), line: fc.nat(2), expectation });
const step = fc.record({
  puts: fc.array(put, { maxLength: 4 }),
  deletes: fc.array(fc.record({ id, expectation: fc.constantFrom("any", "any", "now", "before") }), { maxLength: 2 }),
});
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;

interface Entry {
  readonly spec: string;
  readonly line: number;
  readonly revision: number;
}

const keyOf = ({ kind, namespace, name }: ResourceId) => `${kind}/${namespace}/${name}`;

/** Equal for equal JSON, whatever the order of keys. Written apart from the store's own canonical form, to check that too. */
function fingerprint(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(fingerprint).join()}]`;
  if (typeof value !== "object" || value === null) return JSON.stringify(value);
  const pairs = Object.entries(value).map(([key, item]) => [JSON.stringify(key), fingerprint(item)] as const);
  return `{${pairs
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map((pair) => pair.join(":"))
    .join()}}`;
}

function expectOf(wanted: string, entry: Entry | undefined): number | "absent" | undefined {
  if (wanted === "any") return undefined;
  if (wanted === "absent") return "absent";
  return (entry?.revision ?? 1) - (wanted === "before" ? 1 : 0);
}

class Model {
  entries = new Map<string, Entry>();
  revisions: string[][] = [];

  transaction(step: Step): Transaction {
    const now = (target: ResourceId) => this.entries.get(keyOf(target));
    return {
      puts: step.puts.map((p) => ({
        ...p.id,
        document: { spec: p.spec },
        source: { file: "f", lines: { "": p.line } },
        expect: expectOf(p.expectation, now(p.id)),
      })),
      deletes: step.deletes.map((d) => ({ ...d.id, expect: expectOf(d.expectation, now(d.id)) as number | undefined })),
      who: "property",
    };
  }

  apply({ puts, deletes }: Transaction): string {
    const keys = [...puts, ...deletes].map(keyOf);
    if (new Set(keys).size < keys.length) return "invalid";
    const entries = new Map(this.entries);
    const revision = this.revisions.length + 1;
    const changes: string[] = [];
    for (const p of puts) {
      const old = entries.get(keyOf(p));
      if (p.expect === "absent" ? old : p.expect !== undefined && p.expect !== old?.revision) return "conflict";
      const spec = fingerprint(p.document.spec);
      const line = p.source.lines[""] ?? 0;
      const same = old?.spec === spec;
      entries.set(keyOf(p), { spec, line, revision: same && old ? old.revision : revision });
      if (!same) changes.push(`${old ? "updated" : "created"} ${keyOf(p)}`);
    }
    for (const d of deletes) {
      const old = entries.get(keyOf(d));
      if (!old) return "not_found";
      if (d.expect !== undefined && d.expect !== old.revision) return "conflict";
      entries.delete(keyOf(d));
      changes.push(`deleted ${keyOf(d)}`);
    }
    this.entries = entries;
    if (changes.length > 0) this.revisions.push(changes);
    return "resolved";
  }
}

export function storeProperty(name: string, open: OpenForTest): void {
  describe(`the ${name} store`, () => {
    test("does the same as a map with a list of revisions, for any transactions", async () => {
      await fc.assert(
        fc.asyncProperty(fc.array(step, { maxLength: 25 }), async (steps) => {
          const { store, dispose } = await open({ clock: clockAt("2026-01-01T00:00:00Z") });
          try {
            const model = new Model();
            for (const one of steps) {
              const transaction = model.transaction(one);
              expect(await codeOf(store.apply(transaction))).toBe(model.apply(transaction));
            }
            const { revision, resources } = await store.list();
            expect(revision).toBe(model.revisions.length);
            const state = resources.map((r) => [keyOf(r), fingerprint(r.document.spec), r.source.lines[""], r.revision]);
            const expected = [...model.entries].map(([key, entry]) => [key, entry.spec, entry.line, entry.revision]);
            expect(state).toEqual(expected.sort(([a], [b]) => (String(a) < String(b) ? -1 : 1)));
            if (revision === 0) return;
            const events = await take(store.watch(0, new AbortController().signal), (e) => e.type === "lost" || e.revision === revision);
            const seen = events.map((event) => (event.type === "lost" ? [] : event.changes.map((c) => `${c.action} ${keyOf(c)}`)));
            expect(seen).toEqual(model.revisions);
          } finally {
            await dispose();
          }
        }),
        { numRuns: 60 },
      );
    }, 60_000);
  });
}
