import { expect, test } from "bun:test";
import type { NodeCard } from "../../src/control/node-card.ts";
import { NodeCards } from "../../src/control/node-cards.ts";
import type { Standing } from "../../src/store/store.ts";
import { FakeClock } from "../fakes/clock.ts";

/** A node on a board with as many cards as `others` and its own; `posted` is what it posted, and when, in seconds. */
function open(
  others: number,
  { clock = new FakeClock(), standing }: { readonly clock?: FakeClock; readonly standing?: () => Standing } = {},
) {
  const said = {
    node: "own",
    revision: 1,
    behindMs: 0,
    proxies: [] as string[],
    notReady: {},
    certificateNotAfter: null,
    version: "test",
    address: "",
    trusts: [],
    inForce: { revision: 1 },
  };
  const posted: { readonly at: number; readonly card: NodeCard }[] = [];
  const cards = new NodeCards({
    node: "own",
    clock,
    card: () => ({ ...said }),
    standing,
    onTrouble: () => {},
    board: {
      post: async (_, text) => void posted.push({ at: clock.monotonic() / 1_000, card: JSON.parse(text) as NodeCard }),
      withdraw: async () => {},
      watch: async function* () {},
    },
  });
  const card = (node: string): NodeCard => ({ ...said, node, at: "2026-01-01T00:00:00Z" });
  cards.take(new Map(Array.from({ length: others + 1 }, (_, index) => [`node-${index}`, card(`node-${index}`)])));
  return { clock, said, posted, cards, card };
}

/** A revision a second, for so long. @returns when a card came that told another one than the card before */
async function told({ clock, said, posted, cards }: ReturnType<typeof open>, seconds: number): Promise<readonly number[]> {
  cards.start();
  for (let second = 0; second < seconds; second++) {
    await clock.advance(1_000);
    said.revision += 1;
    said.inForce = { revision: said.revision };
  }
  await cards.close();
  return posted.flatMap(({ at, card }, index) => (card.revision === posted[index - 1]?.card.revision ? [] : [at]));
}

test("In a mesh of a hundred nodes each tells of every revision within a second", async () => {
  expect((await told(open(99), 60)).length).toBeGreaterThan(55);
});

test("In a mesh of a thousand nodes each tells of its revision every 50 s, and renews its card meanwhile", async () => {
  const mesh = open(999);
  const changes = await told(mesh, 120);
  expect(changes.slice(1).map((at, index) => at - (changes[index] ?? 0))).toEqual([50, 50]);
  const renewals = mesh.posted.slice(1).map(({ at }, index) => at - (mesh.posted[index]?.at ?? 0));
  expect(Math.max(...renewals)).toBeLessThanOrEqual(4);
});

test("However many nodes there are, a proxy that came or went is told at once", async () => {
  const mesh = open(9_999);
  mesh.cards.start();
  await mesh.clock.advance(2_000);
  mesh.said.proxies.push("default/orders-1");
  await mesh.clock.advance(1_000);
  await mesh.cards.close();
  expect(mesh.posted.at(-1)?.card.proxies).toEqual(["default/orders-1"]);
});

test("A revision after a calm while is told as soon as its proxies have answered it, the next within a second, and no more cards are posted than before", async () => {
  const { clock, said, posted, cards } = open(2);
  cards.start();
  await clock.advance(20_500);
  posted.length = 0;
  said.revision = 2;
  Object.assign(said.inForce, { behind: [{ id: "default/orders-1" }] });
  cards.served();
  await clock.advance(250);
  expect(posted).toEqual([]);
  said.inForce = { revision: 2 };
  await clock.advance(50);
  expect(posted).toMatchObject([{ at: 20.8, card: { revision: 2, inForce: { revision: 2 } } }]);
  for (let revision = 3; revision < 13; revision++) {
    said.revision = revision;
    said.inForce = { revision };
    cards.served();
    await clock.advance(100);
  }
  expect(posted.map(({ at, card }) => [at, card.revision])).toEqual([
    [20.8, 2],
    [21.8, 12],
  ]);
  said.revision = 13;
  said.inForce = { revision: 13 };
  cards.served();
  await clock.advance(1_500);
  expect(posted.slice(2).map(({ at, card }) => [at, card.revision])).toEqual([[22.8, 13]]);
  await cards.close();
});

test("A revision that a proxy does not answer, and one in a mesh of more than 44 nodes, is told with the next look", async () => {
  const small = open(2);
  const large = open(44);
  for (const { clock, said, posted, cards } of [small, large]) {
    cards.start();
    await clock.advance(20_100);
    posted.length = 0;
    said.revision = 2;
    cards.served();
  }
  Object.assign(small.said.inForce, { behind: [{ id: "default/orders-1" }] });
  for (const { clock, posted, cards } of [small, large]) {
    await clock.advance(899);
    expect(posted).toEqual([]);
    await clock.advance(1);
    expect(posted).toMatchObject([{ card: { revision: 2 } }]);
    await cards.close();
  }
});

test("What is known of the others is as of the time when the board was lost, or the store was heard of last", async () => {
  const clock = new FakeClock("2026-01-01T14:00:00Z");
  let standing: Standing = { engine: "etcd", inTouch: true, behindMs: 0, warnings: [] };
  const { cards, card } = open(0, { clock, standing: () => standing });
  expect(cards.stale()).toEqual({ reason: "this node's own card is not on the board of the nodes yet" });
  const both = new Map(["own", "b"].map((name) => [name, card(name)]));
  cards.take(both);
  expect(cards.stale()).toBeUndefined();
  await clock.advance(131_000);
  cards.lost("the board of the nodes cannot be read: refused");
  await clock.advance(60_000);
  cards.lost("the board of the nodes cannot be read: no route");
  expect(cards.stale()).toEqual({ as_of: "2026-01-01T14:02:11.000Z", reason: "the board of the nodes cannot be read: no route" });
  expect([...cards.all.keys()]).toEqual(["own", "b"]);
  standing = { engine: "etcd", inTouch: false, behindMs: 67_000, reason: "etcd does not answer", warnings: [] };
  expect(cards.stale()).toEqual({ as_of: "2026-01-01T14:02:04.000Z", reason: "the shared store is away: etcd does not answer" });
  cards.take(both);
  standing = { engine: "etcd", inTouch: true, behindMs: 0, warnings: [] };
  expect(cards.stale()).toBeUndefined();
});

test("A board that has lost this node's own card proves nothing of the others: what was known before holds", () => {
  const { cards, card } = open(0);
  cards.take(new Map(["own", "b"].map((name) => [name, card(name)])));
  cards.take(new Map());
  expect([...cards.all.keys()]).toEqual(["own", "b"]);
  expect(cards.stale()).toMatchObject({ as_of: expect.any(String), reason: "this node's own card is not on the board of the nodes" });
  expect(cards.lastSeen("b")).toBeUndefined();
  cards.take(new Map([["own", card("own")]]));
  expect(cards.stale()).toBeUndefined();
  expect(cards.lastSeen("b")).toBeDefined();
});
