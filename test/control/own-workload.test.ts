/** weft's own documents in a store that nodes share, over the real reconciler. */
import { afterEach, describe, expect, test } from "bun:test";
import { ownPlace } from "../../src/control/own-documents.ts";
import { type OpenOwnOptions, openOwn } from "../../src/control/own-open.ts";
import { OwnWorkload, removeOwnEntry } from "../../src/control/own-workload.ts";
import { Reconciler } from "../../src/control/reconciler.ts";
import { WeftError } from "../../src/lib/errors.ts";
import { openMemoryStore } from "../../src/store/index.ts";
import type { Store } from "../../src/store/store.ts";
import { FakeClock } from "../fakes/clock.ts";
import { eventually } from "./weft.ts";

const closers: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

const placeOf = (node: string, rpcPort?: number) => ({ node, address: "10.0.0.5", port: 15014, socket: "/d/mesh.sock", rpcPort });

/** One node, as control/start.ts joins it. */
async function open(store: Store, node: string, place: ReturnType<typeof placeOf> | null = placeOf(node), isRemoved = () => false) {
  const clock = new FakeClock();
  const lines: string[] = [];
  let own: OwnWorkload | undefined;
  const reconciler = new Reconciler({ store, clock, trustDomain: "mesh.local", onMesh: () => own?.follow(), onTrouble: () => {} });
  await reconciler.start();
  const say = (line: string) => void lines.push(line);
  own = new OwnWorkload({ store, reconciler, clock, node, place: place ?? undefined, isRemoved, log: { info: say, warning: say } });
  closers.push(
    () => reconciler.stop(),
    () => own?.close(),
  );
  own.follow();
  return { own, clock, lines, reconciler };
}

const newStore = () => openMemoryStore({ clock: new FakeClock() });
const names = async (store: Store) => (await store.list()).resources.map(({ kind, name }) => `${kind} ${name}`);
const put = (store: Store, kind: string, name: string, spec: object) =>
  store.apply({
    who: "test",
    deletes: [],
    puts: [
      {
        kind,
        namespace: "weft-system",
        name,
        document: { apiVersion: "networking.istio.io/v1", kind, metadata: { name, namespace: "weft-system" }, spec },
        source: { file: "x.yaml", lines: { "": 1 } },
      },
    ],
  });

