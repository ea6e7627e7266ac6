/** The resources of long lists, by name: those of a list that came of another are that one's with what differs. */
import type { EncodedResource } from "../lib/encoded.ts";
import { LayeredMap, PersistentMap } from "../lib/persistent-map.ts";
import { predecessorOf } from "../mesh/lists.ts";
import { memoize, retain } from "../mesh/memo.ts";
import { listChange } from "../mesh/resource-set.ts";

type Resources = ReadonlyMap<string, EncodedResource>;

/** `encode` must be memoized, and give undefined for what such a proxy does not get. */
export function encodeList<Context extends readonly object[], T extends object>(
  encode: (one: T, ...context: Context) => EncodedResource | undefined,
): (list: readonly T[], ...context: Context) => Resources {
  const holders = memoize((_list: readonly T[], ..._context: Context): { made?: PersistentMap<EncodedResource> } => ({}));
  return (list, ...context) => {
    const holder = holders(list, ...context);
    if (holder.made) return holder.made;
    const before = predecessorOf(list);
    const known = before && holders(before, ...context).made;
    const named = (one: T): (readonly [string, EncodedResource])[] => {
      const resource = encode(one, ...context);
      return resource ? [[resource.name, resource]] : [];
    };
    if (before && known) {
      const { gone, added } = listChange(before, list);
      holder.made = known.with([...gone.flatMap(named).map(([name]) => [name, undefined] as const), ...added.flatMap(named)]);
    } else {
      holder.made = PersistentMap.of(list.flatMap(named));
    }
    // For the next list, which is patched from this one as long as somebody holds its resources.
    retain(holder.made, list, holders);
    return holder.made;
  };
}

/** `own` over `shared`, without a copy of what many proxies share. */
export const layered = memoize((shared: Resources, own: Resources): Resources => (own.size === 0 ? shared : new LayeredMap(shared, own)));
