import { expect, test } from "bun:test";
import type { NodeCard } from "../../src/control/node-card.ts";
import { NodeCards } from "../../src/control/node-cards.ts";
import { FakeClock } from "../fakes/clock.ts";

/** A node on a board with as many cards as `others` and its own; `posted` is what it posted, and when, in seconds. */
function open(others: number) {
  const clock = new FakeClock();
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
  };
  const posted: { readonly at: number; readonly card: NodeCard }[] = [];
  const cards = new NodeCards({
    node: "own",
    clock,
    card: () => ({ ...said }),
    onTrouble: () => {},
    board: {
      post: async (_, text) => void posted.push({ at: clock.monotonic() / 1_000, card: JSON.parse(text) as NodeCard }),
      withdraw: async () => {},
      watch: async function* () {},
    },
  });
  const card = (node: string): NodeCard => ({ ...said, node, at: "2026-01-01T00:00:00Z" });
  cards.take(new Map(Array.from({ length: others + 1 }, (_, index) => [`node-${index}`, card(`node-${index}`)])));
  return { clock, said, posted, cards };
}

/** A revision a second, for so long. @returns when a card came that told another one than the card before */
async function told({ clock, said, posted, cards }: ReturnType<typeof open>, seconds: number): Promise<readonly number[]> {
  cards.start();
  for (let second = 0; second < seconds; second++) {
    await clock.advance(1_000);
    said.revision += 1;
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