describe("weft in its own mesh", () => {
  test("is one service with a workload for each node, and no node writes against another", async () => {
    const store = newStore();
    await open(store, "a");
    await eventually(async () => expect(await names(store)).toEqual(["ServiceEntry weft", "WorkloadEntry weft-a"]));
    await open(store, "b", placeOf("b", 15116));
    await eventually(async () => expect(await names(store)).toEqual(["ServiceEntry weft", "WorkloadEntry weft-a", "WorkloadEntry weft-b"]));
    const service = await store.get({ kind: "ServiceEntry", namespace: "weft-system", name: "weft" });
    expect(service?.document.spec).toMatchObject({ ports: [{ number: 15014 }, { number: 15016, name: "tls-cluster", protocol: "TLS" }] });
    // Node A, which has no such port, sees it and leaves it.
    const again = await open(store, "a");
    await eventually(() => expect(again.own.status).toContain("registered as WorkloadEntry weft-system/weft-a"));
    expect((await store.list()).revision).toBe(2);
  });

  test("has its port of the node-to-node RPC past the sidecar, and no mutual TLS of the mesh on it", async () => {
    const store = newStore();
    const { reconciler } = await open(store, "a", placeOf("a", 15116));
    await eventually(() => expect(reconciler.mesh?.workloads.get("weft-system/weft-a")).toBeDefined());
    const workload = reconciler.mesh?.workloads.get("weft-system/weft-a");
    expect(workload).toMatchObject({ own: true, inbound: [{ number: 15014, app: { address: "/d/mesh.sock", port: 0 } }] });
    expect(workload?.inbound).toHaveLength(1);
    const [endpoint] = reconciler.mesh?.endpoints.get("weft.weft-system.mesh.local") ?? [];
    expect([...(endpoint?.ports ?? [])]).toEqual([
      [15014, 15014],
      [15016, 15116],
    ]);
    expect([...(endpoint?.mtlsPorts ?? [])]).toEqual([15014]);
  });

  test("takes nothing in but what its own entry names, whatever other services select it", async () => {
    const store = newStore();
    const { reconciler } = await open(store, "a");
    const { revision } = await put(store, "ServiceEntry", "loopback", {
      hosts: ["loopback.weft-system.mesh.local"],
      location: "MESH_INTERNAL",
      resolution: "STATIC",
      ports: [{ number: 9000, name: "tcp", protocol: "TCP" }],
      workloadSelector: { labels: { app: "weft" } },
    });
    await reconciler.reached(revision);
    await eventually(() =>
      expect(reconciler.mesh?.workloads.get("weft-system/weft-a")?.inbound.map(({ number }) => number)).toEqual([15014]),
    );
  });

  test("writes its documents again within ten seconds, and no oftener", async () => {
    const store = newStore();
    const { clock, reconciler } = await open(store, "a");
    await eventually(async () => expect(await names(store)).toHaveLength(2));
    const id = { kind: "WorkloadEntry", namespace: "weft-system", name: "weft-a" };
    await put(store, id.kind, id.name, { address: "10.0.0.5" });
    const { revision } = await store.apply({ puts: [], deletes: [id], who: "test" });
    await reconciler.reached(revision);
    // Time enough for a write that would not wait.
    for (let turn = 0; turn < 50; turn++) await new Promise<void>((resolve) => setImmediate(resolve));
    expect(await names(store)).toEqual(["ServiceEntry weft"]);
    await eventually(async () => {
      await clock.advance(10_000);
      expect(await names(store)).toHaveLength(2);
    });
  });

  test("says again what somebody changed of its service, and leaves what it says nothing of", async () => {
    const store = newStore();
    const { clock } = await open(store, "a", placeOf("a", 15116));
    await eventually(async () => expect(await names(store)).toHaveLength(2));
    const id = { kind: "ServiceEntry", namespace: "weft-system", name: "weft" };
    const before = await store.get(id);
    const port = { number: 15099, name: "tcp-newer", protocol: "TCP" };
    const changed = {
      ...before?.document,
      spec: {
        hosts: ["elsewhere.weft-system.mesh.local"],
        location: "MESH_EXTERNAL",
        resolution: "NONE",
        ports: [{ number: 15014, name: "tcp-other", protocol: "TCP" }, { number: 15016, name: "tls-cluster", protocol: "TCP" }, port],
      },
    };
    await store.apply({ who: "test", deletes: [], puts: [{ ...id, document: changed, source: { file: "x.yaml", lines: { "": 1 } } }] });
    await eventually(async () => {
      await clock.advance(10_000);
      expect((await store.get(id))?.document.spec).toEqual({
        ...(before?.document.spec as object),
        ports: [{ number: 15016, name: "tls-cluster", protocol: "TLS" }, port, { number: 15014, name: "http-admin", protocol: "HTTP" }],
      });
    });
    const { revision } = await store.list();
    // A node without that port has nothing to add.
    const other = await open(store, "a");
    await eventually(() => expect(other.own.status).toContain("registered as"));
    await clock.advance(60_000);
    for (let turn = 0; turn < 50; turn++) await new Promise<void>((resolve) => setImmediate(resolve));
    expect((await store.get(id))?.revision).toBeLessThanOrEqual(revision);
  });

  test("leaves what somebody else wrote under its names, and says so once", async () => {
    const store = newStore();
    await put(store, "WorkloadEntry", "weft-a", { address: "10.9.9.9" });
    const { own, lines, clock } = await open(store, "a");
    await eventually(() => expect(own.status).toContain("WorkloadEntry weft-system/weft-a is not of its making"));
    await clock.advance(60_000);
    await put(store, "WorkloadEntry", "weft-a", { address: "10.9.9.8" });
    await eventually(async () => expect((await store.list()).revision).toBe(2));
    expect(await names(store)).toEqual(["WorkloadEntry weft-a"]);
    expect(lines).toHaveLength(1);
  });

  test("tries again where the store cannot be written to", async () => {
    const store = newStore();
    let fails = true;
    const failing: Store = Object.assign(Object.create(store) as Store, {
      apply: (transaction: Parameters<Store["apply"]>[0]) =>
        fails ? Promise.reject(new WeftError("unavailable", "the disk is full")) : store.apply(transaction),
      get: (id: Parameters<Store["get"]>[0]) => store.get(id),
      list: (filter: Parameters<Store["list"]>[0]) => store.list(filter),
      watch: (...args: Parameters<Store["watch"]>) => store.watch(...args),
    });
    const { own, clock, lines } = await open(failing, "a");
    await eventually(() => expect(lines).toEqual([expect.stringContaining("could not be written (the disk is full)")]));
    // What health tells is not that it is registered.
    expect(own.status).toContain("could not be written (the disk is full)");
    fails = false;
    await eventually(async () => {
      await clock.advance(10_000);
      expect(await names(store)).toHaveLength(2);
    });
    await eventually(() => expect(own.status).toContain("registered as WorkloadEntry weft-system/weft-a"));
  });

  test("says so where its sidecar cannot reach it: before there is a certificate, and where the socket cannot be opened", async () => {
    const store = newStore();
    const { reconciler } = await open(store, "a");
    await eventually(async () => expect(await names(store)).toHaveLength(2));
    let give = () => {};
    const opened = openOwn({
      data: "/d",
      node: "a",
      inMesh: { host: "10.0.0.5", port: 15014 },
      rpcAddress: "",
      taken: [],
      admin: { listen: () => Promise.reject(new WeftError("unavailable", "no space left on device")) },
      svids: {
        subscribe(_id, onSvid) {
          give = () => onSvid({} as Parameters<typeof onSvid>[0]);
          return () => {};
        },
      },
      authority: { trustDomain: "mesh.local", onBundle: () => () => {} } as unknown as OpenOwnOptions["authority"],
      store,
      reconciler,
      clock: new FakeClock(),
      log: { info: () => {}, warning: () => {} },
    });
    closers.push(() => opened.close());
    await eventually(() => expect(opened.workload.status).toMatch(/^registered as .*; .* before weft has a certificate$/));
    give();
    await eventually(() => expect(opened.workload.status).toContain("; its sidecar cannot reach it: no space left on device"));
  });

  test("is taken away where a node runs without it or is removed; the service goes with the last of them", async () => {
    const store = newStore();
    await open(store, "a");
    await open(store, "b");
    await eventually(async () => expect(await names(store)).toHaveLength(3));
    for (const close of closers.splice(0).reverse()) await close();
    await removeOwnEntry(store, "b", "uid 0");
    expect(await names(store)).toEqual(["ServiceEntry weft", "WorkloadEntry weft-a"]);
    const without = await open(store, "a", null);
    await eventually(async () => expect(await names(store)).toEqual([]));
    expect(without.own.status).toContain("left the mesh");
  });

  test("is not written again by a node that was removed, and runs on", async () => {
    const store = newStore();
    let isRemoved = false;
    const { own, clock } = await open(store, "a", placeOf("a"), () => isRemoved);
    await eventually(async () => expect(await names(store)).toHaveLength(2));
    isRemoved = true;
    await removeOwnEntry(store, "a", "uid 0");
    await eventually(async () => {
      await clock.advance(10_000);
      expect(own.status).toBe("not in the mesh: node a was removed from it");
    });
    expect(await names(store)).toEqual([]);
  });

  test("is not where its sidecar could not listen, or its socket could not be named", () => {
    const place = placeOf("a");
    expect(() => ownPlace(place, [{ host: "0.0.0.0", port: 15014 }])).toThrow("weft itself listens on 10.0.0.5:15014");
    expect(() => ownPlace({ ...place, socket: "/a b/mesh.sock" }, [])).toThrow("is no Unix socket");
    expect(ownPlace(place, [{ host: "127.0.0.1", port: 15014 }])).toEqual(place);
  });
});
