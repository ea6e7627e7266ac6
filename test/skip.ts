/** Tests that need what a machine may not have: skipped there, loudly, so that nobody takes a pass for a proof. */
import { describe } from "bun:test";
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";

/** describe() where `possible`; else a line on stderr that scripts/test repeats, with what is needed. */
export function describeWhere(possible: boolean, needs: string, name: string, body: () => void): void {
  if (possible) return void describe(name, body);
  console.error(`SKIPPED "${name}": it needs ${needs}`);
  describe.skip(name, body);
}

const NO_ENVOY = "no Envoy: set WEFT_ENVOY, or run scripts/setup --envoy";

/**
 * The Envoy to test with: $WEFT_ENVOY, the newest that scripts/setup --envoy installed, or PATH's. Undefined where there is none: then
 * `what` is said to be skipped.
 * @throws Error where WEFT_ENVOY names none, and where there is none with CI=true: there it is expected
 */
export function envoyFor(what: string): string | undefined {
  const envoy = findEnvoy();
  if (envoy === undefined && process.env.CI === "true") throw new Error(NO_ENVOY);
  if (envoy === undefined) console.error(`SKIPPED ${what}: ${NO_ENVOY}`);
  return envoy;
}

/** "1.40.0": what an Envoy's binary says that it is; "" where it says nothing. */
export function versionOf(envoy: string): string {
  return /\/(\d+\.\d+\.\d+)\//.exec(Bun.spawnSync([envoy, "--version"]).stdout.toString())?.[1] ?? "";
}

function findEnvoy(): string | undefined {
  const chosen = process.env.WEFT_ENVOY;
  if (chosen && !existsSync(chosen)) throw new Error(`WEFT_ENVOY=${chosen} does not exist`);
  if (chosen) return chosen;
  const tools = join(import.meta.dir, "../.tools");
  const installed = (existsSync(tools) ? readdirSync(tools) : [])
    .filter((name) => /^envoy-\d/.test(name) && existsSync(join(tools, name, "envoy")))
    .sort((a, b) => a.localeCompare(b, "en", { numeric: true }))
    .at(-1);
  return installed ? join(tools, installed, "envoy") : (Bun.which("envoy") ?? undefined);
}
