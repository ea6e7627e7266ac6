/** DATA/listening.json: where a running weft listens. */
import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Listening } from "./start-options.ts";

/** @returns what takes it away */
export function writeListening(data: string, bound: Listening): () => void {
  const path = join(data, "listening.json");
  writeFileSync(path, `${JSON.stringify(bound, null, 2)}\n`);
  return () => rmSync(path, { force: true });
}

/** As URLs have it: an IPv6 address in brackets. */
export function hostPort({ host, port }: { readonly host: string; readonly port: number }): string {
  return `${host.includes(":") ? `[${host}]` : host}:${port}`;
}
