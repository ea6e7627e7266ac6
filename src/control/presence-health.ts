/** What the Mesh is told of workloads: who is not there, and what is said of the applications of those that are. */
import type { WorkloadHealth } from "../mesh/settings.ts";
import type { CardIndex } from "./presence-cards.ts";
import { reasonOf, type WorkloadState } from "./presence-state.ts";

export interface HealthInputs {
  readonly node: string;
  /** What proxies and probes of this node said last, by workload key. */
  readonly own: ReadonlyMap<string, WorkloadHealth>;
  readonly states: ReadonlyMap<string, WorkloadState>;
  /** In the endpoints all the same. */
  readonly doubtful: ReadonlySet<string>;
  readonly cards: Pick<CardIndex, "notReady">;
  /** Clock.monotonic. */
  readonly now: number;
}

const READY: WorkloadHealth = { ready: true };

/** By workload key; the objects of `before` where they say the same, and `before` itself where all do. */
export function mergeHealth(inputs: HealthInputs, before: ReadonlyMap<string, WorkloadHealth>): ReadonlyMap<string, WorkloadHealth> {
  const merged = new Map<string, WorkloadHealth>();
  let isSame = true;
  const set = (key: string, health: WorkloadHealth) => {
    const known = before.get(key);
    const kept = known && isEqual(known, health) ? known : health;
    if (kept !== known) isSame = false;
    merged.set(key, kept);
  };
  for (const [key, said] of inputs.own) if ((inputs.states.get(key)?.node ?? inputs.node) === inputs.node) set(key, said);
  for (const [key, state] of inputs.states) {
    const health = healthOf(key, state, inputs);
    if (health) set(key, health);
  }
  return isSame && merged.size === before.size ? before : merged;
}

/** Cheaper than a comparison of anything with anything: it is asked of every workload, whenever one changes. */
const isEqual = (one: WorkloadHealth, other: WorkloadHealth) =>
  one.ready === other.ready && one.message === other.message && one.since === other.since && one.doubt === other.doubt;

/** undefined where there is nothing to add to what this node's own said. */
function healthOf(key: string, state: WorkloadState, { node, own, doubtful, cards, now }: HealthInputs): WorkloadHealth | undefined {
  if (!state.isIn) return { ready: false, ...reasonOf(state, now) };
  const isOwn = state.node === node;
  const why = isOwn ? undefined : cards.notReady(state.node, key);
  const otherwise: WorkloadHealth | undefined = why === undefined ? READY : { ready: false, message: why };
  const said = isOwn ? (own.get(key) ?? (state.isProbed ? undefined : READY)) : otherwise;
  if (said?.ready && doubtful.has(key)) {
    const { message, since } = reasonOf(state, now);
    return { ready: true, doubt: message, ...(since === undefined ? {} : { since }) };
  }
  return isOwn ? undefined : said;
}
