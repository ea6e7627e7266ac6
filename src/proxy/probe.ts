/** Runs a WorkloadGroup's probe for as long as its instance runs (Istio, pkg/istio-agent/health/health_check.go). */
import type { Clock } from "../lib/clock.ts";
import { sleep } from "../lib/clock.ts";
import type { ProbePlan } from "../lib/probe.ts";

/** `message`: why not. */
export interface Readiness {
  readonly ready: boolean;
  readonly message?: string;
}

export interface ProbeOptions {
  readonly plan: Pick<ProbePlan, "initialDelayMs" | "periodMs" | "successThreshold" | "failureThreshold">;
  /** Looks once: why it is not ready, or undefined. Must not reject. */
  readonly check: () => Promise<string | undefined>;
  readonly clock: Clock;
  /** Told of each change, and of the first state. */
  readonly onChange: (readiness: Readiness) => void;
  readonly signal: AbortSignal;
}

/** Resolves when `signal` aborts. */
export async function runProbe({ plan, check, clock, onChange, signal }: ProbeOptions): Promise<void> {
  let state: boolean | undefined;
  let inARow = 0;
  let last: boolean | undefined;
  await pause(clock, plan.initialDelayMs, signal);
  while (!signal.aborted) {
    const began = clock.monotonic();
    const reason = await check();
    if (signal.aborted) return;
    const ready = reason === undefined;
    inARow = ready === last ? inARow + 1 : 1;
    last = ready;
    if (ready !== state && inARow >= (ready ? plan.successThreshold : plan.failureThreshold)) {
      state = ready;
      onChange(ready ? { ready } : { ready, message: reason });
    }
    await pause(clock, Math.max(0, plan.periodMs - (clock.monotonic() - began)), signal);
  }
}

async function pause(clock: Clock, milliseconds: number, signal: AbortSignal): Promise<void> {
  if (signal.aborted || milliseconds === 0) return;
  let stop = () => {};
  const aborted = new Promise<void>((resolve) => {
    stop = resolve;
    signal.addEventListener("abort", stop, { once: true });
  });
  await Promise.race([sleep(clock, milliseconds), aborted]);
  signal.removeEventListener("abort", stop);
}
