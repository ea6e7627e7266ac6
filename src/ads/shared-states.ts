/**
 * Where one stream stands among the states that streams share. A state that is shared never changes: a step leads to another one, which
 * is remembered for whoever takes the same step. A state that one stream has by itself changes in place.
 */
import { TYPE } from "../lib/encoded.ts";
import { NO_RESOURCES, type ResourceMap } from "./diff.ts";
import type { Parcel, Phase } from "./push.ts";
import type { SubscriptionState } from "./subscription-state.ts";

/**
 * How many states are remembered for one map of resources, and how many names all of them have together. A stream that goes its own way from
 * there on has its state by itself.
 */
const MAX_STATES = 512;
const MAX_NAMES = 1_000_000;
/** Of a state that is not about a map: there is nothing with which it would be forgotten. */
const MAX_NAMES_FOR_EVER = 16;

interface Step {
  readonly state: SubscriptionState;
  readonly result: unknown;
}

/** What is known to follow from a shared state. */
interface Following {
  readonly steps: Map<string, Step>;
  /** By the next map: it goes with that. */
  readonly maps: WeakMap<ResourceMap, SubscriptionState>;
}

/** Of one map: how many streams are shown it now; how many states are remembered for it, with how many names. */
interface Uses {
  streams: number;
  states: number;
  names: number;
}

const followings = new WeakMap<SubscriptionState, Following>();
const uses = new WeakMap<ResourceMap, Uses>();
/** The first state of each variant and type that weft serves. */
const firsts = new Map<unknown, Map<string, SubscriptionState>>();

const usesOf = (map: ResourceMap): Uses => {
  const known = uses.get(map) ?? { streams: 0, states: 0, names: 0 };
  uses.set(map, known);
  return known;
};

const followingOf = (state: SubscriptionState): Following => {
  const known = followings.get(state) ?? { steps: new Map(), maps: new WeakMap() };
  followings.set(state, known);
  return known;
};

export class SharedStates<S extends SubscriptionState> {
  state: S;
  private shared: boolean;
  private left = false;

  /** `first`: where a stream begins. */
  constructor(first: S) {
    const byType = firsts.get(first.constructor) ?? new Map<string, SubscriptionState>();
    firsts.set(first.constructor, byType);
    // A client may name any number of types that nobody knows.
    this.shared = KNOWN_TYPES.has(first.typeUrl);
    const known = byType.get(first.typeUrl);
    if (this.shared && !known) byType.set(first.typeUrl, first);
    this.state = (known ?? first) as S;
  }

  /** The first map, or another one than before. */
  show(map: ResourceMap): void {
    const before = this.state.map;
    // A map that nobody else has, as that of a proxy's own listeners, leads to states that nobody else comes to.
    if (!before && usesOf(map).streams === 0 && map !== NO_RESOURCES) this.separate();
    if (!this.left) {
      if (before) usesOf(before).streams -= 1;
      usesOf(map).streams += 1;
    }
    if (!this.shared) {
      this.change((state) => state.update(map));
      return;
    }
    const { maps } = followingOf(this.state);
    const known = maps.get(map);
    if (known) {
      this.state = known as S;
      return;
    }
    const from = this.state;
    this.separate();
    this.change((state) => state.update(map));
    if (this.remember()) followingOf(from).maps.set(map, this.state);
  }

  /** `key` says all that decides what `run` does to a state, and what comes of it; undefined: it is this stream's alone. */
  step<Result>(key: string | undefined, run: (state: S) => Result): Result {
    if (!this.shared) return this.change(run);
    const known = key === undefined ? undefined : followings.get(this.state)?.steps.get(key);
    if (known) {
      this.state = known.state as S;
      return known.result as Result;
    }
    const from = this.state;
    this.separate();
    const result = this.change(run);
    if (key !== undefined && this.remember()) followingOf(from).steps.set(key, { state: this.state, result });
    return result;
  }

  take(phase: Phase): Parcel | undefined {
    const { exhausted } = this.state;
    if (exhausted.has(phase)) return undefined;
    return this.step(`take ${phase}`, (state) => {
      const parcel = state.take(phase);
      if (!parcel) state.exhausted = new Set([...exhausted, phase]);
      return parcel;
    });
  }

  /** The stream has ended. */
  leave(): void {
    const { map } = this.state;
    if (map && !this.left) usesOf(map).streams -= 1;
    this.left = true;
  }

  private change<Result>(run: (state: S) => Result): Result {
    this.state.exhausted = NONE;
    const result = run(this.state);
    this.state.settle();
    return result;
  }

  private separate(): void {
    if (!this.shared) return;
    this.state = this.state.copy() as S;
    this.shared = false;
  }

  /** Whether the state, which was this stream's alone, may be shared from now on. */
  private remember(): boolean {
    const { map, subscribed, size } = this.state;
    const names = subscribed + size;
    if ((!map || map === NO_RESOURCES) && names > MAX_NAMES_FOR_EVER) return false;
    const known = usesOf(map ?? NO_RESOURCES);
    if (known.states >= MAX_STATES || known.names + names > MAX_NAMES) return false;
    known.states += 1;
    known.names += names;
    this.shared = true;
    return true;
  }
}

const NONE: ReadonlySet<Phase> = new Set();
const KNOWN_TYPES: ReadonlySet<string> = new Set(Object.values(TYPE));
