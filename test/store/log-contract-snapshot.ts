/** What a shared log promises of its snapshot and of trimming; called by logContract. */
import { describe, expect, test } from "bun:test";
import { type LogEntry, type Place, type SharedLog, START } from "../../src/store/shared/log.ts";
import { append, appendAll, bytesOf, engines, headOf, type OpenEngine, text, utf8, within } from "./log-harness.ts";

const snapshotOf = (log: SharedLog): Promise<LogEntry | undefined> => within(log.snapshot(new AbortController().signal), "the snapshot");

export function snapshotContract(name: string, open: OpenEngine): void {
  describe(`the snapshot of the log in ${name}`, () => {
    const { start, read } = engines(open);

    test("every client gets the newest snapshot with its place, whole, also one of 6 MiB", async () => {
      const { log, another } = await start();
      const [, first, second] = (await appendAll(log, START, ["one", "two"])) as [Place, Place, Place];
      const other = await another();
      await log.putSnapshot({ place: first, bytes: utf8("state after one") }, 0);
      expect(await snapshotOf(other.log)).toEqual({ place: first, bytes: utf8("state after one") });
      const large = bytesOf(6 * 1024 * 1024);
      await within(other.log.putSnapshot({ place: second, bytes: large }, 0), "a large snapshot", 60_000);
      const got = await snapshotOf(log);
      expect(got?.place).toEqual(second);
      expect(Buffer.compare(got?.bytes ?? utf8("none"), large)).toBe(0);
    });

    test("an older snapshot never replaces a newer one", async () => {
      const { log, another } = await start();
      const [, first, second] = (await appendAll(log, START, ["one", "two"])) as [Place, Place, Place];
      await log.putSnapshot({ place: second, bytes: utf8("new") }, 0);
      await (await another()).log.putSnapshot({ place: first, bytes: utf8("old") }, 0);
      expect(await snapshotOf(log)).toEqual({ place: second, bytes: utf8("new") });
    });

    test("of clients that put snapshots at the same time, the latest place stays", async () => {
      const { log, another } = await start();
      const places = (await appendAll(log, START, ["1", "2", "3", "4", "5", "6"])).slice(1);
      const clients = [log, (await another()).log];
      await Promise.all(
        places.toReversed().map((place, index) => clients[index % 2]?.putSnapshot({ place, bytes: bytesOf(300_000, place.sequence) }, 0)),
      );
      const got = await snapshotOf(log);
      expect(got?.place).toEqual(places.at(-1));
      expect(Buffer.compare(got?.bytes ?? utf8("none"), bytesOf(300_000, 6))).toBe(0);
    });

    test("a follower from before what was trimmed is lost; from the last trimmed place it goes on", async () => {
      const { log, another } = await start();
      const places = await appendAll(log, START, ["1", bytesOf(400_000), "3", "4"]);
      const [, , second, third, fourth] = places as [Place, Place, Place, Place, Place];
      await log.putSnapshot({ place: third, bytes: utf8("state after three") }, 2);
      const { log: other } = await another();
      expect(await read(other).next()).toMatchObject({ type: "lost" });
      expect(await read(other, places[1]).next()).toMatchObject({ type: "lost" });
      expect((await read(other, second).upTo(fourth)).map((entry) => text(entry.bytes))).toEqual(["3", "4"]);
      expect((await read(other, third).upTo(fourth)).map((entry) => text(entry.bytes))).toEqual(["4"]);
      expect(await read(other, { ...second, id: crypto.randomUUID() }).next()).toMatchObject({ type: "lost" });
    });

    test("a log whose entries were all trimmed goes on", async () => {
      const { log, another } = await start();
      const [, , second] = (await appendAll(log, START, ["1", "2"])) as [Place, Place, Place];
      await log.putSnapshot({ place: second, bytes: utf8("all") }, 2);
      const { log: other } = await another();
      expect(await read(other).next()).toMatchObject({ type: "lost" });
      expect(await read(other, { sequence: 2, id: crypto.randomUUID() }).next()).toMatchObject({ type: "lost" });
      const reader = read(other, second);
      expect(await reader.next()).toEqual({ type: "current", head: second });
      expect((await append(other, START, "no")).outcome).toBe("behind");
      const { place, outcome } = await append(other, second, "3");
      expect(outcome).toBe("appended");
      expect((await reader.upTo(place)).map((entry) => text(entry.bytes))).toEqual(["3"]);
      expect(await headOf(log)).toEqual(place);
    });

    test("trimming does not disturb a follower that has read it all, nor one that reads on", async () => {
      const { log, another } = await start();
      const reader = read((await another()).log);
      const places = await appendAll(log, START, ["1", "2", "3"]);
      await reader.upTo(places[3] ?? START);
      await log.putSnapshot({ place: places[3] ?? START, bytes: utf8("state") }, 3);
      const { place } = await append(log, places[3] ?? START, "4");
      expect((await reader.upTo(place)).map((entry) => text(entry.bytes))).toEqual(["1", "2", "3", "4"]);
    });

    test("a snapshot that is put while entries are appended takes nothing from them", async () => {
      const { log, another } = await start();
      const [, first] = (await appendAll(log, START, ["first"])) as [Place, Place];
      const { log: other } = await another();
      const [places] = await Promise.all([
        appendAll(
          log,
          first,
          Array.from({ length: 12 }, (_, index) => bytesOf(index % 3 === 0 ? 200_000 : 10, index)),
        ),
        ...Array.from({ length: 4 }, (_, index) => other.putSnapshot({ place: first, bytes: bytesOf(100_000, index) }, 1)),
      ]);
      const entries = await read(other, first).upTo(places.at(-1) ?? START);
      expect(entries.map((entry) => entry.place)).toEqual(places.slice(1));
      for (const [index, entry] of entries.entries()) {
        expect(Buffer.compare(entry.bytes, bytesOf(index % 3 === 0 ? 200_000 : 10, index))).toBe(0);
      }
    });
  });
}
