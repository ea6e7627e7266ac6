import { readFile } from "node:fs/promises";
import type { Clock } from "../lib/clock.ts";
import { ADMIN_TIMEOUT_MS } from "./constants.ts";

/** Whether Envoy has its configuration and serves: GET /ready of its admin port, whose address stands in the file. Never rejects. */
export async function isEnvoyReady(adminAddressFile: string, clock: Clock): Promise<boolean> {
  const timeout = new AbortController();
  const cancel = clock.after(ADMIN_TIMEOUT_MS, () => timeout.abort());
  try {
    const admin = (await readFile(adminAddressFile, "utf8")).trim();
    const response = await fetch(`http://${admin}/ready`, { signal: timeout.signal, proxy: false });
    await response.body?.cancel();
    return response.ok;
  } catch {
    return false;
  } finally {
    cancel();
  }
}
