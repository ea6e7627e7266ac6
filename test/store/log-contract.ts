/**
 * What every shared log and its board promise (src/store/shared), as tests that each engine runs: `logContract("etcd", open)`. Appending and
 * following are here; snapshots and trimming in log-contract-snapshot.ts, the board in board-contract.ts.
 */
import { describe, expect, test } from "bun:test";
import { type Place, START } from "../../src/store/shared/log.ts";
import { boardContract } from "./board-contract.ts";
import { snapshotContract } from "./log-contract-snapshot.ts";
import { append, appendAll, bytesOf, engines, headOf, type OpenEngine, text, utf8, within } from "./log-harness.ts";

/** src/store/shared/log.ts, "current". */
const CURRENT_AT_LEAST_EVERY_MS = 10_000;

/** A busy machine's idea of it. */
const AT_ONCE_MS = 500;

export function logContract(name: string, open: OpenEngine): void {
  appendContract(name, open);
  followContract(name, open);
  snapshotContract(name, open);
  boardContract(name, open);
}

function appendContract(name: string, open: OpenEngine): void {
  describe(`appending to the log in ${name}`, () => {
    const { start, read } = engines(open);

    test("a log begins empty, without a snapshot", async () => {
      const { log } = await start();
      expect(await log.snapshot(new AbortController().signal)).toBeUndefined();
      expect(await read(log).next()).toEqual({ type: "current", head: START });
    });

    test("what was appended is there for every client at once, in order, byte for byte", async () => {
      const { log, another } = await start();
      const contents = ["one", "", "drei ✓", bytesOf(1_000), new Uint8Array([0]), new Uint8Array(50_000)];
      const places = await appendAll(log, START, contents);
      const other = await another();
      const entries = await read(other.log).upTo(places.at(-1) ?? START);
      expect(entries.map((entry) => entry.place)).toEqual(places.slice(1));
      for (const [index, content] of contents.entries()) {
        const bytes = typeof content === "string" ? utf8(content) : content;
        expect(Buffer.compare(entries[index]?.bytes ?? utf8("none"), bytes)).toBe(0);
      }
    });

    test("an append after any other place than the last is behind, and changes nothing", async () => {
      const { log, another } = await start();
      const [, first, second] = (await appendAll(log, START, ["one", "two"])) as [Place, Place, Place];
      const other = await another();
      const elsewhere: Place[] = [
        START,
        first,
        { sequence: 2, id: crypto.randomUUID() },
        { sequence: 3, id: second.id },
        { sequence: 0, id: second.id },
      ];
      for (const client of [log, other.log]) {
        for (const place of elsewhere) expect([place, (await append(client, place, "no")).outcome]).toEqual([place, "behind"]);
      }
      expect(await headOf(log)).toEqual(second);
      expect((await append(other.log, second, "three")).outcome).toBe("appended");
    });

    test("the first entry of an empty log comes after the start alone", async () => {
      const { log } = await start();
      expect((await append(log, { sequence: 1, id: crypto.randomUUID() }, "no")).outcome).toBe("behind");
      expect((await append(log, { sequence: 0, id: crypto.randomUUID() }, "no")).outcome).toBe("behind");
      expect(await headOf(log)).toEqual(START);
      expect((await append(log, START, "one")).outcome).toBe("appended");
    });

    test("of many who append after the same place at the same time, one succeeds, with small entries and with large ones", async () => {
      const { log, another } = await start();
      const clients = [log, (await another()).log, (await another()).log];
      let head = START;
      for (const size of [10, 300_000, 10]) {
        const tries = await Promise.all(
          Array.from({ length: 9 }, (_, index) => append(clients[index % 3] ?? log, head, bytesOf(size, index))),
        );
        const appended = tries.filter((one) => one.outcome === "appended");
        expect(appended.length).toBe(1);
        expect(tries.filter((one) => one.outcome === "behind").length).toBe(8);
        head = appended[0]?.place ?? START;
      }
      const entries = await read(log).upTo(head);
      expect(entries.map((entry) => entry.place.sequence)).toEqual([1, 2, 3]);
    });

    test("writers who catch up and try again lose nothing and write nothing twice", async () => {
      const { log, another } = await start();
      const clients = [log, (await another()).log, (await another()).log];
      const acknowledged = await Promise.all(
        clients.map(async (client, writer) => {
          const done: string[] = [];
          let head = START;
          const reader = read(client);
          while (done.length < 8) {
            const content = `${writer}:${done.length}`;
            const { outcome, place } = await append(client, head, content);
            if (outcome === "appended") {
              done.push(content);
              head = place;
              continue;
            }
            const before = head.sequence;
            head = (await reader.until("current", (event) => event.head.sequence > before)).head;
          }
          return done;
        }),
      );
      const entries = await read(log).upTo(await headOf(log));
      expect(entries.map((entry) => text(entry.bytes)).sort()).toEqual(acknowledged.flat().sort());
      for (const [writer, done] of acknowledged.entries()) {
        const own = entries.map((entry) => text(entry.bytes)).filter((content) => content.startsWith(`${writer}:`));
        expect(own).toEqual(done);
      }
    });

    test("an entry of 6 MiB comes whole, in its place between small ones, also to who waits for it", async () => {
      const { log, another } = await start();
      const large = bytesOf(6 * 1024 * 1024);
      const waiting = read((await another()).log);
      await waiting.until("current");
      const places = await appendAll(log, START, ["before", large, "after"]);
      for (const reader of [waiting, read(log)]) {
        const entries = await reader.upTo(places.at(-1) ?? START);
        expect(entries.map((entry) => entry.bytes.length)).toEqual([6, large.length, 5]);
        expect(Buffer.compare(entries[1]?.bytes ?? utf8("none"), large)).toBe(0);
      }
    });

    test("asking whether it could be written makes no entry", async () => {
      const { log } = await start();
      await log.checkWritable();
      expect(await headOf(log)).toEqual(START);
      const [, first] = (await appendAll(log, START, ["one"])) as [Place, Place];
      await log.checkWritable();
      expect(await headOf(log)).toEqual(first);
      expect((await append(log, first, "two")).outcome).toBe("appended");
    });
  });
}

