import { afterEach, describe, expect, test } from "bun:test";
import { reasonAt } from "../../src/mesh/readiness.ts";
import { closePresences, type SeenFrom, seenFrom, serviceYaml, workloadYaml } from "./presence-mesh.ts";

afterEach(closePresences);

const ORDERS = serviceYaml("orders");
const [ONE, TWO, THREE] = ["10.0.0.1", "10.0.0.2", "10.0.0.3"] as const;
const local = (name: string, address: string) => workloadYaml(name, "orders", address, "here");
/** The cards of the other nodes, with their proxies. */
const BOTH = { "edge-1": { proxies: ["default/a"] }, "edge-2": { proxies: ["default/b"] } };
const remote = (name: string, address: string, node: string, more?: string) => workloadYaml(name, "orders", address, node, more);

/** As this node sees a mesh of `documents`, to which the proxies of these workloads are connected. */
async function connected(names: readonly string[], documents: readonly string[], options: SeenFrom = {}) {
  const weft = seenFrom(options);
  for (const name of names) weft.stream(`default/${name}`, true);
  await weft.clock.advance(20);
  await weft.apply(...documents);
  return weft;
}

describe("A workload whose proxy is connected to this node", () => {
  test("leaves the endpoints when the proxy has been away for 10 s, and is back at once when it is", async () => {
    const weft = await connected(["a", "b"], [ORDERS, local("a", ONE), local("b", TWO)]);
    expect(weft.endpoints("orders")).toEqual([ONE, TWO]);
    await weft.clock.advance(3_000);
    weft.stream("default/a", false);
    await weft.clock.advance(10_019);
    expect(weft.endpoints("orders")).toEqual([ONE, TWO]);
    await weft.clock.advance(1);
    expect(weft.endpoints("orders")).toEqual([TWO]);
    expect(weft.said()).toEqual(["default/a left: its proxy on node here has been away for 10 s"]);
    await weft.clock.advance(4_000);
    const unready = weft.mesh().unready.get("default/a");
    expect(unready && reasonAt(unready, weft.clock.now())).toBe("its proxy on node here has been away for 14 s");
    weft.stream("default/a", true);
    await weft.clock.advance(20);
    expect(weft.endpoints("orders")).toEqual([ONE, TWO]);
    expect(weft.said()).toEqual(["default/a returned: its proxy is connected"]);
  });

  test("stays where the proxy comes back before", async () => {
    const weft = await connected(["a"], [ORDERS, local("a", ONE), workloadYaml("static", "orders", TWO)]);
    const builds = weft.builds();
    for (let times = 0; times < 10; times++) {
      weft.stream("default/a", false);
      await weft.clock.advance(9_900);
      weft.stream("default/a", true);
      await weft.clock.advance(100);
    }
    expect(weft.endpoints("orders")).toEqual([ONE, TWO]);
    expect([weft.builds(), weft.said()]).toEqual([builds, []]);
  });

  test("gets no calls before its proxy has connected, where it is new", async () => {
    const weft = seenFrom();
    await weft.apply(ORDERS, workloadYaml("static", "orders", TWO));
    await weft.apply(ORDERS, workloadYaml("static", "orders", TWO), local("a", ONE));
    expect(weft.endpoints("orders")).toEqual([TWO]);
    expect(weft.mesh().unready.get("default/a")?.reason).toBe("its proxy has not connected to node here yet");
    weft.stream("default/a", true);
    await weft.clock.advance(1_000);
    expect(weft.endpoints("orders")).toEqual([ONE, TWO]);
  });

  test("is given its 10 s where it got calls before it was given to a node", async () => {
    const weft = seenFrom();
    await weft.apply(ORDERS, workloadYaml("a", "orders", ONE), workloadYaml("static", "orders", TWO));
    await weft.apply(ORDERS, local("a", ONE), workloadYaml("static", "orders", TWO));
    expect(weft.endpoints("orders")).toEqual([ONE, TWO]);
    await weft.clock.advance(10_000);
    expect(weft.endpoints("orders")).toEqual([TWO]);
  });

  test("that names no node is static: nobody asks for its proxy", async () => {
    const weft = seenFrom();
    await weft.apply(ORDERS, workloadYaml("static", "orders", ONE), local("a", TWO));
    weft.stream("default/static", true);
    await weft.clock.advance(20);
    weft.stream("default/static", false);
    await weft.clock.advance(100_000);
    expect(weft.endpoints("orders")).toEqual([ONE]);
  });
});

