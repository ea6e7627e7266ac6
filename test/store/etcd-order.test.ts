/** Whether many nodes on three real etcd members behave as one store, by what their callers saw (linearizability.ts). */
import { afterEach, describe, expect, test } from "bun:test";
import { openEtcd } from "../../src/store/etcd/index.ts";
import { installEtcd, type Member, OPTIONS, startEtcd } from "./etcd-cluster.ts";
import { Recorder } from "./linearizability.ts";
import { Relay } from "./relay.ts";
import { type Node, nodesOf, untilEqual } from "./replica-harness.ts";

const binary = installEtcd();
const NAMES = ["a", "b", "c"];
const NODES = 3;
const WRITERS = 6;
/** How long writers rest between writes: else there are more operations than an order can be searched of. */
const REST_MS = 120;

if (binary === undefined) describe.skip("nodes with a log in etcd", () => {});
else {
  const newNode = nodesOf();
  const disposals: (() => unknown)[] = [];
  afterEach(async () => {
    for (const dispose of disposals.splice(0).reverse()) await dispose();
  });
  const one = <T>(items: readonly T[]) => items[Math.floor(Math.random() * items.length)] as T;

  test("writers and watchers on three nodes see one order of changes, while requests get lost or late and etcd's members are killed and stopped", async () => {
    const cluster = await startEtcd({ binary, members: 3 });
    disposals.push(() => cluster.stop());
    const relays = await Promise.all(cluster.members.map(({ address }) => Relay.start(Number(address.split(":")[1]))));
    disposals.push(...relays.map((relay) => () => relay.dispose()));
    const url = `etcd://${relays.map(({ port }) => `127.0.0.1:${port}`).join(",")}/weft`;
    const nodes = Array.from({ length: NODES }, () => newNode(async () => (await openEtcd(url, OPTIONS)).log)) as [Node, Node, Node];
    for (const node of nodes) await node.start({ writeTimeoutMs: 4_000 });
    const recorder = new Recorder();
    for (const { store } of nodes) recorder.watch(store, 0);

    let writing = true;
    let writes = 0;
    const writer = async (id: number) => {
      let seen: number | undefined;
      while (writing) {
        const choice = Math.random();
        const expected = choice < 0.3 ? seen : choice < 0.4 ? "absent" : undefined;
        const spec = Math.random() < 0.15 ? undefined : `${id}-${++writes}`;
        const answer = await recorder.write(one(nodes).store, {
          name: one(NAMES),
          spec,
          ...(expected !== undefined && !(expected === "absent" && spec === undefined) && { expect: expected }),
        });
        if (typeof answer !== "string") seen = answer.revision;
        await Bun.sleep(REST_MS * Math.random());
      }
    };
    const writers = Array.from({ length: WRITERS }, (_, id) => writer(id));

    /** Cuts connections that ask about the log; what it holds back comes later. */
    const cut = async (times: number) => {
      for (let count = 0; count < times; count++) {
        const relay = one(relays);
        await Promise.race([relay.cutAt((said) => said.includes("/weft/log/"), { pass: Math.random() < 0.5 }), Bun.sleep(300)]);
        await Promise.race([relay.release(), Bun.sleep(100)]);
      }
    };
    await cut(6);
    const { leader, followers } = await cluster.leader();
    await leader.kill();
    await cut(4);
    leader.start();
    await leader.ready();
    const stopped = one(followers);
    stopped.pause();
    try {
      await cut(6);
    } finally {
      stopped.resume();
    }
    await Promise.all(cluster.members.map((member: Member) => member.ready()));
    await cut(4);
    writing = false;
    await Promise.all(writers);

    await untilEqual(nodes);
    await recorder.stop();
    const answered = recorder.operations.filter(({ output }) => typeof output !== "string").length;
    const unknown = recorder.operations.filter(({ output }) => output === "unknown").length;
    console.log(`${recorder.operations.length} writes: ${answered} made, ${unknown} of unknown outcome`);
    expect(answered).toBeGreaterThan(10);
    expect(await recorder.check(nodes[0].store)).toEqual([]);
  });
}
