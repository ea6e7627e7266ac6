import { expect, test } from "bun:test";
import { checkStore, followStanding } from "../../src/control/standing.ts";
import { WeftError } from "../../src/lib/errors.ts";
import type { Standing } from "../../src/store/store.ts";
import { createMetrics } from "../../src/telemetry/metrics.ts";
import { clockAt } from "../store/harness.ts";

const THERE: Standing = { engine: "etcd://a:2379/weft", inTouch: true, behindMs: 900, warnings: [] };
const AWAY: Standing = { ...THERE, inTouch: false, behindMs: 14 * 60_000 + 5_000, reason: "etcd://a:2379/weft: connection refused" };

/** A store whose standing is as it is told: what a real one says is tested with it (test/store/replica-away.test.ts). */
function storeOf(first: Standing) {
  let standing = first;
  const listeners = new Set<(collection: string) => void>();
  return {
    standing: () => standing,
    onPrivate(listener: (collection: string) => void) {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
    checkWritable: async () => {},
    become(next: Standing) {
      standing = next;
      for (const listener of listeners) listener("");
    },
  };
}

test("a store whose engine is away is no failure: what is served, how old it is and why is said, as a warning", async () => {
  const said = await checkStore(storeOf({ ...AWAY, warnings: ["it is an old version"] }), 812);
  const message = "serving revision 812, 14 min behind: etcd://a:2379/weft: connection refused";
  expect(said).toEqual({ message, warnings: [message, "it is an old version"] });
  expect(await checkStore(storeOf(THERE), 812)).toEqual({
    message: "serving revision 812, in touch with etcd://a:2379/weft",
    warnings: [],
  });
});

test("a store of its own that cannot be written to is a failure; one that follows an engine is not", async () => {
  const checkWritable = async () => {
    throw new WeftError("unavailable", "the disk is full");
  };
  await expect(checkStore({ checkWritable }, 1)).rejects.toThrow("the disk is full");
  const said = await checkStore({ ...storeOf(THERE), checkWritable }, 1);
  expect(said?.warnings).toEqual(["serving revision 1, and it cannot be changed now: the disk is full"]);
});

test("the log is told once when the engine is lost for more than a moment and once when it is back, and the metrics follow", async () => {
  const due: (() => void)[] = [];
  const after = (_: number, work: () => void) => {
    due.push(work);
    return () => {};
  };
  const clock = { ...clockAt("2026-01-01T00:00:00Z"), after };
  const metrics = createMetrics({ clock, version: "test" });
  const lines: string[] = [];
  const log = { info: (line: string) => void lines.push(line), warning: (line: string) => void lines.push(line) };
  const store = storeOf(THERE);
  const stop = followStanding({ store, revision: () => 812, metrics, clock, log });
  const later = () => due.splice(0).forEach((work) => void work());
  const value = async (name: string) => (await metrics.registry.getSingleMetric(name)?.get())?.values[0]?.value;
  store.become(AWAY);
  expect(await value("weft_store_in_touch")).toBe(0);
  expect(lines).toEqual([]);
  later();
  later();
  expect(lines).toEqual(["serving revision 812, 14 min behind: etcd://a:2379/weft: connection refused"]);
  expect(await value("weft_store_behind_seconds")).toBe(845);
  store.become(THERE);
  expect(lines.slice(1)).toEqual(["in touch with etcd://a:2379/weft again, at revision 812"]);
  expect(await value("weft_store_in_touch")).toBe(1);
  store.become(AWAY);
  store.become(THERE);
  later();
  expect(lines).toHaveLength(2);
  stop();
});