describe("A workload of another node", () => {
  const three = [ORDERS, remote("a", ONE, "edge-1"), remote("b", TWO, "edge-2"), local("c", THREE)];

  async function open() {
    const weft = await connected(["c"], three);
    weft.board(BOTH);
    await weft.clock.advance(5_000);
    expect(weft.endpoints("orders")).toEqual([ONE, TWO, THREE]);
    return weft;
  }

  test("leaves the endpoints 10 s after its node's card names its proxy no longer", async () => {
    const weft = await open();
    weft.board({ ...BOTH, "edge-1": { proxies: [] } });
    await weft.clock.advance(9_999);
    expect(weft.endpoints("orders")).toEqual([ONE, TWO, THREE]);
    await weft.clock.advance(1);
    expect(weft.endpoints("orders")).toEqual([TWO, THREE]);
    expect(weft.said()).toEqual(["default/a left: its proxy on node edge-1 has been away for 10 s"]);
  });

  test("is there where its proxy is connected to a node that it does not name", async () => {
    const weft = await open();
    weft.board({ "edge-1": {}, "edge-2": { proxies: ["default/a", "default/b"] } });
    await weft.clock.advance(60_000);
    expect(weft.endpoints("orders")).toEqual([ONE, TWO, THREE]);
  });

  test("leaves them 30 s after its node's card is gone, and gets 10 s for its proxy when the node is back", async () => {
    const weft = await open();
    weft.board({ "edge-2": BOTH["edge-2"] });
    await weft.clock.advance(29_999);
    expect(weft.endpoints("orders")).toEqual([ONE, TWO, THREE]);
    await weft.clock.advance(1);
    expect(weft.endpoints("orders")).toEqual([TWO, THREE]);
    expect(weft.said()).toEqual(["default/a left: its node edge-1 has been away for 30 s"]);
    weft.board({ ...BOTH, "edge-1": {} });
    await weft.clock.advance(5_000);
    expect(weft.endpoints("orders")).toEqual([TWO, THREE]);
    weft.board(BOTH);
    await weft.clock.advance(0);
    expect(weft.endpoints("orders")).toEqual([ONE, TWO, THREE]);
  });

  test("keeps its place while a node restarts: the card may be gone for less, and then its proxies have 10 s", async () => {
    const weft = await open();
    weft.board({ "edge-2": BOTH["edge-2"] });
    await weft.clock.advance(25_000);
    weft.board({ ...BOTH, "edge-1": {} });
    await weft.clock.advance(9_000);
    weft.board(BOTH);
    await weft.clock.advance(60_000);
    expect(weft.endpoints("orders")).toEqual([ONE, TWO, THREE]);
    expect(weft.said()).toEqual([]);
  });

  test("gets no calls while its node says that its application is not ready, also when the board cannot be read any more", async () => {
    const weft = await open();
    weft.board({ ...BOTH, "edge-1": { proxies: ["default/a"], notReady: { "default/a": "connection refused" } } });
    await weft.clock.advance(1_000);
    expect(weft.endpoints("orders")).toEqual([TWO, THREE]);
    expect(weft.mesh().unready.get("default/a")?.reason).toBe("connection refused");
    weft.presence.boardLost("etcd is away");
    await weft.clock.advance(100_000);
    expect(weft.endpoints("orders")).toEqual([TWO, THREE]);
    weft.board(BOTH);
    await weft.clock.advance(1_000);
    expect(weft.endpoints("orders")).toEqual([ONE, TWO, THREE]);
  });

  test("with a probe is ready by the word of its node alone", async () => {
    const weft = seenFrom();
    const probed = remote("a", ONE, "edge-1", ', weft.dev/probe: "tcpSocket: {port: 8080}"');
    await weft.apply(ORDERS, probed);
    weft.board({ "edge-1": { proxies: ["default/a"] } });
    await weft.clock.advance(1_000);
    expect(weft.endpoints("orders")).toEqual([ONE]);
  });

  test("leaves at once, and whatever is left, where its node was removed from the mesh", async () => {
    const removed = new Set<string>();
    const weft = seenFrom({ removed: () => removed });
    await weft.apply(ORDERS, remote("a", ONE, "edge-1"));
    weft.board({ "edge-1": { proxies: ["default/a"] } });
    await weft.clock.advance(1_000);
    removed.add("edge-1");
    weft.presence.changed();
    await weft.clock.advance(0);
    expect(weft.endpoints("orders")).toEqual([]);
    expect(weft.said()).toEqual(["default/a left: node edge-1 was removed from the mesh"]);
  });
});