function followContract(name: string, open: OpenEngine): void {
  describe(`following the log in ${name}`, () => {
    const { start, read } = engines(open);

    test("a follower is told of entries as they come, and after them that it has them all", async () => {
      const { log, another } = await start();
      const reader = read((await another()).log);
      await reader.until("current");
      let head = START;
      for (const content of ["one", "two", "three"]) {
        head = (await append(log, head, content)).place;
        expect(text((await reader.until("entry")).bytes)).toBe(content);
        expect((await reader.until("current", (event) => event.head.sequence === head.sequence)).head).toEqual(head);
      }
    });

    test("who waits hears of an entry when it is made, not when it next asks", async () => {
      const { log, another } = await start();
      const reader = read((await another()).log);
      await reader.until("current");
      let head = START;
      const began = performance.now();
      for (let count = 0; count < 10; count++) {
        head = (await append(log, head, `${count}`)).place;
        await reader.upTo(head);
      }
      expect(performance.now() - began).toBeLessThan(AT_ONCE_MS * 10);
    });

    test("a follower goes on from its place", async () => {
      const { log } = await start();
      const places = await appendAll(log, START, ["1", "2", "3", "4"]);
      for (const from of [0, 2, 4]) {
        const entries = await read(log, places[from]).upTo(places[4] ?? START);
        expect(entries.map((entry) => text(entry.bytes))).toEqual(["1", "2", "3", "4"].slice(from));
      }
    });

    test("a slow follower loses nothing, whatever is appended meanwhile", async () => {
      const { log } = await start();
      const slow = read(log);
      await slow.until("current");
      const contents = Array.from({ length: 200 }, (_, index) => (index % 50 === 0 ? bytesOf(200_000, index) : `${index}`));
      const places = await appendAll(log, START, contents);
      const entries = await slow.upTo(places.at(-1) ?? START);
      expect(entries.map((entry) => entry.place)).toEqual(places.slice(1));
    });

    test("who waits hears at least every ten seconds that nothing is missing", async () => {
      const { log } = await start();
      const [, first] = (await appendAll(log, START, ["one"])) as [Place, Place];
      const reader = read(log);
      await reader.until("current");
      expect(await reader.next(CURRENT_AT_LEAST_EVERY_MS)).toEqual({ type: "current", head: first });
    });

    test("a place of another history, or one that the log has not reached, is lost", async () => {
      const { log } = await start();
      const [, first, second] = (await appendAll(log, START, ["one", "two"])) as [Place, Place, Place];
      const places = [
        { sequence: 1, id: crypto.randomUUID() },
        { sequence: 2, id: first.id },
        { sequence: 3, id: second.id },
        { sequence: 99, id: crypto.randomUUID() },
      ];
      for (const place of places) {
        const reader = read(log, place);
        expect(await reader.next()).toMatchObject({ type: "lost", reason: expect.stringMatching(/./) });
        expect(await reader.next()).toBe("ended");
      }
    });

    test("a place in a log that is empty is lost", async () => {
      const { log } = await start();
      expect(await read(log, { sequence: 1, id: crypto.randomUUID() }).next()).toMatchObject({ type: "lost" });
    });

    test("an abort ends it quietly: before it began, with entries unread, and while it waits", async () => {
      const { log } = await start();
      await appendAll(log, START, ["one", "two"]);
      const before = read(log);
      before.abort();
      expect(await before.next()).toBe("ended");
      const unread = read(log);
      await unread.next();
      unread.abort();
      expect(await unread.next()).toBe("ended");
      const waiting = read(log);
      await waiting.until("current");
      const next = waiting.next();
      waiting.abort();
      expect(await next).toSatisfy(
        (event) => event === "ended" || (event !== null && typeof event === "object" && event.type === "current"),
      );
      expect(await waiting.next()).toBe("ended");
    });

    test("one client follows many times at once, and a follower that stops disturbs no other", async () => {
      const { log } = await start();
      const readers = Array.from({ length: 5 }, () => read(log));
      for (const reader of readers) await reader.until("current");
      readers[0]?.abort();
      const places = await appendAll(log, START, ["one", "two"]);
      const all = await within(Promise.all(readers.slice(1).map((reader) => reader.upTo(places.at(-1) ?? START))), "all readers");
      for (const entries of all) expect(entries.map((entry) => text(entry.bytes))).toEqual(["one", "two"]);
    });
  });
}
