/** Calls through the Envoys, all the time: each must be answered with 200. */
import { sleep, systemClock } from "../../../src/lib/clock.ts";
import { call } from "../lab/call.ts";
import type { Sidecar } from "../lab/workload.ts";
import { CALLED, MARKER } from "./mesh.ts";

export interface Failure {
  readonly from: string;
  /** Milliseconds since the traffic began. */
  readonly at: number;
  readonly words: string;
}

export interface Traffic {
  readonly calls: number;
  readonly failures: readonly Failure[];
  /** Resolves when no call of this sidecar is under way; until resume, none begins. */
  pause(sidecar: string): Promise<void>;
  resume(sidecar: string): void;
  stop(): Promise<void>;
}

const PAUSE_MS = 20;
const CALL_LIMIT_MS = 20_000;

/** One call to `orders`: its status, and the mark of the route that it took. */
export async function callOrders({ place }: Sidecar): Promise<{ readonly status: number; readonly mark: string; readonly words: string }> {
  const { status, headers, text, error } = await call({ to: place.outbound, host: CALLED, path: "/soak", limitMs: CALL_LIMIT_MS });
  return { status, mark: headers[MARKER] ?? "", words: status === 200 ? "200" : `${status} ${error ?? text}`.slice(0, 200) };
}

/** @param sidecarOf the sidecar of that name now: it is another one after a restart */
export function startTraffic(names: readonly string[], sidecarOf: (name: string) => Sidecar): Traffic {
  const began = systemClock.monotonic();
  const failures: Failure[] = [];
  const paused = new Set<string>();
  const under = new Map<string, number>();
  let [calls, stopped] = [0, false];
  const loop = async (from: string) => {
    while (!stopped) {
      if (!paused.has(from)) {
        under.set(from, (under.get(from) ?? 0) + 1);
        const { status, words } = await callOrders(sidecarOf(from));
        under.set(from, (under.get(from) ?? 1) - 1);
        calls += 1;
        if (status !== 200) failures.push({ from, at: systemClock.monotonic() - began, words });
      }
      await sleep(systemClock, PAUSE_MS);
    }
  };
  const loops = names.flatMap((name) => [loop(name), loop(name)]);
  return {
    get calls() {
      return calls;
    },
    failures,
    async pause(sidecar) {
      paused.add(sidecar);
      while ((under.get(sidecar) ?? 0) > 0) await sleep(systemClock, PAUSE_MS);
    },
    resume: (sidecar) => void paused.delete(sidecar),
    async stop() {
      stopped = true;
      await Promise.all(loops);
    },
  };
}