describe("While the board cannot be read", () => {
  const mesh = [ORDERS, remote("a", ONE, "edge-1"), remote("b", TWO, "edge-2"), local("c", THREE)];

  test("what was known of others holds, however long; this node's own workloads leave and come as ever", async () => {
    const weft = await connected(["c"], mesh);
    weft.board({ "edge-1": { proxies: ["default/a"] }, "edge-2": {} });
    await weft.clock.advance(20_000);
    expect(weft.endpoints("orders")).toEqual([ONE, THREE]);
    weft.presence.boardLost("etcd is away");
    weft.stream("default/c", false);
    await weft.clock.advance(3_600_000);
    expect(weft.endpoints("orders")).toEqual([ONE]);
    expect(weft.presence.report()).toEqual({ frozen: "etcd is away", held: [], kept: [], away: 2, heldBack: 0 });
  });

  test("nobody is given up for the time of it: all have their grace anew when it can be read again", async () => {
    const weft = await connected(["c"], mesh);
    weft.board(BOTH);
    await weft.clock.advance(1_000);
    weft.presence.boardLost("etcd is away");
    await weft.clock.advance(3_600_000);
    weft.board({ "edge-1": {} });
    await weft.clock.advance(9_000);
    expect(weft.endpoints("orders")).toEqual([ONE, TWO, THREE]);
    await weft.clock.advance(1_000);
    expect(weft.endpoints("orders")).toEqual([TWO, THREE]);
    await weft.clock.advance(20_000);
    expect(weft.endpoints("orders")).toEqual([THREE]);
  });

  test("a node that had gone before has its 30 s anew too, for nobody saw whether it came back", async () => {
    const weft = await connected(["c"], mesh);
    weft.board(BOTH);
    await weft.clock.advance(1_000);
    weft.board({ "edge-1": BOTH["edge-1"] });
    await weft.clock.advance(20_000);
    weft.presence.boardLost("etcd is away");
    await weft.clock.advance(3_600_000);
    weft.board({ "edge-1": BOTH["edge-1"] });
    await weft.clock.advance(29_999);
    expect(weft.endpoints("orders")).toEqual([ONE, TWO, THREE]);
    await weft.clock.advance(1);
    expect(weft.endpoints("orders")).toEqual([ONE, THREE]);
  });

  test("a board without this node's own card has lost what it held, and is as good as none", async () => {
    const weft = await connected(["c"], mesh);
    weft.board(BOTH);
    await weft.clock.advance(1_000);
    weft.board({}, false);
    await weft.clock.advance(3_600_000);
    expect(weft.endpoints("orders")).toEqual([ONE, TWO, THREE]);
    expect(weft.presence.report().frozen).toContain("own card");
  });

  test("which it never could be since weft started, everybody is as the last weft knew", async () => {
    const before = await connected(["c"], mesh);
    before.board({ "edge-1": { proxies: [] }, "edge-2": { proxies: ["default/b"], notReady: { "default/b": "it says NOT_SERVING" } } });
    await before.clock.advance(20_000);
    expect(before.endpoints("orders")).toEqual([THREE]);
    before.close();
    const after = seenFrom({ directory: before.directory });
    await after.apply(...mesh);
    expect(after.endpoints("orders")).toEqual([THREE]);
    expect(after.mesh().unready.get("default/b")?.reason).toBe("it says NOT_SERVING");
    expect(after.troubles).toEqual([]);
  });

  test("for a while, that is no part of the time for which a node has been gone, which counts over restarts until it is back", async () => {
    const HOUR = 3_600_000;
    const before = seenFrom();
    await before.apply(ORDERS, remote("a", ONE, "edge-1"));
    before.board({});
    await before.clock.advance(10 * HOUR);
    expect(before.presence.goneMs("edge-1")).toBe(10 * HOUR);
    before.presence.boardLost("it is away");
    await before.clock.advance(5 * HOUR);
    expect(before.presence.goneMs("edge-1")).toBeUndefined();
    before.board({});
    expect(before.presence.goneMs("edge-1")).toBe(10 * HOUR);
    await before.clock.advance(HOUR);
    before.close();
    // One that ends before it knows any workload takes nothing away.
    seenFrom({ directory: before.directory }).close();
    const after = seenFrom({ directory: before.directory });
    await after.apply(ORDERS, remote("a", ONE, "edge-1"));
    await after.clock.advance(5 * HOUR);
    expect(after.presence.goneMs("edge-1")).toBeUndefined();
    after.board({});
    await after.clock.advance(13 * HOUR);
    expect(after.presence.goneMs("edge-1")).toBe(24 * HOUR);
    // As where it is killed: no more than the last hour is forgotten.
    const last = seenFrom({ directory: before.directory });
    await last.apply(ORDERS, remote("a", ONE, "edge-1"));
    last.board({});
    expect(last.presence.goneMs("edge-1")).toBeGreaterThanOrEqual(23 * HOUR);
    last.board({ "edge-1": {} });
    expect(last.presence.goneMs("edge-1")).toBeUndefined();
    last.board({});
    expect(last.presence.goneMs("edge-1")).toBe(0);
  });

  test("a node that has none takes workloads of other nodes for static", async () => {
    const weft = seenFrom({ hasBoard: false });
    await weft.apply(ORDERS, remote("a", ONE, "edge-1", ', weft.dev/probe: "tcpSocket: {port: 8080}"'));
    await weft.clock.advance(3_600_000);
    expect(weft.endpoints("orders")).toEqual([ONE]);
    expect(weft.presence.report().frozen).toBeUndefined();
  });
});

