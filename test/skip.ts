/** Tests that need what a machine may not have: skipped there, loudly, so that nobody takes a pass for a proof. */
import { describe } from "bun:test";

/** describe() where `possible`; else a line on stderr that scripts/test repeats, with what is needed. */
export function describeWhere(possible: boolean, needs: string, name: string, body: () => void): void {
  if (possible) return void describe(name, body);
  console.error(`SKIPPED "${name}": it needs ${needs}`);
  describe.skip(name, body);
}
