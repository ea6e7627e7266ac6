/** What weft makes of an etcd whose answers are lost, that is full, that lost its data, or that is not what it should be. */
import { afterAll, afterEach, describe, expect, spyOn, test } from "bun:test";
import { EtcdClient } from "../../src/store/etcd/client.ts";
import { type EtcdFailure, notConnected } from "../../src/store/etcd/failure.ts";
import { openEtcd } from "../../src/store/etcd/index.ts";
import { Tokens } from "../../src/store/etcd/tokens.ts";
import { parseEtcdUrl } from "../../src/store/etcd/url.ts";
import { Watching } from "../../src/store/etcd/watching.ts";
import { type Place, type SharedLog, START } from "../../src/store/shared/log.ts";
import { UnknownOutcome } from "../../src/store/shared/unknown-outcome.ts";
import { describeWhere } from "../skip.ts";
import { type Cluster, engineIn, installEtcd, type Member, OPTIONS, startEtcd } from "./etcd-cluster.ts";
import { refusal } from "./harness.ts";
import { append, appendAll, bytesOf, type Client, engines, headOf, Reader, text, utf8, within } from "./log-harness.ts";
import { Relay } from "./relay.ts";

const binary = installEtcd();
const PATIENCE_MS = 800;

if (binary === undefined) describe.skip("etcd in trouble", () => {});
else {
  const { start } = engines(() => engineIn(cluster));
  const cluster = await startEtcd({ binary });
  const [member] = cluster.members as [Member];
  afterAll(() => cluster.stop());

  const disposals: (() => unknown)[] = [];
  afterEach(async () => {
    for (const dispose of disposals.splice(0).reverse()) await dispose();
  });

  async function open(at: string, prefix: string): Promise<Client> {
    const client = await openEtcd(`etcd://${at}${prefix}`, { ...OPTIONS, patienceMs: PATIENCE_MS });
    disposals.push(() => client.log.close());
    return client;
  }

  function read(log: SharedLog, after: Place = START): Reader {
    const abort = new AbortController();
    disposals.push(() => abort.abort());
    return new Reader(log, after, abort);
  }

  /** An etcd of its own, for what would disturb others. */
  async function own(...more: string[]): Promise<{ readonly cluster: Cluster; readonly member: Member }> {
    const one = await startEtcd({ binary: binary as string, arguments: more });
    disposals.push(() => one.stop());
    return { cluster: one, member: one.members[0] as Member };
  }

  /** The number of keys that begin with `prefix`. */
  async function keysUnder(prefix: string, at: Member = member): Promise<readonly string[]> {
    const end = prefix.slice(0, -1) + String.fromCharCode(prefix.charCodeAt(prefix.length - 1) + 1);
    const { kvs = [] } = await at.api("/v3/kv/range", { key: btoa(prefix), range_end: btoa(end), keys_only: true });
    return (kvs as { key: string }[]).map(({ key }) => atob(key));
  }

  describe("an append to etcd whose answer is lost", () => {
    const relayed = async () => {
      const prefix = `/test/${crypto.randomUUID()}`;
      const relay = await Relay.start(Number(member.address.split(":")[1]));
      disposals.push(() => relay.dispose());
      const { log } = await open(`127.0.0.1:${relay.port}`, prefix);
      const { place } = await append(log, START, "before");
      return { relay, log, place, direct: (await open(member.address, prefix)).log };
    };
    const isAppend = (said: string) => said.includes("meanwhile");

    test("is sent again, and acknowledged, although it had been written the first time", async () => {
      const { relay, log, place, direct } = await relayed();
      const cut = relay.cutAt(isAppend, { pass: true });
      const [{ outcome, place: next }] = await Promise.all([append(log, place, "meanwhile"), cut]);
      expect(outcome).toBe("appended");
      expect((await read(direct).upTo(next)).map((entry) => text(entry.bytes))).toEqual(["before", "meanwhile"]);
    });

    test("is sent again where it had not been written; should the first try come after all, it changes nothing", async () => {
      const { relay, log, place, direct } = await relayed();
      const cut = relay.cutAt(isAppend, { pass: false });
      const [{ outcome, place: next }] = await Promise.all([append(log, place, "meanwhile"), cut]);
      expect(outcome).toBe("appended");
      await relay.release();
      const after = await append(direct, next, "after");
      expect(after.outcome).toBe("appended");
      expect((await read(direct).upTo(after.place)).map((entry) => text(entry.bytes))).toEqual(["before", "meanwhile", "after"]);
    });

    test("is behind where somebody else was first", async () => {
      const { relay, log, place, direct } = await relayed();
      const cut = relay.cutAt(isAppend, { pass: false });
      relay.way = "open";
      const appending = append(log, place, "meanwhile");
      await cut;
      const other = await append(direct, place, "other");
      const { outcome } = await appending;
      expect([other.outcome, outcome].sort()).toEqual(["appended", "behind"]);
      expect(await headOf(direct)).toEqual(outcome === "behind" ? other.place : expect.objectContaining({ sequence: 2 }));
    });

    test("is of unknown outcome where etcd cannot be reached again; without a connection from the start, it was surely not written", async () => {
      const { relay, log, place, direct } = await relayed();
      for (const pass of [true, false]) {
        const head = await headOf(direct);
        const cut = relay.cutAt(isAppend, { pass }).then(() => {
          relay.way = "closed";
        });
        const [failure] = await Promise.all([refusal(append(log, head, "meanwhile")), cut]);
        expect(failure).toBeInstanceOf(UnknownOutcome);
        expect((await headOf(direct)).sequence).toBe(pass ? place.sequence + 1 : head.sequence);
        const refused = await refusal(append(log, head, "later"));
        expect(refused).not.toBeInstanceOf(UnknownOutcome);
        expect(refused.code).toBe("unavailable");
        relay.way = "open";
      }
    });

    test("of unknown outcome comes true before the log is read again, or never", async () => {
      const { relay, log, place, direct } = await relayed();
      const cut = relay.cutAt(isAppend, { pass: false }).then(() => {
        relay.way = "closed";
      });
      const beside = append(log, { sequence: 7, id: "elsewhere" }, "beside").catch(() => {});
      const [failure] = await Promise.all([refusal(append(log, place, "meanwhile")), cut]);
      await beside;
      expect(failure).toBeInstanceOf(UnknownOutcome);
      relay.way = "open";
      expect(await read(log, place).next()).toEqual({ type: "current", head: place });
      // As from a member that was stopped all the while: the first try reaches etcd.
      await relay.release();
      expect(await headOf(direct)).toEqual(place);
      const after = await append(log, place, "after");
      expect(after.outcome).toBe("appended");
      expect((await read(direct).upTo(after.place)).map((entry) => text(entry.bytes))).toEqual(["before", "after"]);
    });

    test("a follower whose connection is cut again and again gets every entry once", async () => {
      const { relay, log, place, direct } = await relayed();
      const reader = read(log);
      let head = place;
      for (let count = 0; count < 12; count++) {
        head = (await append(direct, head, count % 4 === 0 ? bytesOf(300_000, count) : `${count}`)).place;
        if (count % 3 === 0) await reader.until("entry");
        relay.cutAll();
      }
      const entries = await reader.upTo(head);
      expect(entries.map((entry) => entry.place.sequence)).toEqual(Array.from({ length: 13 }, (_, index) => index + 1));
    });
  });

  describe("an etcd that is away", () => {
    test("is not asked without a pause by who looks at the board, where it lists the cards and no watch can be opened", async () => {
      const { board } = await open(member.address, `/test/${crypto.randomUUID()}`);
      // No etcd does so for long enough to count.
      const opening = spyOn(Watching, "open").mockImplementation(() => Promise.reject(notConnected(member.address, new Error("no watch"))));
      const looking = within(
        (async () => {
          for await (const cards of board.watch(AbortSignal.timeout(10_000))) if (cards.has("a")) return;
        })(),
        "a card that is posted later",
      );
      await Bun.sleep(1_000);
      expect(opening.mock.calls.length).toBeWithin(2, 9);
      opening.mockRestore();
      await board.post("a", "{}", 60_000);
      await looking;
    });

    test("is not listed without a pause by who looks at the board, where each watch is canceled as soon as it is made", async () => {
      const { board } = await open(member.address, `/test/${crypto.randomUUID()}`);
      const { next } = Watching.prototype;
      const ending = spyOn(Watching.prototype, "next").mockImplementation(async function (this: Watching) {
        await next.call(this, 0);
        return { type: "ended", reason: undefined };
      });
      const opening = spyOn(Watching, "open");
      disposals.push(
        () => ending.mockRestore(),
        () => opening.mockRestore(),
      );
      const abort = new AbortController();
      const looking = (async () => {
        for await (const cards of board.watch(abort.signal)) expect(cards.size).toBe(0);
      })();
      await Bun.sleep(1_500);
      abort.abort();
      await looking;
      expect(opening.mock.calls.length).toBeWithin(2, 9);
    });

    test("keeps its connection where it is a token that takes long, and is not connected to after the client is closed", async () => {
      const client = new EtcdClient(parseEtcdUrl(`etcd://${member.address}`, {}), OPTIONS);
      disposals.push(() => client.close());
      const read = () => client.attempt(({ kv }, options) => kv.range({ key: utf8("a") }, options), { deadlineMs: 1_600 });
      await read();
      await Bun.sleep(10);
      const asking = spyOn(Tokens.prototype, "headers").mockImplementation(() => new Promise(() => {}));
      disposals.push(() => asking.mockRestore());
      // It was asked after a second, and answered.
      const late: EtcdFailure = await read().then(
        () => expect.unreachable("no token came"),
        (reason) => reason,
      );
      expect({ ...late }).toMatchObject({ broken: false, maybeDone: false });
      expect(late.notConnected).toBe(false);
      const connecting = spyOn(client.preferred, "connect");
      client.close();
      await expect(read()).rejects.toThrow("cannot be reached");
      expect(connecting).not.toHaveBeenCalled();
    });

    test("is waited for a while, then it is unavailable to all that ask; the log and the board say so, and end", async () => {
      const { member: only } = await own();
      const { log, board } = await open(only.address, "/weft");
      const { place } = await append(log, START, "one");
      const reader = read(log, place);
      await reader.until("current");
      const abort = new AbortController();
      disposals.push(() => abort.abort());
      const cards = board.watch(abort.signal)[Symbol.asyncIterator]();
      await cards.next();
      await only.kill();
      const failures = await Promise.all([
        refusal(reader.until("lost")),
        refusal(within(cards.next(), "the board's end")),
        refusal(log.snapshot(abort.signal)),
        refusal(log.checkWritable()),
        refusal(board.post("a", "{}", 5_000)),
      ]);
      for (const failure of failures) {
        expect(failure.code).toBe("unavailable");
        expect(failure.message).toContain(only.address);
      }
      const refused = await refusal(append(log, place, "two"));
      expect(refused.code).toBe("unavailable");
      expect(refused).not.toBeInstanceOf(UnknownOutcome);
      only.start();
      await only.ready();
      expect((await append(log, place, "two")).outcome).toBe("appended");
      await board.post("a", "{}", 5_000);
    });
  });

  describe("an etcd behind a slow link", () => {
    test("is in touch all the while, and takes each change, with round trips of 200 ms of which every tenth loses a packet", async () => {
      const relay = await Relay.start(Number(member.address.split(":")[1]));
      disposals.push(() => relay.dispose());
      // TCP sends what was lost again after about 3 round trips.
      relay.delayMs = (piece) => 100 + (piece % 20 === 7 ? 600 : 0);
      const { log, board } = await openEtcd(`etcd://127.0.0.1:${relay.port}/test/${crypto.randomUUID()}`, OPTIONS);
      disposals.push(() => log.close());
      const reader = read(log);
      await board.post("a", "{}", 60_000);
      let head = START;
      let slowest = 0;
      for (let count = 0; count < 25; count++) {
        const began = performance.now();
        const { outcome, place } = await append(log, head, `${count}`);
        expect(outcome).toBe("appended");
        slowest = Math.max(slowest, performance.now() - began);
        head = place;
      }
      // Throws where the follower was told that etcd is away.
      expect(await reader.upTo(head)).toHaveLength(25);
      expect(slowest).toBeGreaterThan(600);
    });
  });

  describe("an etcd that was put back to an older state", () => {
    test("a follower is told that it lost its place: from a backup, after others wrote again, and where all was removed", async () => {
      const { member: only } = await own();
      const { log } = await open(only.address, "/weft");
      const { place: first } = await append(log, START, "one");
      await only.kill();
      only.save("backup");
      only.start();
      await only.ready();
      const [, , third] = (await appendAll(log, first, ["two", "three"])) as [Place, Place, Place];
      const follower = read(log, third);
      await follower.until("current");

      await only.kill();
      only.restore("backup");
      only.start();
      await only.ready();
      expect(await lostOf(follower)).toContain("backup");
      // The places up to the backup are still of this history, and who stands there hears of what is written anew at once.
      expect(await read(log, first).next()).toEqual({ type: "current", head: first });
      const again = await appendAll(log, first, ["2", "3", "4"]);
      expect(await read(log, third).next()).toMatchObject({ type: "lost" });
      expect((await read(log, first).upTo(again[3] ?? START)).map((entry) => text(entry.bytes))).toEqual(["2", "3", "4"]);

      const last = read(log, again[3]);
      await last.until("current");
      await only.kill();
      only.wipe();
      only.start();
      await only.ready();
      expect(await lostOf(last)).toContain("empty");
    });

    async function lostOf(reader: Reader): Promise<string> {
      for (;;) {
        const event = await reader.next();
        if (event === "ended") throw new Error("it ended without a word");
        if (event.type === "lost") return event.reason;
        if (event.type === "entry") throw new Error("an entry of another history");
      }
    }
  });

  describe("an etcd that is full", () => {
    test("refuses appends with the mend, is readable, and takes them again once there is space", async () => {
      const { member: only } = await own("--quota-backend-bytes", String(8 * 1024 * 1024));
      const { log, board } = await open(only.address, "/weft");
      let head = START;
      let failure: Error | undefined;
      for (let count = 0; failure === undefined && count < 400; count++) {
        const id = crypto.randomUUID();
        try {
          await log.append(head, { id, bytes: bytesOf(60_000, count) });
          head = { sequence: head.sequence + 1, id };
        } catch (reason) {
          failure = reason as Error;
        }
      }
      expect(failure).not.toBeInstanceOf(UnknownOutcome);
      expect(failure).toMatchObject({ code: "unavailable", message: expect.stringContaining("NOSPACE") });
      // The alarm comes with the first refusal, a moment later; until then what is small still fits.
      const alarmsOf = async () => ((await only.api("/v3/maintenance/alarm", { action: "GET" })) as { alarms?: object[] }).alarms ?? [];
      await within(
        (async () => {
          while ((await alarmsOf()).length === 0) await Bun.sleep(10);
        })(),
        "the alarm",
      );
      expect((await refusal(log.checkWritable())).message).toContain("--quota-backend-bytes");
      expect((await refusal(board.post("a", "{}", 5_000))).code).toBe("unavailable");
      expect(await log.warnings()).toEqual([expect.stringContaining("NOSPACE")]);
      expect(await headOf(log)).toEqual(head);
      // What docs/stores.md says to do: here by etcd's JSON gateway, as etcdctl would.
      await only.api("/v3/kv/deleterange", { key: btoa("/weft/log/"), range_end: btoa("/weft/log0") });
      const { header } = (await only.api("/v3/maintenance/status", {})) as { header: { revision: string } };
      await only.api("/v3/kv/compaction", { revision: header.revision, physical: true });
      await only.api("/v3/maintenance/defragment", {});
      for (const alarm of await alarmsOf()) await only.api("/v3/maintenance/alarm", { action: "DEACTIVATE", ...alarm });
      await log.checkWritable();
      expect((await append(log, head, "after")).outcome).toBe("appended");
      expect(await log.warnings()).toEqual([]);
    });
  });

  describe("what weft leaves in etcd", () => {
    test("after a trim nothing of the trimmed entries, of replaced snapshots, or of refused ones is left", async () => {
      const prefix = `/test/${crypto.randomUUID()}`;
      const { log } = await open(member.address, prefix);
      const large = () => bytesOf(700_000, 1);
      const places = await appendAll(log, START, ["1", large(), "3", large(), "5"]);
      expect((await keysUnder(`${prefix}/chunks/`)).length).toBe(4);
      await log.putSnapshot({ place: places[3] ?? START, bytes: large() }, 1);
      await log.putSnapshot({ place: places[5] ?? START, bytes: large() }, 2);
      expect((await keysUnder(`${prefix}/log/`)).map((key) => Number(key.split("/").at(-1)))).toEqual([3, 4, 5]);
      expect((await keysUnder(`${prefix}/chunks/`)).length).toBe(4);
      await log.putSnapshot({ place: places[5] ?? START, bytes: large() }, 5);
      expect((await keysUnder(`${prefix}/log/`)).length).toBe(0);
      expect((await keysUnder(`${prefix}/chunks/`)).length).toBe(2);
      expect((await keysUnder(`${prefix}/owners/`)).length).toBe(1);
    });

    test("no entry goes that is in no snapshot, whatever is asked for", async () => {
      const prefix = `/test/${crypto.randomUUID()}`;
      const { log } = await open(member.address, prefix);
      const places = await appendAll(log, START, ["1", "2", "3"]);
      await log.putSnapshot({ place: places[1] ?? START, bytes: utf8("state") }, 99);
      expect((await read(log, places[1]).upTo(places[3] ?? START)).map((entry) => text(entry.bytes))).toEqual(["2", "3"]);
      expect((await keysUnder(`${prefix}/log/`)).length).toBe(2);
    });

    test("what a dead writer left goes with the next snapshot; what one that lives is writing stays until its lease ends", async () => {
      const prefix = `/test/${crypto.randomUUID()}`;
      const { log } = await open(member.address, prefix);
      const { place } = await append(log, START, "1");
      const put = (key: string, value: string, lease?: string) => member.api("/v3/kv/put", { key: btoa(key), value: btoa(value), lease });
      const { ID: lease } = (await member.api("/v3/lease/grant", { TTL: "600" })) as { ID: string };
      await put(`${prefix}/chunks/dead/00000000`, "x");
      await put(`${prefix}/owners/alive`, "staging", lease);
      await put(`${prefix}/chunks/alive/00000000`, "x");
      await log.putSnapshot({ place, bytes: utf8("state") }, 0);
      expect(await keysUnder(`${prefix}/chunks/`)).toEqual([`${prefix}/chunks/alive/00000000`]);
      await member.api("/v3/lease/revoke", { ID: lease });
      await log.putSnapshot({ place, bytes: utf8("state") }, 0);
      expect(await keysUnder(`${prefix}/chunks/`)).toEqual([]);
    });

    test("an entry whose bytes were given up while they were written is refused, and never half there", async () => {
      const prefix = `/test/${crypto.randomUUID()}`;
      const { log } = await open(member.address, prefix);
      const { place } = await append(log, START, "1");
      const appending = refusal(append(log, place, bytesOf(20 * 1024 * 1024)));
      for (;;) {
        const [owner] = await keysUnder(`${prefix}/owners/`);
        if (owner === undefined) continue;
        const { kvs } = (await member.api("/v3/kv/range", { key: btoa(owner) })) as { kvs: { lease: string }[] };
        // As if its lease had run out.
        await member.api("/v3/lease/revoke", { ID: kvs[0]?.lease });
        break;
      }
      expect(await appending).toMatchObject({ code: "unavailable" });
      expect(await headOf(log)).toEqual(place);
    });

    test("no watch stays behind a follower or an onlooker that ended", async () => {
      const { member: only } = await own();
      const { log, board } = await open(only.address, "/weft");
      const aborts = Array.from({ length: 6 }, () => new AbortController());
      for (const [index, abort] of aborts.entries()) {
        if (index % 2) await new Reader(log, START, abort).until("current");
        else await board.watch(abort.signal)[Symbol.asyncIterator]().next();
      }
      for (const abort of aborts) abort.abort();
      await within(
        (async () => {
          while ((await only.metric("etcd_debugging_mvcc_watcher_total")) > 0) await Bun.sleep(20);
        })(),
        "the end of all watches",
      );
    });

    test("another program's data under weft's prefix is named, not taken for an entry", async () => {
      const { log } = await start();
      const prefix = log.name.replace(/^etcd:\/\/[^/]*/, "");
      const { place } = await append(log, START, "1");
      await member.api("/v3/kv/put", { key: btoa(`${prefix}/log/0000000000000001`), value: btoa("\xff\xff not ours") });
      expect((await refusal(read(log).until("entry"))).message).toContain(`${prefix}/log/0000000000000001`);
      await member.api("/v3/kv/put", { key: btoa(`${prefix}/snapshot`), value: btoa("\xff\xff not ours") });
      expect((await refusal(log.putSnapshot({ place, bytes: utf8("state") }, 1))).message).toContain("/snapshot");
    });
  });

  const debian = Bun.which("etcd");
  describeWhere(debian !== null, "an etcd in PATH, as Debian's package etcd-server", "the etcd in PATH", () => {
    test("keeps the log too, and is warned about where its version loses watch events", async () => {
      const one = await startEtcd({ binary: debian as string });
      disposals.push(() => one.stop());
      const { log, another, dispose } = await engineIn(one);
      disposals.push(dispose);
      const places = await appendAll(log, START, ["one", bytesOf(2_000_000), "three"]);
      expect((await read((await another()).log).upTo(places[3] ?? START)).length).toBe(3);
      const { version } = (await (one.members[0] as Member).api("/v3/maintenance/status", {})) as { version: string };
      console.log(`the etcd in PATH is ${version}`);
      if (version.startsWith("3.4")) expect(await log.warnings()).toEqual([expect.stringContaining(version)]);
    });
  });
}