describe("What presence alone would take at once is kept", () => {
  test("where it is the last of a service, until another is there", async () => {
    const weft = seenFrom();
    await weft.apply(ORDERS, remote("a", ONE, "edge-1"), remote("b", TWO, "edge-1"), remote("c", THREE, "edge-2"), serviceYaml("web"));
    const all = { "edge-1": { proxies: ["default/a", "default/b"] }, "edge-2": { proxies: ["default/c"] } };
    weft.board(all);
    await weft.clock.advance(5_000);
    weft.board({ ...all, "edge-2": {} });
    await weft.clock.advance(11_000);
    expect(weft.endpoints("orders")).toEqual([ONE, TWO]);
    weft.said();
    weft.board({ "edge-1": {}, "edge-2": {} });
    await weft.clock.advance(11_000);
    expect(weft.endpoints("orders")).toEqual([ONE, TWO]);
    expect(weft.said()).toEqual(["a", "b"].map((name) => `default/${name} kept: its proxy on node edge-1 has been away for 10 s`));
    expect(weft.mesh().doubtful.get("default/a")).toMatchObject({
      reason: "its proxy on node edge-1 has been away",
      hosts: ["orders.default.mesh.local"],
    });
    expect(weft.presence.report()).toMatchObject({ kept: ["default/a", "default/b"], away: 1 });
    await weft.clock.advance(3_600_000);
    expect(weft.endpoints("orders")).toEqual([ONE, TWO]);
    // They come back one by one: the other has its grace anew.
    weft.board({ "edge-1": { proxies: ["default/a"] }, "edge-2": {} });
    await weft.clock.advance(9_999);
    expect(weft.endpoints("orders")).toEqual([ONE, TWO]);
    await weft.clock.advance(1_001);
    expect(weft.endpoints("orders")).toEqual([ONE]);
    expect(weft.said()).toEqual([
      "default/a confirmed: its proxy is connected",
      "default/b left: its proxy on node edge-1 has been away for 3621 s",
    ]);
    expect(weft.presence.report()).toMatchObject({ kept: [], away: 2 });
  });

  test("also where one of those that go together is a moment ahead of the others", async () => {
    const weft = await connected(["a", "b"], [ORDERS, local("a", ONE), local("b", TWO)]);
    weft.stream("default/a", false);
    await weft.clock.advance(3_000);
    weft.stream("default/b", false);
    await weft.clock.advance(60_000);
    expect(weft.endpoints("orders")).toEqual([ONE, TWO]);
    expect(weft.presence.report().kept).toEqual(["default/a", "default/b"]);
  });

  test("and calls go to what is static, or written in the service itself, where there is such", async () => {
    const weft = seenFrom();
    await weft.apply(ORDERS, remote("a", ONE, "edge-1"), workloadYaml("static", "orders", TWO));
    weft.board({ "edge-1": { proxies: ["default/a"] } });
    await weft.clock.advance(1_000);
    weft.board({ "edge-1": {} });
    await weft.clock.advance(11_000);
    expect(weft.endpoints("orders")).toEqual([TWO]);
  });

  test("not one that never was there, or whose application is not ready", async () => {
    const weft = seenFrom();
    await weft.apply(ORDERS);
    weft.board({ "edge-1": {} });
    await weft.apply(ORDERS, remote("a", ONE, "edge-1"), remote("b", TWO, "edge-1"));
    weft.board({ "edge-1": { proxies: ["default/b"], notReady: { "default/b": "no" } } });
    await weft.clock.advance(1_000);
    weft.board({ "edge-1": { notReady: { "default/b": "no" } } });
    await weft.clock.advance(11_000);
    expect(weft.endpoints("orders")).toEqual([]);
    expect(weft.presence.report()).toMatchObject({ kept: [], away: 2 });
  });

  test("where more than half of all nodes are gone at once, this one counted", async () => {
    const weft = seenFrom();
    const nodes = ["edge-1", "edge-2", "edge-3", "edge-4"];
    const services = nodes.map((_, at) => `10.0.1.${at + 1}`);
    const all = Object.fromEntries(nodes.map((node) => [node, { proxies: [`default/${node}`] }]));
    const only = (...names: string[]) => Object.fromEntries(Object.entries(all).filter(([name]) => names.includes(name)));
    await weft.apply(ORDERS, workloadYaml("static", "orders", THREE), ...nodes.map((node, at) => remote(node, services[at] ?? "", node)));
    weft.board(all);
    await weft.clock.advance(1_000);
    // Three of five.
    weft.board(only("edge-1"));
    await weft.clock.advance(3_600_000);
    expect(weft.endpoints("orders")).toEqual([THREE, ...services].sort());
    expect(weft.presence.report()).toMatchObject({
      held: ["edge-2", "edge-3", "edge-4"],
      kept: ["default/edge-2", "default/edge-3", "default/edge-4"],
    });
    expect(weft.said()).toContain("default/edge-2 kept: its node edge-2 has been away for 30 s");
    // Two of five are not.
    weft.board(only("edge-1", "edge-2"));
    await weft.clock.advance(29_999);
    expect(weft.endpoints("orders")).toEqual([THREE, ...services].sort());
    await weft.clock.advance(1_001);
    expect(weft.endpoints("orders")).toEqual([THREE, "10.0.1.1", "10.0.1.2"].sort());
    expect(weft.presence.report()).toMatchObject({ held: [], kept: [], away: 2 });
  });

  test("which those are not that were removed from the mesh", async () => {
    const removed = new Set<string>();
    const weft = seenFrom({ removed: () => removed });
    const nodes = ["edge-1", "edge-2", "edge-3", "edge-4"];
    const services = nodes.map((_, at) => `10.0.1.${at + 1}`);
    const all = Object.fromEntries(nodes.map((node) => [node, { proxies: [`default/${node}`] }]));
    await weft.apply(ORDERS, workloadYaml("static", "orders", THREE), ...nodes.map((node, at) => remote(node, services[at] ?? "", node)));
    weft.board(all);
    await weft.clock.advance(1_000);
    // Three of five are gone for good.
    weft.board({ "edge-4": { proxies: ["default/edge-4"] } });
    await weft.clock.advance(60_000);
    expect(weft.presence.report().held).toEqual(["edge-1", "edge-2", "edge-3"]);
    for (const node of ["edge-1", "edge-2", "edge-3"]) removed.add(node);
    weft.presence.changed();
    await weft.clock.advance(1_000);
    expect(weft.endpoints("orders")).toEqual([THREE, "10.0.1.4"].sort());
    expect(weft.presence.report().held).toEqual([]);
    // One of the two that are left can be given up.
    weft.board({});
    await weft.clock.advance(31_000);
    expect(weft.endpoints("orders")).toEqual([THREE]);
  });

  test("nodes that go one after the other are given up one after the other", async () => {
    const weft = seenFrom();
    await weft.apply(ORDERS, workloadYaml("static", "orders", THREE), remote("a", ONE, "edge-1"), remote("b", TWO, "edge-2"));
    weft.board(BOTH);
    await weft.clock.advance(1_000);
    weft.board({ "edge-2": BOTH["edge-2"] });
    await weft.clock.advance(31_000);
    expect(weft.endpoints("orders")).toEqual([TWO, THREE]);
    weft.board({});
    await weft.clock.advance(31_000);
    expect(weft.endpoints("orders")).toEqual([THREE]);
  });
});

