/** What is made of the other nodes' cards. */
import { expect, test } from "bun:test";
import type { Stale } from "../../src/admin/nodes.ts";
import { convergenceOf } from "../../src/control/convergence.ts";
import { MeshProxies } from "../../src/control/mesh-proxies.ts";
import type { NodeCard } from "../../src/control/node-card.ts";

const card = (node: string, revision: number, proxies: readonly string[], inForce?: NodeCard["inForce"]): NodeCard => ({
  node,
  revision,
  behindMs: 0,
  proxies,
  notReady: {},
  certificateNotAfter: null,
  version: "0.1.0",
  address: "",
  trusts: [],
  inForce,
  at: "2026-01-01T00:00:00Z",
});

const AWAY_SINCE = Date.parse("2026-01-01T14:02:11Z");

/** As node "own" sees the mesh of own, b, c and d. */
function seen(cards: readonly NodeCard[], { stale, removed = [] }: { readonly stale?: Stale; readonly removed?: readonly string[] } = {}) {
  const all = new Map(cards.map((one) => [one.node, one]));
  return new MeshProxies({
    node: "own",
    cards: () => all,
    stale: () => stale,
    lastSeen: (node) => (node === "d" ? AWAY_SINCE : undefined),
    members: () => ({
      nodes: new Map(["own", "b", "c", "d"].map((name) => [name, {}])),
      removed: new Map(removed.map((name) => [name, {}])),
    }),
  });
}

const at = (revision: number, cards: readonly NodeCard[], more?: Parameters<typeof seen>[1]) =>
  convergenceOf([], revision, seen(cards, more));

test("A card counts for the revision that it tells of and for earlier ones, and never for a later one", () => {
  const cards = [card("own", 9, ["shop/own"], { revision: 9 }), card("b", 8, ["shop/b"], { revision: 8 })];
  for (const revision of [7, 8]) {
    expect(at(revision, cards)).toMatchObject({
      acked: ["shop/b"],
      pending: [],
      nodes: [{ name: "b", state: "in_force", revision: 8, pending: [] }],
    });
  }
  expect(at(9, cards)).toMatchObject({
    acked: [],
    pending: ["shop/b"],
    nodes: [{ name: "b", state: "pending", pending: ["shop/b"], reason: "it told of revision 8 last" }],
  });
});

test("A node without proxies is waited for too: one may come before it has the revision", () => {
  expect(at(9, [card("b", 8, [], { revision: 8 })]).nodes).toMatchObject([{ name: "b", state: "pending", pending: [] }]);
  expect(at(9, [card("b", 9, [], { revision: 9 })]).nodes).toMatchObject([{ name: "b", state: "in_force" }]);
});

test("Of a node where some are behind those that are named wait, and all that are not where more are", () => {
  const proxies = ["shop/a", "shop/b", "shop/c"];
  expect(at(9, [card("b", 9, proxies, { revision: 9, behind: [{ id: "shop/b", acked: 7 }] })])).toMatchObject({
    acked: ["shop/a", "shop/c"],
    pending: ["shop/b"],
  });
  const more = [card("b", 9, proxies, { revision: 8, behind: [{ id: "shop/b" }], more: 1 })];
  expect(at(9, more)).toMatchObject({ acked: [], nodes: [{ state: "pending", reason: "1 of them lack revision 9" }] });
  expect([...at(9, more).pending].sort()).toEqual(proxies);
  expect(at(8, more)).toMatchObject({ acked: ["shop/a", "shop/c"], pending: ["shop/b"] });
  expect(seen(more).of("shop/a")).toMatchObject([
    { status: "UNKNOWN", unknownBecause: "it is one of 2 of node b, of which 1 lack revision 9" },
  ]);
});

