/**
 * The real-Envoy tests on each Envoy version that is named, one after the other, and then a mesh in which all of them are connected at
 * once. Prints a table and one plain line "N passed, N failed"; exits 0 or 1.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { countTests } from "./junit.ts";

const TESTS = ["test/envoy", "test/conformance", "test/golden"];
/** One version's tests take some eight minutes; what takes this long hangs. */
const LIMIT_MS = 25 * 60_000;
/** As in run-tests.ts: Bun's own limit, 5 s, is passed on a busy machine by tests that work. */
const TEST_LIMIT_MS = 60_000;
const root = join(import.meta.dir, "../..");
const scratch = mkdtempSync(join(tmpdir(), "weft-envoys-"));

function installEnvoy(version: string): string {
  const found = Bun.spawnSync([join(root, "scripts/lib/install-envoy"), version, "--exact"], { stdout: "pipe", stderr: "inherit" });
  if (found.exitCode !== 0) throw new Error(`Envoy ${version} cannot be had`);
  return found.stdout.toString().trim();
}

async function run(name: string, tests: readonly string[], env: Readonly<Record<string, string>>) {
  const report = join(scratch, `${name}.xml`);
  const began = performance.now();
  const child = Bun.spawn(
    ["bun", "test", "--timeout", String(TEST_LIMIT_MS), ...tests, "--reporter=junit", `--reporter-outfile=${report}`],
    {
      cwd: root,
      env: { ...process.env, ...env, CI: "true" },
      stdout: "pipe",
      stderr: "pipe",
      timeout: LIMIT_MS,
    },
  );
  const [out, err, code] = await Promise.all([new Response(child.stdout).text(), new Response(child.stderr).text(), child.exited]);
  const counts = countTests(report, code);
  if (counts.failed > 0) console.log(`\n=== Envoy ${name}\n${out}${err}`);
  return { name, ...counts, seconds: (performance.now() - began) / 1000 };
}

const versions = process.argv.slice(2);
const rows = [];
try {
  const paths = versions.map(installEnvoy);
  for (const [index, version] of versions.entries()) {
    console.error(`==> Envoy ${version}`);
    rows.push(await run(version, TESTS, { WEFT_ENVOY: paths[index] ?? "" }));
  }
  console.error("==> all of them in one mesh");
  rows.push(await run("all at once", ["test/envoy-versions"], { WEFT_ENVOYS: paths.join(":"), WEFT_ENVOY: paths.at(-1) ?? "" }));
} finally {
  rmSync(scratch, { recursive: true, force: true });
}

console.log("\nEnvoy         passed  failed  skipped  seconds");
for (const { name, passed, failed, skipped, seconds } of rows) {
  const cells = [String(passed).padStart(6), String(failed).padStart(6), String(skipped).padStart(7), seconds.toFixed(1).padStart(7)];
  console.log(`${name.padEnd(12)}  ${cells.join("  ")}`);
}
const failed = rows.reduce((sum, row) => sum + row.failed, 0);
console.log(`${rows.reduce((sum, row) => sum + row.passed, 0)} passed, ${failed} failed`);
process.exit(failed > 0 ? 1 : 0);
