/** Several control planes over one store and one board, as control/start.ts joins them; what is between their proxies and them is left out. */
import { afterEach, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { ProxyIdentity, SnapshotSource } from "../../src/ads/types.ts";
import { followCards } from "../../src/control/follow-cards.ts";
import { NodeCards } from "../../src/control/node-cards.ts";
import { Presence } from "../../src/control/presence.ts";
import { Reconciler } from "../../src/control/reconciler.ts";
import { Registrations } from "../../src/control/registration.ts";
import { WorkloadHealthKeeper } from "../../src/control/workload-health.ts";
import { documentOf, parseDocuments } from "../../src/model/index.ts";
import { openMemoryStore } from "../../src/store/index.ts";
import type { Store } from "../../src/store/store.ts";
import { FakeClock } from "../fakes/clock.ts";
import { MemoryBoard } from "../fakes/memory-board.ts";
import { serviceYaml } from "./presence-mesh.ts";

const HOST = "web.default.mesh.local";
const GROUP = `apiVersion: networking.istio.io/v1
kind: WorkloadGroup
metadata: {name: web}
spec:
  metadata: {labels: {app: web}}
  template: {ports: {http: 8080}, serviceAccount: web}
`;
/** As NodeCards: three renewals and the lease; presence gives a node 30 s besides. */
const LEASE_MS = 15_000;
const silent: SnapshotSource = { subscribe: () => () => {} };

const closers: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

interface Surroundings {
  readonly clock: FakeClock;
  readonly store: Store;
  readonly board: MemoryBoard;
}

function surroundings(): Surroundings {
  const clock = new FakeClock();
  return { clock, store: openMemoryStore({ clock }), board: new MemoryBoard(clock) };
}

async function startNode(node: string, { clock, store, board }: Surroundings, directory = mkdtempSync(join(tmpdir(), "weft-nodes-"))) {
  const lines: string[] = [];
  const streams = new Map<ProxyIdentity, string>();
  const log = { info: (line: string) => lines.push(line), warning: (line: string) => lines.push(`warning: ${line}`) };
  const health = new WorkloadHealthKeeper({ path: join(directory, "h.json"), onChange: () => presence.changed(), onTrouble: log.warning });
  const presence: Presence = new Presence({
    node,
    path: join(directory, "presence.json"),
    clock,
    hasBoard: true,
    graceMs: 10_000,
    nodeGraceMs: 30_000,
    connected: () => streams.values(),
    own: () => health.all,
    onChange: () => reconciler.rebuild(),
    onEvent: ({ workload, change, reason }) => lines.push(`${workload} ${change}: ${reason}`),
    onTrouble: log.warning,
  });
  const reconciler: Reconciler = new Reconciler({
    store,
    clock,
    trustDomain: "mesh.local",
    health: (entries) => presence.health(entries),
    onTrouble: log.warning,
    onMesh(mesh) {
      presence.follow(mesh);
      registrations.follow();
    },
  });
  const registrations: Registrations = new Registrations({ store, reconciler, health, clock, random: () => 0, node, presence, log });
  const cards = new NodeCards({
    node,
    board: board.as(node),
    card: () => ({
      node,
      revision: 0,
      behindMs: 0,
      ...presence.ownCard(),
      certificateNotAfter: null,
      version: "test",
      address: "",
      trusts: [],
    }),
    clock,
    onTrouble: log.warning,
  });
  await reconciler.start();
  const endFollowing = followCards({
    board: board.as(node),
    clock,
    random: () => 0,
    onCards: (all) => presence.cards(all),
    onLost: (reason) => presence.boardLost(reason),
    onTrouble: log.warning,
  });
  cards.start();
  let isOpen = true;
  /** As by kill -9 where it says nothing to the board. */
  const stop = async (saysGoodbye = false) => {
    if (!isOpen) return;
    isOpen = false;
    if (!saysGoodbye) board.cut(node, true);
    await registrations.close();
    presence.close();
    const ended = [cards.close(), endFollowing(), reconciler.stop()];
    await clock.advance(0);
    await Promise.all(ended);
    board.cut(node, false);
  };
  closers.push(() => rmSync(directory, { recursive: true, force: true }), stop);
  const source = registrations.watching(silent);
  return {
    node,
    lines,
    health,
    presence,
    directory,
    stop,
    endpoints: () => (reconciler.mesh?.endpoints.get(HOST) ?? []).map(({ address }) => address),
    /** An instance registers and its proxy connects; gives the end of its stream. */
    async join(address: string): Promise<() => void> {
      const { workload } = registrations.register({ group: { namespace: "default", name: "web" }, address, instance: address, labels: {} });
      const proxy = await registrations.admit(workload);
      streams.set(proxy, proxy.id);
      presence.streamsChanged();
      const end = source.subscribe(proxy, () => {}, { envoyVersion: "1.40.0", protocol: "delta" });
      return () => {
        streams.delete(proxy);
        presence.streamsChanged();
        end();
      };
    },
  };
}

async function apply(store: Store, yaml: string): Promise<void> {
  const { resources, problems } = parseDocuments(yaml, "mesh.yaml");
  if (resources.length === 0) throw new Error(JSON.stringify(problems));
  const puts = resources.map((resource) => ({
    kind: resource.kind,
    namespace: resource.metadata.namespace,
    name: resource.metadata.name,
    document: documentOf(resource),
    source: resource.source,
  }));
  await store.apply({ puts, deletes: [], who: "test" });
}

async function threeNodes() {
  const around = surroundings();
  await apply(around.store, `${GROUP}---\n${serviceYaml("web")}`);
  const [a, b, c] = [await startNode("a", around), await startNode("b", around), await startNode("c", around)] as const;
  const leave = { a: await a.join("10.0.0.1"), b: await b.join("10.0.0.2"), c: await c.join("10.0.0.3") };
  // Cards are looked at once a second, and presence changes the endpoints once a second.
  await around.clock.advance(5_000);
  const all = [a, b, c];
  const everywhere = (...addresses: string[]) => {
    for (const { node, endpoints, lines } of all) expect([node, endpoints(), lines]).toEqual([node, addresses, expect.anything()]);
  };
  everywhere("10.0.0.1", "10.0.0.2", "10.0.0.3");
  const entries = async () => (await around.store.list({ kind: "WorkloadEntry" })).resources.map(({ name }) => name);
  return { ...around, a, b, c, leave, everywhere, entries };
}

describe("In a mesh of several nodes", () => {
  test("an instance belongs to the node where it registers, which alone deletes its entry", async () => {
    const mesh = await threeNodes();
    const { resources } = await mesh.store.list({ kind: "WorkloadEntry" });
    expect(resources.map(({ document }) => (document.metadata as { annotations: object }).annotations)).toMatchObject([
      { "weft.dev/node": "a" },
      { "weft.dev/node": "b" },
      { "weft.dev/node": "c" },
    ]);
    await mesh.clock.advance(60_000);
    expect(await mesh.entries()).toHaveLength(3);
    mesh.leave.b();
    await mesh.clock.advance(11_000);
    expect(await mesh.entries()).toEqual(["web-10.0.0.1", "web-10.0.0.3"]);
    mesh.everywhere("10.0.0.1", "10.0.0.3");
    expect(mesh.b.lines).toContain("default/web-10.0.0.2 is registered no longer: its proxy has been away for 10 s");
    for (const { lines } of [mesh.a, mesh.c]) expect(lines.join("\n")).not.toContain("registered no longer");
  });

  test("one that was killed takes its instances out of the endpoints of the others after its lease and 30 s; their entries stay", async () => {
    const mesh = await threeNodes();
    await mesh.b.stop();
    await mesh.clock.advance(LEASE_MS + 30_000 - 5_000);
    for (const { endpoints } of [mesh.a, mesh.c]) expect(endpoints()).toHaveLength(3);
    await mesh.clock.advance(7_000);
    for (const { endpoints } of [mesh.a, mesh.c]) expect(endpoints()).toEqual(["10.0.0.1", "10.0.0.3"]);
    expect(mesh.a.lines).toContain("default/web-10.0.0.2 left: its node b has been away for 30 s");
    await mesh.clock.advance(3_600_000);
    expect(await mesh.entries()).toHaveLength(3);
  });

  test("one that restarts, its instances with it within 5 s, changes no endpoint and makes no revision", async () => {
    const mesh = await threeNodes();
    const { revision } = await mesh.store.list();
    await mesh.b.stop(true);
    await mesh.clock.advance(20_000);
    const again = await startNode("b", mesh, mesh.b.directory);
    await mesh.clock.advance(5_000);
    await again.join("10.0.0.2");
    await mesh.clock.advance(60_000);
    for (const { endpoints, lines } of [mesh.a, mesh.c, again]) {
      expect(endpoints()).toEqual(["10.0.0.1", "10.0.0.2", "10.0.0.3"]);
      expect(lines.filter((line) => /left|kept/.test(line))).toEqual([]);
    }
    expect((await mesh.store.list()).revision).toBe(revision);
  });

  test("one that cannot reach the board serves what it knew, the others give it up; nobody who is there leaves when it is back", async () => {
    const mesh = await threeNodes();
    mesh.board.cut("b", true);
    await mesh.clock.advance(3_600_000);
    expect(mesh.b.endpoints()).toEqual(["10.0.0.1", "10.0.0.2", "10.0.0.3"]);
    expect(mesh.b.presence.report().frozen).toBe("the board cannot be reached");
    for (const { endpoints } of [mesh.a, mesh.c]) expect(endpoints()).toEqual(["10.0.0.1", "10.0.0.3"]);
    mesh.board.cut("b", false);
    await mesh.clock.advance(15_000);
    mesh.everywhere("10.0.0.1", "10.0.0.2", "10.0.0.3");
    expect(mesh.b.lines.filter((line) => /left/.test(line))).toEqual([]);
  });

  test("an engine that is away, or comes back without the cards it had, changes nothing", async () => {
    const mesh = await threeNodes();
    for (const node of ["a", "b", "c"]) mesh.board.cut(node, true);
    await mesh.clock.advance(3_600_000);
    mesh.everywhere("10.0.0.1", "10.0.0.2", "10.0.0.3");
    for (const node of ["a", "b", "c"]) mesh.board.cut(node, false);
    await mesh.clock.advance(60_000);
    mesh.board.flush();
    await mesh.clock.advance(60_000);
    mesh.everywhere("10.0.0.1", "10.0.0.2", "10.0.0.3");
    for (const { lines } of [mesh.a, mesh.b, mesh.c]) expect(lines.filter((line) => /left|kept/.test(line))).toEqual([]);
  });

  test("where the others are gone all at once, what they had is kept, and that is said", async () => {
    const mesh = await threeNodes();
    mesh.board.cut("b", true);
    mesh.board.cut("c", true);
    await mesh.clock.advance(3_600_000);
    expect(mesh.a.endpoints()).toEqual(["10.0.0.1", "10.0.0.2", "10.0.0.3"]);
    expect(mesh.a.presence.report()).toMatchObject({ held: ["b", "c"], kept: ["default/web-10.0.0.2", "default/web-10.0.0.3"] });
    expect(mesh.a.lines).toContain("default/web-10.0.0.2 kept: its node b has been away for 30 s");
  });

  test("an instance that keeps going and coming makes ever fewer revisions", async () => {
    const mesh = await threeNodes();
    const { revision } = await mesh.store.list();
    let leave = mesh.leave.b;
    for (let minutes = 0; minutes < 60; minutes++) {
      leave();
      await mesh.clock.advance(30_000);
      leave = await mesh.b.join("10.0.0.2");
      await mesh.clock.advance(30_000);
    }
    expect((await mesh.store.list()).revision - revision).toBeLessThanOrEqual(10);
    for (const { endpoints } of [mesh.a, mesh.c]) expect(endpoints()).toEqual(["10.0.0.1", "10.0.0.3"]);
  });
});
