/** A steady stream of calls, all of which are counted: what a fault does to traffic. */
import { sleep, systemClock } from "../../../src/lib/clock.ts";
import { type Answer, type Call, call } from "./call.ts";

export interface Stretch {
  readonly calls: number;
  /** What the calls that failed were answered, in order. */
  readonly failures: readonly string[];
  /** Answers by the application's instance. */
  readonly instances: Readonly<Record<string, number>>;
  readonly slowestMs: number;
}

export interface Stream {
  /** From its begin, or from what `mark` returned, until now. */
  since(mark?: number): Stretch;
  mark(): number;
  /** Resolves when the last call has its answer. */
  stop(): Promise<void>;
}

export interface StreamOptions {
  readonly make: () => Call;
  /** Why an answer counts as a failure; undefined where it does not. */
  readonly judge: (answer: Answer) => string | undefined;
  /** Calls at a time. */
  readonly width: number;
  /** What each caller waits after an answer, milliseconds. */
  readonly pauseMs: number;
}

export function startStream({ make, judge, width, pauseMs }: StreamOptions): Stream {
  const began = systemClock.monotonic();
  const answers: { readonly at: number; readonly failure: string | undefined; readonly instance: string; readonly milliseconds: number }[] =
    [];
  let stopped = false;
  const caller = async () => {
    while (!stopped) {
      const answer = await call(make());
      const at = (systemClock.monotonic() - began) / 1000;
      const failure = judge(answer);
      const { echo, milliseconds } = answer;
      answers.push({ at, failure: failure && `${at.toFixed(1)} s: ${failure}`, instance: echo?.instance ?? "none", milliseconds });
      await sleep(systemClock, pauseMs);
    }
  };
  const callers = Promise.all(Array.from({ length: width }, caller));
  return {
    since(mark = 0) {
      const stretch = answers.slice(mark);
      const instances: Record<string, number> = {};
      for (const { instance } of stretch) instances[instance] = (instances[instance] ?? 0) + 1;
      return {
        calls: stretch.length,
        failures: stretch.flatMap(({ failure }) => failure ?? []),
        instances,
        slowestMs: Math.max(0, ...stretch.map(({ milliseconds }) => milliseconds)),
      };
    },
    mark: () => answers.length,
    async stop() {
      stopped = true;
      await callers;
    },
  };
}
