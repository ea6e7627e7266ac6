import { describe, expect, test } from "bun:test";
import { type Answer, findOrder, type Operation, registerModel, type Write } from "./linearizability.ts";
import { type Fault, MemoryEngine } from "./memory-log.ts";
import { nodesOf } from "./replica-harness.ts";
import { writeAndWatch } from "./write-and-watch.ts";

const operation = (
  begin: number,
  end: number,
  spec: string | undefined,
  output: Answer,
  expect?: Write["expect"],
): Operation<Write, Answer> => ({
  begin,
  end,
  input: { name: "a", spec, ...(expect !== undefined && { expect }) },
  output,
});

describe("the search for an order", () => {
  const created = { revision: 1, action: "created" } as const;
  const updated = { revision: 2, action: "updated" } as const;

  test("finds one where operations overlap", () => {
    const history = [operation(1, 4, "x", updated), operation(2, 3, "y", created)];
    expect(findOrder(registerModel, history)?.map(({ input }) => input.spec)).toEqual(["y", "x"]);
  });

  test("finds none where an answer contradicts the order of time", () => {
    expect(findOrder(registerModel, [operation(1, 2, "x", updated), operation(3, 4, "y", created)])).toBeUndefined();
  });

  test("finds none where two succeeded who expected the same", () => {
    const history = [
      operation(1, 2, "x", created),
      operation(3, 6, "y", updated, 1),
      operation(4, 5, "z", { revision: 3, action: "updated" }, 1),
    ];
    expect(findOrder(registerModel, history)).toBeUndefined();
  });

  test("finds none where a write that was acknowledged is gone", () => {
    const history = [operation(1, 2, "x", created), operation(3, 4, undefined, "not_found")];
    expect(findOrder(registerModel, history)).toBeUndefined();
  });

  test("lets what nobody was told of happen late", () => {
    const history = [operation(1, Number.POSITIVE_INFINITY, "x", updated), operation(2, 3, "y", created)];
    expect(findOrder(registerModel, history)).toHaveLength(2);
  });
});

const newNode = nodesOf();
const FAULTS: readonly Fault[] = ["answer-lost", "request-lost", "delayed"];

for (const seed of [1, 2, 3]) {
  test(`writers and watchers on three nodes see one order of changes, while answers get lost and nodes are cut off (seed ${seed})`, async () => {
    const engine = new MemoryEngine();
    const nodes = [0, 1, 2].map(() => newNode(() => engine.connect()));
    for (const node of nodes) await node.start({ writeTimeoutMs: 600 });
    const { written, wrong } = await writeAndWatch(nodes, {
      seed,
      async trouble({ random, one }) {
        const log = one(engine.clients);
        const what = random();
        if (what < 0.5) log.faults.push(one(FAULTS));
        else if (what < 0.6) log.setAway(true);
        else if (what < 0.75) log.slow = Math.floor(random() * 10);
        else engine.deliver();
        await new Promise((resolve) => setTimeout(resolve, 20 + random() * 80));
        log.setAway(false);
      },
      async mend() {
        engine.deliver();
        for (const log of engine.clients) log.slow = 0;
      },
    });
    expect(wrong).toEqual([]);
    expect(written).toBeGreaterThan(10);
  }, 60_000);
}
