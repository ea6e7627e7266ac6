/** Whether many nodes on a real Redis behave as one store, by what their callers saw (linearizability.ts). */
import { afterEach, expect, test } from "bun:test";
import { systemClock } from "../../src/lib/clock.ts";
import { openRedis } from "../../src/store/redis/index.ts";
import { APPEND, shaOf } from "../../src/store/redis/scripts.ts";
import { describeWhere } from "../skip.ts";
import { Recorder } from "./linearizability.ts";
import { DURABLE, installRedis, RedisServer } from "./redis-server.ts";
import { Relay } from "./relay.ts";
import { type Node, nodesOf, untilEqual } from "./replica-harness.ts";

const programs = installRedis();
const NAMES = ["a", "b", "c"];
const NODES = 3;
const WRITERS = 6;
const ROUNDS = 12;

describeWhere(programs !== undefined, "a redis-server (scripts/lib/install-redis)", "with a log in Redis", () => {
  const newNode = nodesOf();
  const disposals: (() => unknown)[] = [];
  afterEach(async () => {
    for (const dispose of disposals.splice(0).reverse()) await dispose();
  });

  test("writers and watchers on three nodes see one order of changes, while answers and requests get lost and Redis is killed", async () => {
    const server = await RedisServer.start(programs?.current ?? "", DURABLE);
    disposals.push(() => server.dispose());
    const relays = await Promise.all(Array.from({ length: NODES }, () => Relay.start(server.port)));
    disposals.push(...relays.map((relay) => () => relay.dispose()));
    const nodes = relays.map(({ port }) =>
      newNode(async () => (await openRedis(`redis://127.0.0.1:${port}`, { clock: systemClock })).log),
    ) as [Node, Node, Node];
    for (const node of nodes) await node.start();
    const recorder = new Recorder();
    for (const { store } of nodes) recorder.watch(store, 0);
    const one = <T>(items: readonly T[]) => items[Math.floor(Math.random() * items.length)] as T;
    let writes = 0;
    const writer = async (id: number) => {
      let seen: number | undefined;
      for (let round = 0; round < ROUNDS; round++) {
        const choice = Math.random();
        const expected = choice < 0.3 ? seen : choice < 0.4 ? "absent" : undefined;
        const spec = Math.random() < 0.15 ? undefined : `${id}-${++writes}`;
        const answer = await recorder.write(one(nodes).store, {
          name: one(NAMES),
          spec,
          ...(expected !== undefined && !(expected === "absent" && spec === undefined) && { expect: expected }),
        });
        if (typeof answer !== "string") seen = answer.revision;
        await Bun.sleep(Math.random() * 20);
      }
    };
    let writing = true;
    let caught = 0;
    const trouble = (async () => {
      for (let round = 0; writing; round++) {
        const relay = one(relays);
        const cut = relay
          .cutAt((said) => said.includes(shaOf(APPEND)), { pass: Math.random() < 0.5 })
          .then(() => {
            caught += 1;
          });
        await Promise.race([cut, Bun.sleep(100)]);
        if (round % 5 === 4) {
          await server.kill();
          await server.start();
        }
        // What was held comes too late.
        await Promise.race([relay.release(), Bun.sleep(100)]);
      }
    })();
    await Promise.all(Array.from({ length: WRITERS }, (_, id) => writer(id)));
    writing = false;
    await trouble;
    await untilEqual(nodes);
    await recorder.stop();
    expect(caught).toBeGreaterThan(2);
    expect(recorder.operations.filter(({ output }) => typeof output !== "string").length).toBeGreaterThan(10);
    expect(await recorder.check(nodes[0].store)).toEqual([]);
  });
});