describe("A workload that goes and comes again and again", () => {
  /** Goes away for 12 s, comes back, and is asked for how long it stays out, up to 10 min. */
  async function flap(weft: ReturnType<typeof seenFrom>): Promise<number> {
    weft.stream("default/a", false);
    await weft.clock.advance(12_000);
    expect(weft.endpoints("orders")).toEqual([TWO]);
    weft.stream("default/a", true);
    await weft.clock.advance(20);
    for (let seconds = 0; seconds <= 600; seconds++) {
      if (weft.endpoints("orders").length === 2) return seconds;
      await weft.clock.advance(1_000);
    }
    throw new Error("it never came back");
  }
  async function open(options = {}) {
    const weft = await connected(["a"], [ORDERS, local("a", ONE), workloadYaml("static", "orders", TWO)], options);
    await weft.clock.advance(5_000);
    return weft;
  }

  test("is held back for longer each time, from 10 s to 5 min, and forgiven one time for each 5 min of quiet", async () => {
    const weft = await open();
    expect([await flap(weft), await flap(weft), await flap(weft), await flap(weft)]).toEqual([0, 10, 20, 40]);
    weft.stream("default/a", false);
    await weft.clock.advance(12_000);
    weft.stream("default/a", true);
    await weft.clock.advance(2_000);
    expect(weft.mesh().unready.get("default/a")?.reason).toContain(
      "has gone away 5 times lately: it gets calls when it has stayed for 80 s",
    );
    expect(weft.presence.report()).toMatchObject({ away: 0, heldBack: 1 });
    await weft.clock.advance(100_000);
    expect(await flap(weft)).toBe(160);
    await weft.clock.advance(100_000);
    expect(await flap(weft)).toBe(300);
    // Two hours are more than the seven times that are remembered.
    await weft.clock.advance(7_200_000);
    expect(await flap(weft)).toBe(0);
  });

  test("is not forgotten over a restart of weft", async () => {
    const before = await open();
    for (const held of [0, 10, 20]) expect(await flap(before)).toBe(held);
    before.close();
    const after = await open({ directory: before.directory });
    expect(await flap(after)).toBe(40);
  });

  test("is not held back where its service has nobody else", async () => {
    const weft = await open();
    for (const held of [0, 10, 20]) expect(await flap(weft)).toBe(held);
    await weft.apply(ORDERS, local("a", ONE), remote("b", TWO, "edge-1"));
    weft.stream("default/a", false);
    await weft.clock.advance(12_000);
    weft.board({ "edge-1": {} });
    await weft.clock.advance(12_000);
    expect(weft.endpoints("orders")).toEqual([TWO]);
    expect(weft.presence.report().kept).toEqual(["default/b"]);
    weft.stream("default/a", true);
    await weft.clock.advance(3_000);
    expect(weft.endpoints("orders")).toEqual([ONE, TWO]);
    expect(weft.presence.report()).toMatchObject({ kept: [], heldBack: 0 });
    await weft.clock.advance(10_000);
    expect(weft.endpoints("orders")).toEqual([ONE]);
  });
});

