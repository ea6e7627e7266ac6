/**
 * Values that hang on objects, unseen by whoever copies, compares or prints these, and that live as long as they do. The same as a WeakMap that is never given up, but it
 * costs the garbage collector nothing: JavaScriptCore walks through all entries of all WeakMaps in each collection, however young, several times (300 ms of pause with two million entries).
 */
export interface Attachment<V> {
  get(owner: object): V | undefined;
  set(owner: object, value: V): void;
}

/** A class whose constructor returns another object puts its private field on that (ECMAScript, PrivateFieldAdd). */
class Elsewhere {
  constructor(owner: object) {
    // biome-ignore lint/correctness/noConstructorReturn: that is what this class is for
    return owner;
  }
}

export function attachment<V>(): Attachment<V> {
  class Attached extends Elsewhere {
    #value: V;

    constructor(owner: object, value: V) {
      super(owner);
      this.#value = value;
    }

    static get(owner: object): V | undefined {
      return #value in owner ? (owner as Attached).#value : undefined;
    }

    static set(owner: object, value: V): void {
      if (#value in owner) (owner as Attached).#value = value;
      else new Attached(owner, value);
    }
  }
  return Attached;
}