test("A refusal of this revision is an answer, and one from before that still stands is a note", () => {
  const refused = [{ type: "LDS", revision: 8, at: "2026-01-01T00:00:00Z", reason: "no such filter", acked: 7, settled: 9 }];
  const cards = [card("b", 9, ["shop/a"], { revision: 9, behind: [{ id: "shop/a", acked: 9, refused }] })];
  expect(at(8, cards)).toMatchObject({
    acked: [],
    pending: [],
    nacked: [
      {
        id: "shop/a",
        on_node: "b",
        connected: true,
        types: [{ type: "LDS", status: "NACKED", nack: { revision: 8, message: "no such filter" } }],
      },
    ],
    still_nacked: [],
    nodes: [{ state: "refused" }],
  });
  expect(at(9, cards)).toMatchObject({ acked: ["shop/a"], nacked: [], still_nacked: [{ id: "shop/a" }], nodes: [{ state: "in_force" }] });
  const unanswered = [card("b", 9, ["shop/a"], { revision: 9, behind: [{ id: "shop/a", acked: 7, refused }] })];
  expect(at(9, unanswered)).toMatchObject({ acked: [], pending: ["shop/a"], nodes: [{ state: "pending" }] });
});

test("A node of an earlier weft does not tell, and nothing is guessed", () => {
  const cards = [card("b", 9, ["shop/a"])];
  const reason = "node b runs an earlier weft, which does not tell what its proxies have";
  expect(at(1, cards)).toMatchObject({
    acked: [],
    pending: ["shop/a"],
    nodes: [{ name: "b", state: "unknown", pending: ["shop/a"], reason }],
  });
  expect(seen(cards).all()).toMatchObject([{ id: "shop/a", status: "UNKNOWN", unknownBecause: reason, types: [] }]);
  expect(at(9, [card("b", 9, [])]).nodes).toMatchObject([{ state: "in_force" }]);
  expect(at(9, [card("b", 8, [])]).nodes).toMatchObject([{ state: "pending" }]);
});

test("What may be out of date counts for no revision, and it is said as of when it is known", () => {
  const stale = { as_of: "2026-01-01T14:02:11.000Z", reason: "the shared store is away: nobody answers" };
  expect(at(1, [card("b", 9, ["shop/a"], { revision: 9 })], { stale })).toMatchObject({
    acked: [],
    pending: ["shop/a"],
    nodes: [{ name: "b", state: "unknown", pending: ["shop/a"] }],
    stale,
  });
});

test("A node without a card is away, and a removed one is no node any more", () => {
  const cards = [card("b", 9, ["shop/a"], { revision: 9 }), card("x", 3, ["shop/x"], { revision: 3 })];
  const outcome = at(9, cards, { removed: ["x"] });
  expect(outcome.nodes?.map(({ name }) => name)).toEqual(["b"]);
  expect(outcome.away_nodes).toEqual([{ name: "c" }, { name: "d", since: "2026-01-01T14:02:11.000Z" }]);
  const mesh = seen(cards, { removed: ["x"] });
  const state = (name: string) => mesh.stateOf(name).state;
  expect(["own", "b", "d", "x", "typo"].map(state)).toEqual(["here", "connected", "away", "removed", "nobody"]);
});

test("A proxy that has just moved counts once the node that it came to says so", () => {
  const cards = [card("b", 9, ["shop/a"], { revision: 9 }), card("c", 9, ["shop/a"], { revision: 9, behind: [{ id: "shop/a" }] })];
  expect(at(9, cards)).toMatchObject({ acked: [], pending: ["shop/a"], nodes: [{ state: "in_force" }, { name: "c", state: "pending" }] });
});

test("A weft that is alone with its store knows that there is no other node", () => {
  const alone = new MeshProxies({
    node: "own",
    cards: () => new Map(),
    stale: () => undefined,
    lastSeen: () => undefined,
    members: () => undefined,
  });
  expect(["own", "b"].map((name) => alone.stateOf(name))).toEqual([{ state: "here" }, { state: "nobody" }]);
});
