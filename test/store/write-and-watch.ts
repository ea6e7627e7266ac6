/** Many writers and watchers on several nodes, over any engine, and whether one order explains all that they were told. */
import { type Answer, Recorder } from "./linearizability.ts";
import { type Node, untilEqual } from "./replica-harness.ts";

/** Random choices, from a seed. */
export interface Choices {
  /** From 0 to 1. */
  random(): number;
  one<T>(items: readonly T[]): T;
}

export interface WriteAndWatchOptions {
  readonly seed: number;
  /** Done again and again while writers write: a fault and its end. */
  readonly trouble?: (choices: Choices) => Promise<void>;
  /** After the last write: all faults are ended. */
  readonly mend?: () => Promise<void>;
}

const WRITERS = 6;
const ROUNDS = 15;
/** Few, so that writers meet. */
const NAMES = ["a", "b", "c"];

/** @param nodes that run, on one log that holds nothing. @returns how many writes were made, and what is wrong, in words */
export async function writeAndWatch(
  nodes: readonly Node[],
  { seed, trouble, mend }: WriteAndWatchOptions,
): Promise<{ readonly written: number; readonly wrong: readonly string[] }> {
  const choices = choicesOf(seed);
  const recorder = new Recorder();
  for (const { store } of nodes) recorder.watch(store, 0);
  let writing = true;
  const troubles = (async () => {
    while (writing && trouble) await trouble(choices);
  })();
  await Promise.all(Array.from({ length: WRITERS }, (_, writer) => write(recorder, nodes, writer, choices)));
  writing = false;
  await troubles;
  await mend?.();
  await untilEqual(nodes);
  await recorder.stop();
  const [first] = nodes;
  const written = recorder.operations.filter(({ output }) => typeof output !== "string").length;
  return { written, wrong: first ? await recorder.check(first.store) : ["there are no nodes"] };
}

async function write(recorder: Recorder, nodes: readonly Node[], writer: number, { random, one }: Choices): Promise<void> {
  let seen: number | undefined;
  for (let round = 0; round < ROUNDS; round++) {
    const choice = random();
    const spec = random() < 0.15 ? undefined : `${writer}-${round}`;
    const expect = choice < 0.3 ? seen : choice < 0.4 && spec !== undefined ? "absent" : undefined;
    const answer: Answer = await recorder.write(one(nodes).store, { name: one(NAMES), spec, ...(expect !== undefined && { expect }) });
    if (typeof answer !== "string") seen = answer.revision;
    await new Promise((resolve) => setTimeout(resolve, random() * 10));
  }
}

/** A linear congruential generator: enough for a test. */
function choicesOf(seed: number): Choices {
  let state = seed;
  const random = () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
  return { random, one: <T>(items: readonly T[]) => items[Math.floor(random() * items.length)] as T };
}