describe("However many flap, the Mesh is built anew once a second at most", () => {
  test("a proxy that goes and comes 1,000 times in a minute changes nothing: it is never away for 10 s", async () => {
    const weft = await connected(["a"], [ORDERS, local("a", ONE), workloadYaml("static", "orders", TWO)]);
    const builds = weft.builds();
    for (let times = 0; times < 1_000; times++) {
      weft.stream("default/a", times % 2 === 1);
      await weft.clock.advance(60);
    }
    expect(weft.builds() - builds).toBe(0);
  });

  test("1,000 workloads that each go for 11 s at a moment of their own are 2,000 changes, and 72 builds at most in 71 s", async () => {
    const weft = seenFrom();
    const names = Array.from({ length: 1_000 }, (_, at) => `w${at}`);
    for (const name of names) weft.streams.add(`default/${name}`);
    weft.presence.streamsChanged();
    await weft.clock.advance(20);
    const entries = names.map((name, at) => local(name, `10.1.${at >> 8}.${at & 255}`));
    await weft.apply([ORDERS, workloadYaml("static", "orders", TWO), ...entries].join("---\n"));
    await weft.clock.advance(5_000);
    const builds = weft.builds();
    for (const [at, name] of names.entries()) {
      weft.clock.after(at * 60, () => weft.stream(`default/${name}`, false));
      weft.clock.after(at * 60 + 11_000, () => weft.stream(`default/${name}`, true));
    }
    await weft.clock.advance(75_000);
    expect(weft.events).toHaveLength(2_000);
    expect(weft.builds() - builds).toBeLessThanOrEqual(72);
    expect(weft.builds() - builds).toBeGreaterThan(50);
    expect(weft.endpoints("orders")).toHaveLength(1_001);
  });

  test("1,000 workloads whose node's card comes and goes every minute for an hour leave and return in its first minutes, and then no more", async () => {
    const weft = seenFrom();
    const names = Array.from({ length: 1_000 }, (_, at) => `w${at}`);
    const entries = names.map((name, at) => remote(name, `10.1.${at >> 8}.${at & 255}`, "edge-1"));
    await weft.apply([ORDERS, workloadYaml("static", "orders", TWO), ...entries].join("---\n"));
    const there = { "edge-1": { proxies: names.map((name) => `default/${name}`) }, "edge-2": {}, "edge-3": {} };
    const { "edge-1": _, ...gone } = there;
    const builds = weft.builds();
    for (let minute = 0; minute < 60; minute++) {
      weft.board(there);
      await weft.clock.advance(20_000);
      weft.board(gone);
      await weft.clock.advance(40_000);
    }
    expect(weft.events.length).toBe(7_000);
    expect(weft.builds() - builds).toBeLessThanOrEqual(8);
  });
});
