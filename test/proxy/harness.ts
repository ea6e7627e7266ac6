import { existsSync, readFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import type { SignalSource } from "../../src/proxy/signals.ts";

/** Waits until `condition` gives something truthy, and gives that; fails after `limitMs`. */
export async function waitFor<T>(what: string, condition: () => T | Promise<T>, limitMs = 15_000): Promise<NonNullable<T>> {
  const end = performance.now() + limitMs;
  for (;;) {
    const value = await condition();
    if (value) return value;
    if (performance.now() > end) throw new Error(`waited ${limitMs} ms in vain: ${what}`);
    await Bun.sleep(10);
  }
}

/** Signals that a test sends by hand. */
export class FakeSignals implements SignalSource {
  readonly #handlers = new Map<string, Set<() => void>>();

  on(name: NodeJS.Signals, handler: () => void): () => void {
    const handlers = this.#handlers.get(name) ?? new Set();
    this.#handlers.set(name, handlers.add(handler));
    return () => handlers.delete(handler);
  }

  send(name: NodeJS.Signals): void {
    for (const handler of this.#handlers.get(name) ?? []) handler();
  }

  get count(): number {
    return [...this.#handlers.values()].reduce((sum, handlers) => sum + handlers.size, 0);
  }
}

export function isRunning(pid: number): boolean {
  try {
    // A zombie that nobody waited for yet is not running either.
    if (existsSync("/proc/self/stat")) return !/^State:\s+[ZX]/m.test(readFileSync(`/proc/${pid}/status`, "utf8"));
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

/** Envoy's admin address once it has written it and says that it is live. */
export async function liveAdmin(addressFile: string): Promise<string> {
  return await waitFor("Envoy is live", async () => {
    const address = await readFile(addressFile, "utf8").catch(() => "");
    if (address === "") return undefined;
    const ready = await fetch(`http://${address}/ready`).catch(() => undefined);
    return ready?.ok ? address : undefined;
  });
}

/** The port of the first listener that Envoy really listens on. */
export async function listenerPort(admin: string): Promise<number> {
  const response = await fetch(`http://${admin}/listeners?format=json`);
  const body = (await response.json()) as { listener_statuses: { local_address: { socket_address: { port_value: number } } }[] };
  return body.listener_statuses[0]?.local_address.socket_address.port_value ?? 0;
}
