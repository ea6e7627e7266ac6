/**
 * Asks the applications of this node's workloads whether they are ready, where their WorkloadEntries say how (annotation weft.dev/probe): in the way in which
 * `weft proxy run` asks a group's instance, and with one thing besides. Whoever writes WorkloadEntries chooses what a node connects to, so it connects to
 * addresses of its own machine only, and follows no redirect away from them.
 */
import { networkInterfaces } from "node:os";
import type { Clock } from "../lib/clock.ts";
import { isLoopback } from "../lib/loopback.ts";
import type { ProbeMethod, ProbePlan } from "../lib/probe.ts";
import { listChange } from "../mesh/resource-set.ts";
import { keyOf } from "../mesh/selection.ts";
import { ANNOTATION } from "../model/index.ts";
import { probeOfEntry } from "../model/probe-target.ts";
import type { Resource } from "../model/resource.ts";
import { runProbe } from "../proxy/probe.ts";
import { checkApplication } from "../proxy/probe-check.ts";
import type { WorkloadHealthKeeper } from "./workload-health.ts";

type WorkloadEntry = Resource<"WorkloadEntry">;

export interface NodeProbesOptions {
  /** This node's name. */
  readonly node: string;
  readonly clock: Clock;
  readonly health: Pick<WorkloadHealthKeeper, "report" | "forget">;
  /** IP addresses of this machine, besides loopback's, as they are now. */
  readonly addresses: () => Iterable<string>;
}

interface Running {
  readonly plan: ProbePlan;
  readonly stop: () => Promise<void>;
}

export function addressesOfMachine(): readonly string[] {
  return Object.values(networkInterfaces()).flatMap((all = []) => all.map(({ address }) => address));
}

/** How long the machine's addresses are taken to be the same: a thousand probes need not ask for each look. */
const ADDRESSES_MS = 5_000;

export class NodeProbes {
  readonly #options: NodeProbesOptions;
  readonly #running = new Map<string, Running>();
  #entries: readonly WorkloadEntry[] | undefined;
  #addresses: { readonly at: number; readonly all: ReadonlySet<string> } | undefined;
  #closed = false;

  constructor(options: NodeProbesOptions) {
    this.#options = options;
  }

  /** To be called whenever the WorkloadEntries may have changed. */
  follow(entries: readonly WorkloadEntry[]): void {
    if (this.#closed || entries === this.#entries) return;
    const { gone, added } = listChange(this.#entries ?? [], entries);
    this.#entries = entries;
    const wanted = new Map(added.flatMap((entry) => this.#planOf(entry)));
    for (const key of gone.map(keyOf)) {
      const running = this.#running.get(key);
      const plan = wanted.get(key);
      if (!running || (plan && Bun.deepEquals(plan, running.plan))) continue;
      this.#running.delete(key);
      void running.stop();
      // Where it is asked otherwise, what was found last holds until that has found something.
      if (!plan) this.#options.health.forget(key);
    }
    for (const [key, plan] of wanted) if (!this.#running.has(key)) this.#running.set(key, this.#run(key, plan));
  }

  async close(): Promise<void> {
    this.#closed = true;
    await Promise.all([...this.#running.values()].map(({ stop }) => stop()));
    this.#running.clear();
  }

  #planOf(entry: WorkloadEntry): [string, ProbePlan][] {
    const { annotations } = entry.metadata;
    if (annotations[ANNOTATION.node] !== this.#options.node) return [];
    const parsed = probeOfEntry(entry);
    return parsed && "value" in parsed ? [[keyOf(entry), parsed.value]] : [];
  }

  #run(key: string, plan: ProbePlan): Running {
    const { clock, health } = this.#options;
    const ended = new AbortController();
    const run = runProbe({
      plan,
      clock,
      signal: ended.signal,
      check: async () =>
        this.#refusal(plan.method) ?? (await checkApplication(plan.method, plan.timeoutMs, clock, { followsRedirects: false })),
      onChange: (readiness) => health.report(key, readiness),
    });
    return {
      plan,
      stop: async () => {
        ended.abort();
        await run;
      },
    };
  }

  /** Why it is not asked, in words. */
  #refusal(method: ProbeMethod): string | undefined {
    if (method.type === "exec") return "a node runs no commands";
    const { host = "127.0.0.1" } = method;
    if (isLoopback(host) || this.#own().has(host)) return undefined;
    return `${host} is no address of node ${this.#options.node}, which asks nowhere else`;
  }

  #own(): ReadonlySet<string> {
    const { clock, addresses } = this.#options;
    const at = clock.monotonic();
    if (!this.#addresses || at - this.#addresses.at > ADDRESSES_MS) this.#addresses = { at, all: new Set(addresses()) };
    return this.#addresses.all;
  }
}
