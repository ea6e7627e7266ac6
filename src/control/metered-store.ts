/** A Store that counts and times what is asked of it, and takes no changes from a node that has no right to them any more. */
import type { Clock } from "../lib/clock.ts";
import type { WeftError } from "../lib/errors.ts";
import type { Store } from "../store/store.ts";
import type { Metrics } from "../telemetry/metrics.ts";

/** `refusal`: why this node may change nothing; undefined where it may. */
export function meteredStore(store: Store, metrics: Metrics, clock: Clock, refusal: () => WeftError | undefined = () => undefined): Store {
  const timed = async <T>(operation: string, work: () => Promise<T>): Promise<T> => {
    const began = clock.monotonic();
    try {
      return await work();
    } catch (reason) {
      metrics.storeErrors.inc({ operation });
      throw reason;
    } finally {
      metrics.storeOperation.observe({ operation }, (clock.monotonic() - began) / 1000);
    }
  };
  return {
    name: store.name,
    list: (filter) => timed("list", () => store.list(filter)),
    listPage: (filter, page) => timed("list-page", () => store.listPage(filter, page)),
    get: (id) => timed("get", () => store.get(id)),
    apply: (transaction) =>
      timed("apply", async () => {
        const reason = refusal();
        if (reason) throw reason;
        return store.apply(transaction);
      }),
    history: (filter) => timed("history", () => store.history(filter)),
    revisions: (after) => timed("revisions", () => store.revisions(after)),
    checkWritable: () => timed("check", () => store.checkWritable()),
    recordAudit: (event) => timed("audit", () => store.recordAudit(event)),
    readAudit: (filter) => timed("read-audit", () => store.readAudit(filter)),
    ...(store.standing && { standing: store.standing.bind(store) }),
    onPrivate: (listener) => store.onPrivate(listener),
    readPrivate: (collection) => timed("read-private", () => store.readPrivate(collection)),
    writePrivate: (change) => timed("private", () => store.writePrivate(change)),
    watch: (since, signal) => store.watch(since, signal),
    close: () => store.close(),
  };
}
