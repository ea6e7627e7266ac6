import { afterEach, expect, test } from "bun:test";
import { followCards } from "../../src/control/follow-cards.ts";
import type { NodeCard } from "../../src/control/node-card.ts";
import type { Clock } from "../../src/lib/clock.ts";
import { countListeners } from "../fakes/abort-listeners.ts";
import { FakeClock } from "../fakes/clock.ts";
import { MemoryBoard } from "../fakes/memory-board.ts";

const closers: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

const card = (node: string, more: Partial<NodeCard> = {}): NodeCard => ({
  node,
  revision: 7,
  behindMs: 0,
  proxies: [],
  notReady: {},
  certificateNotAfter: null,
  version: "0.1.0",
  address: "",
  trusts: [],
  at: "2026-01-01T00:00:00Z",
  ...more,
});

/** `costMs`: how long it takes whoever is told. */
function open(costMs = 0) {
  const clock = new FakeClock();
  const board = new MemoryBoard(clock);
  const read: ReadonlyMap<string, NodeCard>[] = [];
  const lost: string[] = [];
  const troubles: string[] = [];
  let spentMs = 0;
  const busy: Clock = { now: () => clock.now(), monotonic: () => clock.monotonic() + spentMs, after: (...timer) => clock.after(...timer) };
  closers.push(
    followCards({
      board: board.as("here"),
      clock: busy,
      random: () => 0,
      onCards(cards) {
        read.push(cards);
        spentMs += costMs;
      },
      onLost: (reason) => lost.push(`${clock.monotonic() / 1_000} s: ${reason}`),
      onTrouble: (message) => troubles.push(message),
    }),
  );
  const post = (name: string, text: string) => board.as(name).post(name, text, 3_600_000);
  return { clock, board, read, lost, troubles, post, last: () => read.at(-1) };
}

test("The cards are told as they are now, and whenever one changes; one that says the same is the same object", async () => {
  const { clock, post, last } = open();
  await clock.advance(0);
  expect(last()).toEqual(new Map());
  await post("a", JSON.stringify(card("a", { proxies: ["default/x"] })));
  await post("b", JSON.stringify(card("b")));
  await clock.advance(0);
  const before = last();
  expect(before?.get("a")).toEqual(card("a", { proxies: ["default/x"] }));
  await post("b", JSON.stringify(card("b", { revision: 8 })));
  await clock.advance(0);
  expect(last()?.get("b")).toEqual(card("b", { revision: 8 }));
  expect(last()?.get("a")).toBe(before?.get("a") ?? card("none"));
});

test("A card of an earlier weft, or of one that tells otherwise what its proxies have, counts without that", async () => {
  const { clock, post, last, troubles } = open();
  await post("a", JSON.stringify(card("a", { inForce: { revision: 7, behind: [{ id: "default/x", acked: 6 }], more: 2 } })));
  await post("b", JSON.stringify(card("b")));
  await post("c", JSON.stringify({ ...card("c", { proxies: ["default/x"] }), inForce: { regions: 3 } }));
  await clock.advance(0);
  expect(last()?.get("a")?.inForce).toEqual({ revision: 7, behind: [{ id: "default/x", acked: 6 }], more: 2 });
  expect(last()?.get("b")?.inForce).toBeUndefined();
  expect(last()?.get("c")).toEqual(card("c", { proxies: ["default/x"] }));
  expect(troubles).toEqual([]);
});

test("What a newer weft says besides is left alone; what cannot be read is told once, and the card before holds", async () => {
  const { clock, post, last, troubles } = open();
  await post("a", JSON.stringify({ ...card("a"), mood: "good" }));
  await post("b", "{");
  await post("c", JSON.stringify(card("somebody else")));
  await post("d", JSON.stringify({ ...card("d"), proxies: "all" }));
  await clock.advance(0);
  expect([...(last() ?? [])]).toEqual([["a", card("a")]]);
  expect(troubles).toEqual(["b", "c", "d"].map((node) => expect.stringContaining(`the card of node ${node} on the board cannot be read`)));
  await post("a", "garbage");
  await clock.advance(0);
  expect(last()?.get("a")).toEqual(card("a"));
  expect(troubles).toHaveLength(3);
});

test("Who needs a while for them is told the newest, and for a fifth of the time at most", async () => {
  const { clock, post, read, last } = open(100);
  await clock.advance(0);
  expect(read).toHaveLength(1);
  for (let revision = 1; revision <= 50; revision++) {
    await post("a", JSON.stringify(card("a", { revision })));
    await clock.advance(7);
  }
  expect(read).toHaveLength(1);
  await clock.advance(50);
  expect(read).toHaveLength(2);
  expect(last()?.get("a")?.revision).toBe(50);
});

test("A board that is away is told of with each try, after 0.5 s, doubling to 10 s, and read again when it is back", async () => {
  const { clock, board, post, lost, last } = open();
  await post("a", JSON.stringify(card("a")));
  await clock.advance(0);
  board.cut("here", true);
  await clock.advance(40_000);
  expect(lost).toEqual([0, 0.5, 1.5, 3.5, 7.5, 15.5, 25.5, 35.5].map((seconds) => `${seconds} s: the board cannot be reached`));
  await post("b", JSON.stringify(card("b")));
  expect([...(last()?.keys() ?? [])]).toEqual(["a"]);
  board.cut("here", false);
  await clock.advance(10_000);
  expect([...(last()?.keys() ?? [])]).toEqual(["a", "b"]);
});

test("A board that is away for days leaves nothing behind of each try to reach it", async () => {
  const clock = new FakeClock();
  let waiting = () => 0;
  let tries = 0;
  const stop = followCards({
    board: {
      async *watch(signal) {
        if (tries++ === 0) waiting = countListeners(signal);
        yield new Map();
        throw new Error("it is away");
      },
    },
    clock,
    random: () => 0,
    onCards: () => {},
    onLost: () => {},
    onTrouble: () => {},
  });
  await clock.advance(3_600_000);
  expect(tries).toBeGreaterThan(100);
  expect(waiting()).toBeLessThanOrEqual(1);
  expect(clock.pending).toBeLessThanOrEqual(1);
  await stop();
  expect(clock.pending).toBe(0);
});
