/**
 * Whether recorded operations could have happened one after the other, each at one moment between its begin and its end (M. Herlihy, J. Wing,
 * "Linearizability: a correctness condition for concurrent objects", 1990). The search is J. Wing's and C. Gong's ("Testing and verifying concurrent
 * objects", 1993), with states that were tried remembered as G. Lowe has it ("Testing for linearizability", 2017). An object is linearizable if each
 * of its parts is, so every resource is checked by itself.
 */
import { WeftError } from "../../src/lib/errors.ts";
import type { HistoryEntry, RevisionEvent, Store } from "../../src/store/index.ts";
import { idOf, put } from "./harness.ts";

export interface Operation<Input, Output> {
  readonly input: Input;
  readonly output: Output;
  /** Of one clock that never stands still. */
  readonly begin: number;
  /** Infinity where nobody was answered: it may happen at any time after its begin. */
  readonly end: number;
}

/** What one object does, one operation at a time. */
export interface Model<State, Input, Output> {
  readonly initial: State;
  /** The state after `input`, if it may be answered so in `state`; undefined where it may not. */
  step(state: State, input: Input, output: Output): State | undefined;
  key(state: State): string;
}

/** An order in which they could have happened; undefined where there is none. */
export function findOrder<State, Input, Output>(
  model: Model<State, Input, Output>,
  operations: readonly Operation<Input, Output>[],
): readonly Operation<Input, Output>[] | undefined {
  const tried = new Set<string>();
  const order: Operation<Input, Output>[] = [];
  const search = (left: bigint, state: State): boolean => {
    if (left === 0n) return true;
    const key = `${left.toString(36)} ${model.key(state)}`;
    if (tried.has(key)) return false;
    tried.add(key);
    const open = operations.map((operation, index) => ({ operation, bit: 1n << BigInt(index) })).filter(({ bit }) => (left & bit) !== 0n);
    const firstEnd = Math.min(...open.map(({ operation }) => operation.end));
    for (const { operation, bit } of open) {
      // It began after another had ended: that one comes first.
      if (operation.begin > firstEnd) continue;
      const next = model.step(state, operation.input, operation.output);
      if (next === undefined) continue;
      order.push(operation);
      if (search(left & ~bit, next)) return true;
      order.pop();
    }
    return false;
  };
  return search((1n << BigInt(operations.length)) - 1n, model.initial) ? order : undefined;
}

/** One resource, as a register that is written if it is as expected. */
export interface Write {
  readonly name: string;
  /** A document that nobody else writes; undefined deletes. */
  readonly spec: string | undefined;
  readonly expect?: number | "absent";
}

export type Answer =
  | { readonly revision: number; readonly action: "created" | "updated" | "deleted" | "unchanged" }
  | "conflict"
  | "not_found"
  | "unknown";

/** What stands in the register: revision 0 is none. */
interface Register {
  readonly revision: number;
  readonly spec: string | undefined;
}

export const registerModel: Model<Register, Write, Answer> = {
  initial: { revision: 0, spec: undefined },
  step(state, { spec, expect }, answer) {
    const isThere = state.spec !== undefined;
    const fits = expect === undefined || (expect === "absent" ? !isThere : isThere && state.revision === expect);
    if (spec === undefined && !isThere) return answer === "not_found" ? state : undefined;
    if (!fits) return answer === "conflict" ? state : undefined;
    if (typeof answer === "string") return undefined;
    if (spec === state.spec) return answer.action === "unchanged" && answer.revision === state.revision ? state : undefined;
    const action = spec === undefined ? "deleted" : isThere ? "updated" : "created";
    if (answer.action !== action) return undefined;
    return { revision: answer.revision, spec };
  },
  key: ({ revision, spec }) => `${revision} ${spec}`,
};

/** Records what many writers ask of many stores, and what watchers of them see. */
export class Recorder {
  readonly operations: Operation<Write, Answer>[] = [];
  readonly #watchers: { readonly seen: RevisionEvent[]; readonly abort: AbortController; readonly done: Promise<void> }[] = [];
  #now = 0;

