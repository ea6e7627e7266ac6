/** What the store's tests share: a clock that stands still, documents, and stores that are disposed of after each test. */
import { afterEach } from "bun:test";
import type { Clock } from "../../src/lib/clock.ts";
import { WeftError } from "../../src/lib/errors.ts";
import type { ApplyResult, Compactable, HistoryLimit, LostEvent, Put, ResourceId, RevisionEvent, Store } from "../../src/store/index.ts";

export interface OpenOptions {
  readonly clock: Clock;
  readonly historyLimit?: HistoryLimit;
  readonly auditLimit?: number;
}

export interface Opened {
  readonly store: Store & Compactable;
  /** Closes the store and removes what it left. */
  dispose(): Promise<void>;
}

export type OpenForTest = (options: OpenOptions) => Promise<Opened>;

export function clockAt(start: string): Clock & { set(time: string): void } {
  let now = Date.parse(start);
  return {
    now: () => now,
    monotonic: () => now,
    after: () => () => {},
    set(time) {
      now = Date.parse(time);
    },
  };
}

export const SOURCE = { file: "mesh.yaml", lines: { "": 1, "metadata.name": 4 } };

export function put(name: string, spec: unknown, more: Partial<Put> = {}): Put {
  const id = { kind: "VirtualService", namespace: "default", name };
  const document = { apiVersion: "networking.istio.io/v1", kind: id.kind, metadata: { name, namespace: id.namespace }, spec };
  return { ...id, document, source: SOURCE, ...more };
}

export function idOf(name: string): ResourceId {
  return { kind: "VirtualService", namespace: "default", name };
}

/** The code of the WeftError that `promise` rejects with; any other outcome is returned as text, so that the test shows it. */
export async function codeOf(promise: Promise<unknown>): Promise<string> {
  try {
    await promise;
    return "resolved";
  } catch (reason) {
    return reason instanceof WeftError ? reason.code : String(reason);
  }
}

export async function take(
  events: AsyncIterable<RevisionEvent | LostEvent>,
  enough: (event: RevisionEvent | LostEvent) => boolean,
): Promise<(RevisionEvent | LostEvent)[]> {
  const taken: (RevisionEvent | LostEvent)[] = [];
  for await (const event of events) {
    taken.push(event);
    if (enough(event)) break;
  }
  return taken;
}

/** Opens stores for one describe block, and disposes of them after each of its tests. */
export function opener(open: OpenForTest) {
  const opened: Opened[] = [];
  afterEach(async () => {
    for (const one of opened.splice(0)) await one.dispose();
  });
  return async (options: Partial<OpenOptions> = {}) => {
    const one = await open({ clock: clockAt("2026-01-01T00:00:00Z"), ...options });
    opened.push(one);
    return one.store;
  };
}

export function apply(store: Store, ...puts: Put[]): Promise<ApplyResult> {
  return store.apply({ puts, deletes: [], who: "uid 1000" });
}

export function remove(store: Store, name: string, expected?: number): Promise<ApplyResult> {
  return store.apply({ puts: [], deletes: [{ ...idOf(name), expect: expected }], who: "uid 1000" });
}

/** The WeftError that `promise` rejects with; anything else fails the test. */
export async function refusal(promise: Promise<unknown>): Promise<WeftError> {
  try {
    await promise;
  } catch (reason) {
    if (reason instanceof WeftError) return reason;
    throw reason;
  }
  throw new Error("it should have been refused");
}
