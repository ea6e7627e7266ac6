/** A whole weft in the test's process, on a data directory of its own, asked over its admin socket. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startWeft } from "../../src/control/start.ts";
import { systemClock } from "../../src/lib/clock.ts";

export interface TestWeft {
  readonly data: string;
  readonly ads: { readonly host: string; readonly port: number };
  /** HOST:PORT of the admin API. */
  readonly admin: string;
  /** Asks the admin API; a string body is sent as it is. */
  ask(
    method: string,
    path: string,
    body?: string,
  ): Promise<{ readonly status: number; readonly json: Record<string, unknown>; readonly text: string }>;
  /** Ends it, and leaves its data directory for another one. */
  stop(): Promise<void>;
  close(): Promise<void>;
}

export async function openTestWeft(
  env: Readonly<Record<string, string>> = {},
  data = mkdtempSync(join(tmpdir(), "weft-control-")),
): Promise<TestWeft> {
  const anywhere = { host: "127.0.0.1", port: 0 };
  const weft = await startWeft({
    data,
    ads: anywhere,
    admin: anywhere,
    trustDomain: "mesh.local",
    store: "sqlite",
    adminHosts: () => [],
    version: "test",
    clock: systemClock,
    env,
  });
  const [host = "", port = ""] = weft.listening.ads.split(":");
  return {
    data,
    admin: weft.listening.admin,
    ads: { host, port: Number(port) },
    async ask(method, path, body) {
      const response = await fetch(`http://weft${path}`, { method, body, unix: weft.listening.admin_socket });
      const text = await response.text();
      const isJson = (response.headers.get("content-type") ?? "").includes("json");
      return { status: response.status, json: isJson ? JSON.parse(text) : {}, text };
    },
    stop: () => weft.close(),
    async close() {
      await weft.close();
      rmSync(data, { recursive: true, force: true });
    },
  };
}

/** Tries until `condition` holds. @throws the last failure after `limitMs` */
export async function eventually(condition: () => Promise<void> | void, limitMs = 15_000): Promise<void> {
  const end = performance.now() + limitMs;
  for (;;) {
    try {
      return await condition();
    } catch (reason) {
      if (performance.now() > end) throw reason;
    }
    await Bun.sleep(20);
  }
}
