import { afterEach, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { ProxyClient, ProxyIdentity, SnapshotSource } from "../../src/ads/types.ts";
import { GRACE_MS } from "../../src/control/presence.ts";
import { Reconciler } from "../../src/control/reconciler.ts";
import { Registrations } from "../../src/control/registration.ts";
import { LONG_GONE_MS, type NodeView, SWEEP_MS } from "../../src/control/registration-nodes.ts";
import { WorkloadHealthKeeper } from "../../src/control/workload-health.ts";
import { WeftError } from "../../src/lib/errors.ts";
import type { Mesh } from "../../src/mesh/types.ts";
import { documentOf, parseDocuments } from "../../src/model/index.ts";
import { openMemoryStore } from "../../src/store/index.ts";
import type { Store } from "../../src/store/store.ts";
import { FakeClock } from "../fakes/clock.ts";
import { eventually } from "./weft.ts";

const GROUP = `apiVersion: networking.istio.io/v1
kind: WorkloadGroup
metadata: {name: web, annotations: {weft.dev/instance-labels: version}}
spec:
  metadata: {labels: {app: web}}
  template: {ports: {http: 8080}, serviceAccount: web}
`;
const SERVICE = `apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: web}
spec:
  hosts: [web.default.mesh.local]
  location: MESH_INTERNAL
  resolution: STATIC
  ports: [{number: 8080, name: http, protocol: HTTP}]
  workloadSelector: {labels: {app: web}}
`;
const PROBED = GROUP.replace("  template", "  probe: {tcpSocket: {port: 8080}}\n  template");
const entryYaml = (name: string, address: string, more = "") => `apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: ${name}}
spec: {address: ${address}, labels: {app: web}${more}}
`;
const KEY = "default/web-10.0.0.5";
const HOST = "web.default.mesh.local";

/** A source that gives nothing: only who subscribes counts. */
const silent: SnapshotSource = { subscribe: () => () => {} };

const closers: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

/** As control/start.ts joins them; `store` is that of a weft before. */
async function open(
  store: Store = openMemoryStore({ clock: new FakeClock() }),
  directory = mkdtempSync(join(tmpdir(), "weft-registration-")),
  presence: NodeView["presence"] = { isShared: false, awayMs: () => GRACE_MS, goneMs: () => undefined },
) {
  const clock = new FakeClock();
  const lines: string[] = [];
  let builds = 0;
  let registrations: Registrations | undefined;
  const health = new WorkloadHealthKeeper({
    path: join(directory, "health.json"),
    onChange: () => reconciler.rebuild(),
    onTrouble: (message) => lines.push(message),
  });
  const reconciler: Reconciler = new Reconciler({
    store,
    clock,
    trustDomain: "mesh.local",
    health: () => health.all,
    onTrouble: (message) => lines.push(message),
    onMesh: () => {
      builds += 1;
      registrations?.follow();
    },
  });
  const log = { info: (line: string) => lines.push(line), warning: (line: string) => lines.push(`warning: ${line}`) };
  registrations = new Registrations({ store, reconciler, health, clock, log, node: "here", presence, random: () => 0 });
  const all = registrations;
  await reconciler.start();
  const close = async () => {
    await all.close();
    await reconciler.stop();
  };
  closers.push(() => rmSync(directory, { recursive: true, force: true }), close);
  const source = all.watching(silent);
  const subscribe: (proxy: ProxyIdentity, onSnapshot: () => void, client: ProxyClient) => () => void = source.subscribe;
  const stream = (proxy: ProxyIdentity) => subscribe(proxy, () => {}, { envoyVersion: "1.40.0", protocol: "delta" });
  return {
    clock,
    lines,
    health,
    store,
    directory,
    registrations: all,
    close,
    builds: () => builds,
    mesh: (): Mesh => reconciler.mesh ?? fail("no mesh"),
    entry: (key = KEY) => store.get({ kind: "WorkloadEntry", namespace: "default", name: key.split("/")[1] ?? "" }),
    async apply(yaml: string) {
      const { resources, problems } = parseDocuments(yaml, "mesh.yaml");
      if (resources.length === 0) throw new Error(JSON.stringify(problems));
      const puts = resources.map((resource) => ({
        kind: resource.kind,
        namespace: resource.metadata.namespace,
        name: resource.metadata.name,
        document: documentOf(resource),
        source: resource.source,
      }));
      await reconciler.reached((await store.apply({ puts, deletes: [], who: "test" })).revision);
    },
    async remove(kind: string, name: string) {
      const { revision } = await store.apply({ puts: [], deletes: [{ kind, namespace: "default", name }], who: "test" });
      await reconciler.reached(revision);
    },
    register: (address = "10.0.0.5", instance = "instance-1", labels = {}) =>
      all.register({ group: { namespace: "default", name: "web" }, address, instance, labels }).workload,
    /** Registers, and connects as its proxy does. Gives the end of the stream. */
    async join(address?: string, instance?: string, labels?: Record<string, string>): Promise<() => void> {
      return stream(await all.admit(this.register(address, instance, labels)));
    },
    connect: async (workload: Parameters<Registrations["admit"]>[0]) => {
      const proxy: ProxyIdentity = await all.admit(workload);
      return { proxy, leave: stream(proxy) };
    },
    endpoints: () => (reconciler.mesh?.endpoints.get(HOST) ?? []).map(({ address }) => address),
  };
}

function fail(message: string): never {
  throw new Error(message);
}

const refusal = async (work: () => unknown): Promise<WeftError> => {
  try {
    await work();
  } catch (reason) {
    return WeftError.from(reason);
  }
  return fail("it was expected to be refused");
};

test("An instance is registered when its proxy connects, not before, with the group's labels and its own", async () => {
  const weft = await open();
  await weft.apply(`${GROUP}---\n${SERVICE}`);
  const workload = weft.register("10.0.0.5", "instance-1", { version: "v2" });
  expect(await weft.entry()).toBeUndefined();
  await weft.connect(workload);
  await eventually(() => expect(weft.endpoints()).toEqual(["10.0.0.5"]));
  const entry = await weft.entry();
  expect(entry?.document).toEqual({
    apiVersion: "networking.istio.io/v1",
    kind: "WorkloadEntry",
    metadata: {
      name: "web-10.0.0.5",
      namespace: "default",
      annotations: { "weft.dev/node": "here", "istio.io/autoRegistrationGroup": "web" },
    },
    spec: { address: "10.0.0.5", ports: { http: 8080 }, labels: { app: "web", version: "v2" }, serviceAccount: "web" },
  });
  // It stands in the group, where `weft why` points.
  expect(entry?.source).toEqual({ file: "mesh.yaml", lines: { "": 1, spec: 6 } });
});

test("An instance that comes back within the grace period changes no endpoint and makes no revision", async () => {
  const weft = await open();
  await weft.apply(`${GROUP}---\n${SERVICE}`);
  const workload = weft.register();
  const first = await weft.connect(workload);
  await eventually(() => expect(weft.endpoints()).toEqual(["10.0.0.5"]));
  const { revision } = await weft.store.list();
  const endpoints = weft.mesh().endpoints.get(HOST);
  let leave = first.leave;
  for (let flaps = 0; flaps < 5; flaps++) {
    leave();
    await weft.clock.advance(GRACE_MS - 1);
    leave = (await weft.connect(workload)).leave;
  }
  await weft.clock.advance(10 * GRACE_MS);
  expect((await weft.store.list()).revision).toBe(revision);
  expect(weft.mesh().endpoints.get(HOST)).toBe(endpoints);
});

test("An instance that stays away for longer than the grace period is removed, and only then; coming back later registers it again", async () => {
  const weft = await open();
  await weft.apply(`${GROUP}---\n${SERVICE}---\n${entryYaml("by-hand", "10.0.0.9")}`);
  const workload = weft.register();
  const { leave } = await weft.connect(workload);
  await eventually(() => expect(weft.endpoints()).toEqual(["10.0.0.5", "10.0.0.9"]));
  leave();
  await weft.clock.advance(GRACE_MS - 1);
  expect(await weft.entry()).toBeDefined();
  await weft.clock.advance(1);
  await eventually(() => expect(weft.endpoints()).toEqual(["10.0.0.9"]));
  await weft.clock.advance(100 * GRACE_MS);
  expect(await weft.entry("default/by-hand")).toBeDefined();
  await weft.connect(workload);
  await eventually(() => expect(weft.endpoints()).toEqual(["10.0.0.5", "10.0.0.9"]));
});

test("Entries of another node are left alone until that has been gone for a day, and then deleted", async () => {
  const gone = new Map([["there", 0]]);
  const shared = { isShared: true, awayMs: () => GRACE_MS, goneMs: (node: string) => gone.get(node) };
  const weft = await open(undefined, undefined, shared);
  const instance = (name: string, address: string, node: string) =>
    entryYaml(name, address).replace(
      `{name: ${name}}`,
      `{name: ${name}, annotations: {weft.dev/node: ${node}, istio.io/autoRegistrationGroup: web}}`,
    );
  await weft.apply(`${GROUP}---\n${instance("web-10.0.0.7", "10.0.0.7", "there")}---\n${instance("web-10.0.0.8", "10.0.0.8", "here")}`);
  await weft.clock.advance(3 * SWEEP_MS);
  expect(await weft.entry("default/web-10.0.0.7")).toBeDefined();
  expect(await weft.entry("default/web-10.0.0.8")).toBeUndefined();
  gone.set("there", LONG_GONE_MS - 1);
  await weft.clock.advance(3 * SWEEP_MS);
  expect(await weft.entry("default/web-10.0.0.7")).toBeDefined();
  // The board cannot be read: nothing is known of that node.
  gone.delete("there");
  await weft.clock.advance(3 * LONG_GONE_MS);
  expect(await weft.entry("default/web-10.0.0.7")).toBeDefined();
  gone.set("there", LONG_GONE_MS);
  await weft.clock.advance(3 * SWEEP_MS);
  await eventually(async () => expect(await weft.entry("default/web-10.0.0.7")).toBeUndefined());
  expect(weft.lines).toContain("default/web-10.0.0.7 is registered no longer: its node has been gone for a day");
});

test("One of two streams that ends is no absence", async () => {
  const weft = await open();
  await weft.apply(GROUP);
  const workload = weft.register();
  const [old] = [await weft.connect(workload), await weft.connect(workload)];
  await eventually(async () => expect(await weft.entry()).toBeDefined());
  old?.leave();
  await weft.clock.advance(2 * GRACE_MS);
  expect(await weft.entry()).toBeDefined();
});

test("After a restart of weft each instance has the grace period to be back; those that are not are removed", async () => {
  const before = await open();
  await before.apply(`${GROUP}---\n${SERVICE}---\n${entryYaml("by-hand", "10.0.0.9")}`);
  const stays = before.register();
  await before.connect(stays);
  await before.join("10.0.0.6", "instance-2");
  await eventually(() => expect(before.endpoints()).toHaveLength(3));
  await before.close();
  const after = await open(before.store, before.directory);
  const { revision } = await after.store.list();
  await after.clock.advance(GRACE_MS - 1);
  await after.connect(stays);
  expect((await after.store.list()).revision).toBe(revision);
  await after.clock.advance(1);
  await eventually(() => expect(after.endpoints()).toEqual(["10.0.0.5", "10.0.0.9"]));
});

test("A restart of weft removes nothing, though all streams end with it", async () => {
  const weft = await open();
  await weft.apply(GROUP);
  const leave = await weft.join();
  await eventually(async () => expect(await weft.entry()).toBeDefined());
  await weft.registrations.close();
  leave();
  await weft.clock.advance(10 * GRACE_MS);
  expect(await weft.entry()).toBeDefined();
});

test("Registration is refused with a reason", async () => {
  const weft = await open();
  expect(await refusal(() => weft.register())).toMatchObject({ code: "not_found", message: "there is no WorkloadGroup default/web" });
  await weft.apply(`${GROUP}---\n${entryYaml("web-10.0.0.7", "10.0.0.17")}---\n${entryYaml("by-hand", "10.0.0.8")}`);
  const conflicts: [string, string][] = [
    ["10.0.0.7", "there is a WorkloadEntry default/web-10.0.0.7 already, which this group did not register"],
    ["10.0.0.8", "WorkloadEntry default/by-hand is at 10.0.0.8 already"],
  ];
  for (const [address, message] of conflicts)
    expect(await refusal(() => weft.register(address))).toMatchObject({ code: "conflict", message });
  for (const address of ["web.example.com", "", "0.0.0.0", "::", "224.0.0.1", "fe80::1%eth0", "10.1"]) {
    expect(await refusal(() => weft.register(address)), address).toMatchObject({ code: "invalid" });
  }
  const label = await refusal(() => weft.register("10.0.0.5", "instance-1", { app: "payments" }));
  expect(label).toMatchObject({ code: "forbidden", message: "instances of WorkloadGroup default/web may not set the label app" });
  // 127.0.0.1 would have the sidecar forward to itself.
  expect((await refusal(() => weft.register("127.0.0.1"))).message).toContain("itself");
});

test("An address that a live instance has is refused to another, and free when that has gone", async () => {
  const weft = await open();
  await weft.apply(GROUP);
  const second = weft.register("10.0.0.5", "instance-2");
  const leave = await weft.join("10.0.0.5", "instance-1");
  const message = `another instance is connected as ${KEY}`;
  expect(await refusal(() => weft.register("10.0.0.5", "instance-2"))).toMatchObject({ code: "conflict", message });
  // Also where it had registered before.
  expect(await refusal(() => weft.registrations.admit(second))).toMatchObject({ code: "conflict", message });
  leave();
  await weft.connect(second);
});

test("Two workloads may share an address where both write out their ports, and these differ", async () => {
  const weft = await open();
  await weft.apply(`${GROUP}---\n${entryYaml("db", "10.0.0.5", ", ports: {tcp-db: 5432}")}`);
  await weft.join();
  await eventually(async () => expect(await weft.entry()).toBeDefined());
});

test("IPv6 addresses are one address however they are written", async () => {
  const weft = await open();
  await weft.apply(GROUP);
  await weft.join("FD00:0:0::5");
  await eventually(async () => expect(await weft.entry("default/web-fd00--5")).toBeDefined());
  expect((await refusal(() => weft.register("fd00::5", "instance-2"))).code).toBe("conflict");
});

test("A WorkloadEntry written by hand in place of an instance's is kept, and the instance gets nothing of it", async () => {
  const weft = await open();
  await weft.apply(GROUP);
  const { proxy, leave } = await weft.connect(weft.register());
  await eventually(() => expect(weft.mesh().workloads.has(KEY)).toBe(true));
  const served = () => weft.registrations.serves(proxy, weft.mesh().workloads.get(KEY) ?? fail("no workload"));
  expect(served()).toBe(true);
  await weft.apply(entryYaml("web-10.0.0.5", "10.0.0.5", ", serviceAccount: admin"));
  expect(served()).toBe(false);
  leave();
  await weft.clock.advance(2 * GRACE_MS);
  expect((await weft.entry())?.document).toMatchObject({ spec: { serviceAccount: "admin" } });
});

test("An instance keeps the service account that it registered with, whatever the group says later", async () => {
  const weft = await open();
  await weft.apply(GROUP);
  const { proxy } = await weft.connect(weft.register());
  await eventually(() => expect(weft.mesh().workloads.has(KEY)).toBe(true));
  await weft.apply(GROUP.replace("serviceAccount: web", "serviceAccount: admin, weight: 7"));
  await eventually(async () => expect((await weft.entry())?.document).toMatchObject({ spec: { weight: 7, serviceAccount: "web" } }));
  expect(weft.registrations.serves(proxy, weft.mesh().workloads.get(KEY) ?? fail("no workload"))).toBe(true);
});

test("With the group go its instances' entries; where it comes back, those that are connected are registered again", async () => {
  const weft = await open();
  await weft.apply(`${GROUP}---\n${SERVICE}`);
  await weft.join();
  await eventually(() => expect(weft.endpoints()).toEqual(["10.0.0.5"]));
  await weft.remove("WorkloadGroup", "web");
  await eventually(() => expect(weft.endpoints()).toEqual([]));
  await weft.apply(GROUP);
  await eventually(() => expect(weft.endpoints()).toEqual(["10.0.0.5"]));
});

test("A store that cannot write is tried again", async () => {
  const memory = openMemoryStore({ clock: new FakeClock() });
  let full = false;
  const store: Store = {
    name: memory.name,
    list: (filter) => memory.list(filter),
    listPage: (filter, page) => memory.listPage(filter, page),
    get: (id) => memory.get(id),
    watch: (since, signal) => memory.watch(since, signal),
    history: (filter) => memory.history(filter),
    revisions: (after) => memory.revisions(after),
    recordAudit: (event) => memory.recordAudit(event),
    readAudit: (filter) => memory.readAudit(filter),
    onPrivate: (listener) => memory.onPrivate(listener),
    readPrivate: (collection) => memory.readPrivate(collection),
    writePrivate: (change) => memory.writePrivate(change),
    checkWritable: () => memory.checkWritable(),
    close: () => memory.close(),
    async apply(transaction) {
      if (full) throw new WeftError("unavailable", "the disk is full");
      return memory.apply(transaction);
    },
  };
  const weft = await open(store);
  await weft.apply(`${GROUP}---\n${SERVICE}`);
  full = true;
  await weft.join();
  await eventually(() => expect(weft.lines.at(-1)).toContain("could not be stored (the disk is full)"));
  full = false;
  await weft.clock.advance(GRACE_MS);
  await eventually(() => expect(weft.endpoints()).toEqual(["10.0.0.5"]));
});

test("A store that is away for long is tried once in ten seconds for an instance that has gone, however often the mesh is built", async () => {
  const memory = openMemoryStore({ clock: new FakeClock() });
  let tries = 0;
  let away = false;
  const store: Store = Object.assign(Object.create(memory) as Store, {
    apply(transaction: Parameters<Store["apply"]>[0]) {
      if (!away) return memory.apply(transaction);
      tries += 1;
      return Promise.reject(new WeftError("unavailable", "the engine is away"));
    },
    get: (id: Parameters<Store["get"]>[0]) => memory.get(id),
    list: (filter: Parameters<Store["list"]>[0]) => memory.list(filter),
    watch: (...args: Parameters<Store["watch"]>) => memory.watch(...args),
  });
  const weft = await open(store);
  await weft.apply(`${GROUP}---\n${SERVICE}`);
  const leave = await weft.join();
  await eventually(() => expect(weft.endpoints()).toEqual(["10.0.0.5"]));
  away = true;
  leave();
  for (let seconds = 0; seconds < 600; seconds++) {
    await weft.clock.advance(1_000);
    weft.registrations.follow();
  }
  expect(tries).toBeGreaterThan(50);
  expect(tries).toBeLessThanOrEqual(60);
  away = false;
  await weft.clock.advance(GRACE_MS);
  await eventually(() => expect(weft.endpoints()).toEqual([]));
});

test("A registration that is written while weft ends does not hold that up", async () => {
  const store = openMemoryStore({ clock: new FakeClock() });
  const reconciler = new Reconciler({ store, clock: new FakeClock(), trustDomain: "mesh.local", onTrouble: () => {}, onMesh: () => {} });
  await reconciler.start();
  const before = reconciler.reached(1);
  before.catch(() => {});
  await reconciler.stop();
  for (const reached of [before, reconciler.reached(1)]) expect((await refusal(() => reached)).message).toContain("shutting down");
  await reconciler.reached(0);
});

test("An instance with a probe takes calls once it says that it is ready, and while it says so", async () => {
  const weft = await open();
  await weft.apply(`${PROBED}---\n${SERVICE}`);
  await weft.join();
  await eventually(() => expect(weft.mesh().unready.get(KEY)).toEqual({ reason: "its probe has not succeeded yet", hosts: [HOST] }));
  expect(weft.endpoints()).toEqual([]);
  weft.health.report(KEY, { ready: true });
  await eventually(() => expect(weft.endpoints()).toEqual(["10.0.0.5"]));
  const [{ revision }, before] = [await weft.store.list(), weft.mesh()];
  weft.health.report(KEY, { ready: false, message: "connection refused" });
  await eventually(() => expect(weft.endpoints()).toEqual([]));
  expect(weft.mesh().unready.get(KEY)?.reason).toBe("connection refused");
  expect((await weft.store.list()).revision).toBe(revision);
  expect(weft.mesh().workloads).toBe(before.workloads);
  expect(weft.mesh().services).toBe(before.services);
  const builds = weft.builds();
  weft.health.report(KEY, { ready: false, message: "connection refused" });
  await weft.clock.advance(1);
  expect(weft.builds()).toBe(builds);
});

test("What an instance said of itself outlives a restart of weft, and not the instance", async () => {
  const before = await open();
  await before.apply(`${PROBED}---\n${SERVICE}`);
  const workload = before.register();
  await before.connect(workload);
  await eventually(() => expect(before.mesh().unready.size).toBe(1));
  before.health.report(KEY, { ready: true });
  await eventually(() => expect(before.endpoints()).toEqual(["10.0.0.5"]));
  await before.close();
  const after = await open(before.store, before.directory);
  expect(after.endpoints()).toEqual(["10.0.0.5"]);
  await after.clock.advance(GRACE_MS);
  await eventually(() => expect(after.endpoints()).toEqual([]));
  expect(JSON.parse(readFileSync(join(after.directory, "health.json"), "utf8"))).toEqual({});
  // Another process at the address is another instance.
  after.health.report(KEY, { ready: true });
  after.register("10.0.0.5", "instance-2");
  expect(after.health.all.size).toBe(0);
});

test("A damaged health file is told of, and costs nothing else", async () => {
  const directory = mkdtempSync(join(tmpdir(), "weft-registration-"));
  writeFileSync(join(directory, "health.json"), "{");
  const weft = await open(undefined, directory);
  expect(weft.lines[0]).toContain("health.json cannot be read");
  expect(weft.health.all.size).toBe(0);
});
