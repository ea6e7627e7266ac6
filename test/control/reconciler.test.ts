/** Following a store that fails. */
import { expect, test } from "bun:test";
import { Reconciler } from "../../src/control/reconciler.ts";
import { systemClock } from "../../src/lib/clock.ts";
import { WeftError } from "../../src/lib/errors.ts";
import { openMemoryStore } from "../../src/store/index.ts";
import type { LostEvent, RevisionEvent, Store } from "../../src/store/store.ts";

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
