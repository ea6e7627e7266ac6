/** Values of immutable maps that wait until somebody asks for them. */

/** A value that is made when it is asked for, once for all versions that hold it. */
export class Deferred<V> {
  #make: ((key: string) => V) | undefined;
  #value: V | undefined;

  constructor(make: (key: string) => V) {
    this.#make = make;
  }

  at(key: string): V {
    if (this.#make) {
      this.#value = this.#make(key);
      // With all that it was to be made of.
      this.#make = undefined;
    }
    return this.#value as V;
  }

  /** `undefined` until it is made. */
  get made(): V | undefined {
    return this.#value;
  }
}

/** Of a map: no value, a value, or one that is not made yet. */
export type Slot<V> = V | Deferred<V> | undefined;

/** What of a slot can be compared: what it holds, or, until that is made, the slot's own Deferred. */
export function known<V>(slot: Slot<V>): Slot<V> {
  return slot instanceof Deferred ? (slot.made ?? slot) : slot;
}
