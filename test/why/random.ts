/** Choices from a seed: the same seed gives the same choices. */
export interface Random {
  /** From 0 to below 1. */
  next(): number;
  /** A whole number from 0 to below `count`. */
  below(count: number): number;
  chance(probability: number): boolean;
  pick<T>(all: readonly T[]): T;
  /** `least` to `most` different ones, in their order. */
  some<T>(all: readonly T[], least: number, most: number): T[];
  /** `count` from `least` to `most` made. */
  many<T>(least: number, most: number, make: (index: number) => T): T[];
}

/** Mulberry32. https://github.com/bryc/code/blob/master/jshash/PRNGs.md */
export function randomOf(seed: number): Random {
  let state = seed >>> 0;
  const next = () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
  const below = (count: number) => Math.floor(next() * count);
  const pick = <T>(all: readonly T[]): T => {
    const found = all[below(all.length)];
    if (found === undefined) throw new RangeError("nothing to choose from");
    return found;
  };
  return {
    next,
    below,
    chance: (probability) => next() < probability,
    pick,
    some(all, least, most) {
      const count = Math.min(all.length, least + below(most - least + 1));
      const left = all.map((_, index) => index);
      const chosen = Array.from({ length: count }, () => left.splice(below(left.length), 1)[0] ?? 0);
      return chosen.sort((a, b) => a - b).flatMap((index) => all.slice(index, index + 1));
    },
    many: (least, most, make) => Array.from({ length: least + below(most - least + 1) }, (_, index) => make(index)),
  };
}
