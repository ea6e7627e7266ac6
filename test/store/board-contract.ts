/** What a board promises (src/store/shared/board.ts); called by logContract. */
import { describe, expect, test } from "bun:test";
import { engines, type OpenEngine } from "./log-harness.ts";

const LONG_MS = 60_000;
/** Engines keep a card longer than they were asked to, never shorter: etcd's shortest lease is 2 s with its default election timeout. */
const SHORT_MS = 2_000;
/** The largest card that is promised to fit. */
const LARGEST_CARD = 512 * 1024;

export function boardContract(name: string, open: OpenEngine): void {
  describe(`the board in ${name}`, () => {
    const { start, look } = engines(open);

    test("who looks at an empty board sees that it is empty", async () => {
      const { board } = await start();
      expect(await look(board).next()).toEqual(new Map());
    });

    test("a card is seen by all, as it is now, until it is withdrawn", async () => {
      const { board, another } = await start();
      await board.post("node-a", '{"proxies":1}', LONG_MS);
      const { board: other } = await another();
      const watcher = look(other);
      expect(await watcher.next()).toEqual(new Map([["node-a", '{"proxies":1}']]));
      await board.post("node-a", '{"proxies":2}', LONG_MS);
      await other.post("node-b", "{}", LONG_MS);
      expect(await watcher.until((cards) => cards.size === 2 && cards.get("node-a") === '{"proxies":2}')).toEqual(
        new Map([
          ["node-a", '{"proxies":2}'],
          ["node-b", "{}"],
        ]),
      );
      await board.withdraw("node-a");
      await watcher.until((cards) => cards.size === 1 && cards.get("node-b") === "{}");
    });

    test("withdrawing what is not there is no error", async () => {
      const { board } = await start();
      await board.withdraw("nobody");
      await board.post("a", "{}", LONG_MS);
      await board.withdraw("a");
      await board.withdraw("a");
      expect(await look(board).next()).toEqual(new Map());
    });

    test("a card that is not renewed is taken down; one that is renewed, also without a change, stays", async () => {
      const { board, another } = await start();
      await board.post("gone", "{}", SHORT_MS);
      await board.post("renewed", "{}", SHORT_MS);
      const watcher = look((await another()).board);
      let renewing = true;
      const renewals = (async () => {
        while (renewing) {
          await board.post("renewed", "{}", SHORT_MS);
          await Bun.sleep(SHORT_MS / 5);
        }
      })();
      try {
        const cards = await watcher.until((all) => !all.has("gone"));
        expect(cards).toEqual(new Map([["renewed", "{}"]]));
      } finally {
        renewing = false;
        await renewals;
      }
      await watcher.until((all) => all.size === 0);
    });

    test("a card that another client posted again under the same name is not taken down by the first one's time", async () => {
      const { board, another } = await start();
      await board.post("node", "before the restart", SHORT_MS);
      const { board: restarted } = await another();
      await restarted.post("node", "after the restart", LONG_MS);
      await board.post("mark", "{}", SHORT_MS);
      const watcher = look(board);
      await watcher.until((cards) => cards.has("mark"));
      const cards = await watcher.until((all) => !all.has("mark"));
      expect(cards).toEqual(new Map([["node", "after the restart"]]));
    });

    test("a card that somebody else took down or changed is as its node posts it, with the next renewal", async () => {
      const { board, another } = await start();
      const other = (await another()).board;
      const watcher = look(other);
      for (const meddle of [() => other.withdraw("node"), () => other.post("node", "another's", LONG_MS)]) {
        await board.post("node", "own", LONG_MS);
        await watcher.until((cards) => cards.get("node") === "own");
        await meddle();
        await watcher.until((cards) => cards.get("node") !== "own");
        await board.post("node", "own", LONG_MS);
        await watcher.until((cards) => cards.get("node") === "own");
      }
    });

    test("a card may be 512 KiB, and its name any node's", async () => {
      const { board, another } = await start();
      const text = `{"é✓":"${"x".repeat(LARGEST_CARD - 20)}"}`;
      expect(new TextEncoder().encode(text).length).toBeLessThanOrEqual(LARGEST_CARD);
      const watcher = look((await another()).board);
      await watcher.next();
      await board.post("Rack-7.example.com", text, LONG_MS);
      const cards = await watcher.until((all) => all.size === 1);
      expect(cards.get("Rack-7.example.com") === text).toBe(true);
    });

    test("many nodes post at the same time", async () => {
      const { board, another } = await start();
      const other = await another();
      const watcher = look(other.board);
      await Promise.all(
        Array.from({ length: 40 }, (_, index) => (index % 2 ? board : other.board).post(`node-${index}`, `${index}`, LONG_MS)),
      );
      const cards = await watcher.until((all) => all.size === 40);
      for (let index = 0; index < 40; index++) expect(cards.get(`node-${index}`)).toBe(`${index}`);
    });

    test("an abort ends the watch quietly, also one that waits", async () => {
      const { board } = await start();
      const watcher = look(board);
      await watcher.next();
      const next = watcher.next();
      watcher.abort();
      expect(await next).toBe("ended");
      const late = look(board);
      late.abort();
      expect(await late.next()).toBe("ended");
    });
  });
}
