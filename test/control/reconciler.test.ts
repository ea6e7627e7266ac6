/** Following a store that fails. */
import { expect, test } from "bun:test";
import { Reconciler } from "../../src/control/reconciler.ts";
import { systemClock } from "../../src/lib/clock.ts";
import { WeftError } from "../../src/lib/errors.ts";
import { openMemoryStore } from "../../src/store/index.ts";
import type { LostEvent, RevisionEvent, Store } from "../../src/store/store.ts";
import { countListeners } from "../fakes/abort-listeners.ts";
import { FakeClock } from "../fakes/clock.ts";

test("lists again until that succeeds after a watch has lost its place", async () => {
  const memory = openMemoryStore({ clock: systemClock });
  const lost = Promise.withResolvers<void>();
  let [lists, watches] = [0, 0];
  async function* losing(): AsyncGenerator<RevisionEvent | LostEvent> {
    await lost.promise;
    yield { type: "lost", reason: "the rows were replaced" };
  }
  // Of the same revision, as a store whose engine lost writes has it: no watch from there would tell.
  async function* silent(signal: AbortSignal): AsyncGenerator<RevisionEvent | LostEvent> {
    await new Promise((resolve) => signal.addEventListener("abort", resolve, { once: true }));
  }
  const store: Pick<Store, "list" | "watch"> = {
    list: async (filter) => {
      if (++lists === 2) throw new WeftError("unavailable", "the disk does not answer");
      return { ...(await memory.list(filter)), revision: 0 };
    },
    watch: (_, signal) => (++watches === 1 ? losing() : silent(signal)),
  };
  const troubles: string[] = [];
  const reconciler = new Reconciler({
    store,
    clock: systemClock,
    trustDomain: "cluster.local",
    onMesh: () => {},
    onTrouble: (message) => troubles.push(message),
  });
  await reconciler.start();
  const document = {
    apiVersion: "networking.istio.io/v1",
    kind: "ServiceEntry",
    metadata: { name: "api", namespace: "default" },
    spec: { hosts: ["api.example.com"], ports: [{ number: 80, name: "http", protocol: "HTTP" }], resolution: "DNS" },
  };
  const id = { kind: "ServiceEntry", namespace: "default", name: "api" };
  await memory.apply({ puts: [{ ...id, document, source: { file: "a.yaml", lines: {} } }], deletes: [], who: "uid 0" });
  lost.resolve();
  const end = performance.now() + 10_000;
  while (!reconciler.resource("ServiceEntry/default/api") && performance.now() < end) await Bun.sleep(10);
  expect(reconciler.resource("ServiceEntry/default/api")).toBeDefined();
  expect([lists, troubles.length]).toEqual([3, 2]);
  await reconciler.stop();
});

test("leaves nothing behind of each try to follow a store that fails for days", async () => {
  const clock = new FakeClock();
  let waiting = () => 0;
  let tries = 0;
  // biome-ignore lint/correctness/useYield: a watch that fails before it has told anything
  async function* failing(): AsyncGenerator<RevisionEvent | LostEvent> {
    throw new WeftError("unavailable", "the disk does not answer");
  }
  const reconciler = new Reconciler({
    store: {
      list: async () => ({ revision: 0, resources: [] }),
      watch(_, signal) {
        if (tries++ === 0) waiting = countListeners(signal);
        return failing();
      },
    },
    clock,
    trustDomain: "cluster.local",
    onMesh: () => {},
    onTrouble: () => {},
  });
  await reconciler.start();
  await clock.advance(3_600_000);
  expect(tries).toBeGreaterThan(100);
  expect(waiting()).toBeLessThanOrEqual(1);
  await reconciler.stop();
  expect(clock.pending).toBe(0);
});

test("builds nothing before all is loaded, though the bundle changes meanwhile: proxies that are back already would lose what they have", async () => {
  const memory = openMemoryStore({ clock: systemClock });
  const read = Promise.withResolvers<void>();
  const revisions: number[] = [];
  const reconciler: Reconciler = new Reconciler({
    store: {
      list: async (filter) => {
        await read.promise;
        return memory.list(filter);
      },
      watch: (since, signal) => memory.watch(since, signal),
    },
    clock: systemClock,
    trustDomain: "cluster.local",
    onMesh: ({ revision }) => revisions.push(revision),
    onTrouble: () => {},
  });
  const started = reconciler.start();
  reconciler.rebuild();
  await new Promise((resolve) => setImmediate(() => setImmediate(resolve)));
  expect(revisions).toEqual([]);
  read.resolve();
  await started;
  reconciler.rebuild();
  await new Promise((resolve) => setImmediate(() => setImmediate(resolve)));
  expect(revisions).toEqual([0, 0]);
  await reconciler.stop();
});