  /** Never rejects for what a store may answer. */
  async write(store: Store, write: Write): Promise<Answer> {
    const begin = ++this.#now;
    let output: Answer;
    try {
      output = await ask(store, write);
    } catch (reason) {
      if (!(reason instanceof WeftError)) throw reason;
      if (reason.code === "unavailable" && reason.message.includes("nothing was changed")) return "unknown";
      output = reason.code === "not_found" ? "not_found" : reason.code === "unavailable" ? "unknown" : "conflict";
      if (reason.code === "conflict" && reason.message.includes("other nodes wrote first")) return "conflict";
    }
    this.operations.push({ input: write, output, begin, end: output === "unknown" ? Number.POSITIVE_INFINITY : ++this.#now });
    return output;
  }

  /** From revision `since`, until `stop`. A LostEvent ends it. */
  watch(store: Store, since: number): void {
    const seen: RevisionEvent[] = [];
    const abort = new AbortController();
    const done = (async () => {
      for await (const event of store.watch(since, abort.signal)) if (event.type === "revision") seen.push(event);
    })();
    this.#watchers.push({ seen, abort, done });
  }

  async stop(): Promise<void> {
    for (const { abort, done } of this.#watchers) {
      abort.abort();
      await done;
    }
  }

  /**
   * @param store one that holds everything by now, and has its whole history
   * @returns what is wrong, in words; nothing where all is well
   */
  async check(store: Store): Promise<readonly string[]> {
    const history = await store.history();
    const wrong: string[] = [];
    for (const [name, operations] of Map.groupBy(this.operations, ({ input }) => input.name)) {
      const known = resolved(operations, history.filter((entry) => entry.name === name).toReversed());
      if (!findOrder(registerModel, known)) wrong.push(`${name}: no order explains ${known.map(textOf).join("; ")}`);
    }
    const revisions = new Map(history.map(({ revision }) => [revision, history.filter((entry) => entry.revision === revision)]));
    for (const { seen } of this.#watchers) {
      for (const [index, { revision, changes }] of seen.entries()) {
        const before = seen[index - 1]?.revision ?? revision - 1;
        if (revision !== before + 1) wrong.push(`a watcher saw revision ${revision} after ${before}`);
        const [shown, stored] = [changes.map(keyOf).join(), (revisions.get(revision) ?? []).map(keyOf).join()];
        if (shown !== stored) wrong.push(`a watcher saw at revision ${revision} ${shown}, the history has ${stored}`);
      }
    }
    return wrong;
  }
}

/** With what became of those that nobody was told of: it happened if the history has it. @param history of the resource, oldest first */
function resolved(operations: readonly Operation<Write, Answer>[], history: readonly HistoryEntry[]): readonly Operation<Write, Answer>[] {
  const told = new Set(operations.flatMap(({ output }) => (typeof output === "string" ? [] : [output.revision])));
  const unknown = operations.filter(({ output }) => output === "unknown").sort((a, b) => a.begin - b.begin);
  const made = unknown.flatMap((operation): Operation<Write, Answer>[] => {
    const { spec } = operation.input;
    const entry = history.find(({ action, document }) => action !== "deleted" && spec !== undefined && specOf(document) === spec);
    return entry ? [{ ...operation, output: { revision: entry.revision, action: entry.action } }] : [];
  });
  // Deletes look alike: the first that was asked for is taken for the first that happened, which rules out no order that another choice would allow.
  const deletes = unknown.filter(({ input }) => input.spec === undefined);
  const deleted = history
    .filter(({ action, revision }) => action === "deleted" && !told.has(revision))
    .flatMap(({ revision }, index): Operation<Write, Answer>[] => {
      const asked = deletes[index];
      return asked ? [{ ...asked, input: { name: asked.input.name, spec: undefined }, output: { revision, action: "deleted" } }] : [];
    });
  return [...operations.filter(({ output }) => output !== "unknown"), ...made, ...deleted];
}

async function ask(store: Store, { name, spec, expect }: Write): Promise<Answer> {
  const transaction =
    spec === undefined
      ? { puts: [], deletes: [{ ...idOf(name), ...(typeof expect === "number" && { expect }) }], who: "test" }
      : { puts: [put(name, spec, expect === undefined ? {} : { expect })], deletes: [], who: "test" };
  const { revision, changes } = await store.apply(transaction);
  const [change] = changes;
  if (!change) throw new Error("a change was not answered");
  return { action: change.action, revision: change.action === "unchanged" ? change.resource.revision : revision };
}

const specOf = (document: Readonly<Record<string, unknown>>) => String(document.spec);
const keyOf = ({ action, name }: { readonly action: string; readonly name: string }) => `${action} ${name}`;
const textOf = ({ input, output, begin, end }: Operation<Write, Answer>) =>
  `[${begin}-${end}] ${JSON.stringify(input)} -> ${JSON.stringify(output)}`;
