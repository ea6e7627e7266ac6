/** What follows from a client's refusal: which resources are not to be sent again, and which are. Pure. */
import { mentioned } from "./blame.ts";
import type { Suspects } from "./suspects.ts";

export interface Refusal {
  readonly message: string;
  /** Names that the response brought or took away as the snapshot has them, and not as a stand-in for what the client refused. */
  readonly fresh: readonly string[];
  /** Whether the response brought `name`, rather than took it away. */
  brought(name: string): boolean;
  /** Whether the client has not unsubscribed from `name` since. */
  wanted(name: string): boolean;
}

export interface Verdict {
  /** Not to be sent again until their bytes change. */
  readonly guilty: ReadonlySet<string>;
  /** What the refusal is about, as far as it is known. */
  readonly blamed: readonly string[];
  /**
   * Whether the others are to be sent again. Whether the client took them is not known: Envoy applies what is good of clusters and listeners,
   * and nothing of a response that it cannot read. Each round refuses at least one more, or halves the suspects, so this ends.
   */
  readonly again: boolean;
}

export function judge({ message, fresh, brought, wanted }: Refusal, suspects: Suspects): Verdict {
  const named = mentioned(message, fresh);
  if (named.length > 0) {
    const guilty = new Set(named.filter(wanted));
    suspects.keep(fresh.filter((name) => brought(name) && wanted(name) && !guilty.has(name)));
    return { guilty, blamed: [...guilty], again: true };
  }
  const all = fresh.filter(brought);
  const left = all.filter(wanted);
  if (suspects.split(left)) return { guilty: new Set(), blamed: left, again: true };
  // It may have been about one that the client no longer wants: nothing is proved against the rest.
  if (left.length < all.length) return { guilty: new Set(), blamed: left, again: true };
  // What is taken away is suspected last: a client has little to object to in that.
  const guilty = left.length > 0 ? left : fresh.filter(wanted);
  return { guilty: new Set(guilty), blamed: guilty, again: guilty.length > 0 };
}
