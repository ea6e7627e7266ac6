/**
 * Runs the steps of scripts/test, two at a time (the machine that counts has 2 cores), prints the output of each when it ends, and closes
 * with one plain line "N passed, N failed" over everything. A step that is no test run (lint, types, ...) counts as one.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { countTests, type Failure, failuresOf } from "./junit.ts";

interface Step {
  readonly name: string;
  readonly command: readonly string[];
  /** A `bun test` run: its own count is taken from its JUnit report. */
  readonly tests?: boolean;
}

interface Outcome {
  readonly step: Step;
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
  readonly seconds: number;
  readonly failures: readonly Failure[];
}

const bin = (name: string) => `node_modules/.bin/${name}`;
/** A test that hangs fails after this long. Bun's own limit, 5 s, is passed on a busy machine by tests that work. */
const TEST_LIMIT_MS = 60_000;
const tests = (name: string, ...paths: string[]): Step => ({
  name,
  command: ["bun", "test", "--timeout", String(TEST_LIMIT_MS), ...paths],
  tests: true,
});

/** In the order in which they start: the long ones first, so that the two lanes end together. */
const STEPS: readonly Step[] = [
  tests("envoy", "test/envoy"),
  tests("conformance", "test/conformance"),
  tests("why", "test/why"),
  { name: "demo", command: ["scripts/demo", "--check"] },
  { name: "demo-cluster", command: ["scripts/demo-cluster", "--check"] },
  { name: "demo-redis", command: ["scripts/demo-cluster", "--check", "--redis"] },
  tests("tour", "test/tour"),
  tests("fields", "test/compatibility"),
  tests("binary", "test/binary"),
  tests("unit", "test/docs", "test/lib", "test/model", "test/mesh", "test/xds", "test/golden", "test/ca", "test/telemetry"),
  tests("store", "--path-ignore-patterns=test/store/etcd*", "--path-ignore-patterns=test/store/redis*", "test/store"),
  // These two wait more than they compute: for elections, leases, and what is to be noticed.
  tests("etcd", "--parallel=2", "test/store/etcd"),
  tests("redis", "--parallel=3", "test/store/redis"),
  tests("feature", "test/feature", "test/control", "test/workload-api", "test/cluster"),
  tests("spiffe", "test/spiffe"),
  tests("bench", "test/bench", "test/faults"),
  { name: "attacks", command: ["scripts/abuse", "--quick"] },
  { name: "faults", command: ["scripts/faults", "--quick"] },
  { name: "soak", command: ["scripts/soak", "--minutes", "0.5"] },
  tests("abuse", "test/abuse", "test/docs"),
  tests("edges", "test/admin", "test/cli", "test/proxy"),
  // Late: it waits for Jaeger, which scripts/test has building meanwhile.
  tests("trace", "test/trace"),
  { name: "lint", command: [bin("biome"), "check", "--error-on-warnings", "."] },
  { name: "types", command: [bin("tsc"), "--noEmit"] },
  { name: "unused", command: [bin("knip")] },
];

/** Of each failure, so much is said again at the end: whoever sees only the end of a long output sees what failed. */
const RECAP_CHARACTERS = 700;
const LANES = 2;
/** A step that hangs is ended, and counts as failed. */
const STEP_LIMIT_MS = 15 * 60_000;
const scratch = mkdtempSync(join(tmpdir(), "weft-test-"));

async function runStep(step: Step): Promise<Outcome> {
  const began = performance.now();
  const report = join(scratch, `${step.name}.xml`);
  const extra = step.tests ? ["--reporter=junit", `--reporter-outfile=${report}`] : [];
  const child = Bun.spawn([...step.command, ...extra], { stdout: "pipe", stderr: "pipe", stdin: "ignore", timeout: STEP_LIMIT_MS });
  const [out, err, code] = await Promise.all([new Response(child.stdout).text(), new Response(child.stderr).text(), child.exited]);
  const seconds = (performance.now() - began) / 1000;
  const counts = step.tests ? countTests(report, code) : { passed: code === 0 ? 1 : 0, failed: code === 0 ? 0 : 1, skipped: 0 };
  console.log(`\n=== ${step.name}: ${counts.passed} passed, ${counts.failed} failed (${seconds.toFixed(1)} s)`);
  const shown = code === 0 ? onlyNotable(out + err, step) : out + err;
  if (shown.trim()) console.log(shown.trimEnd());
  return { step, ...counts, seconds, failures: counts.failed > 0 ? failures(step, report, shown) : [] };
}

/** What failed in a step: its tests, or the end of its output where no test is named (lint, a crash). */
function failures(step: Step, report: string, output: string): readonly Failure[] {
  const named = step.tests ? failuresOf(report) : [];
  return named.length > 0 ? named : [{ test: "", message: output.trimEnd().slice(-RECAP_CHARACTERS) }];
}

/** Of a step that passed: the tables of the demo, of the attacks, of the faults and of the soak, and whatever was skipped, loudly. */
function onlyNotable(output: string, step: Step): string {
  if (["demo", "demo-cluster", "demo-redis", "attacks", "faults", "soak"].includes(step.name)) return output;
  return output
    .split("\n")
    .filter((line) => /\bSKIPPED\b|seed/i.test(line))
    .join("\n");
}

const args = process.argv.slice(2);
if (args[0] === "--list") {
  for (const step of STEPS) console.log(`${step.name}: ${step.command.join(" ")}`);
  process.exit(0);
}
let queue = [...STEPS];
if (args[0] === "--only") queue = queue.filter((step) => args.slice(1).includes(step.name));
else if (args.length > 0) queue = [tests("chosen", ...args)];
if (queue.length === 0) {
  console.error("no such step: scripts/test --list names them");
  process.exit(2);
}

const outcomes: Outcome[] = [];
const lane = async () => {
  for (let step = queue.shift(); step; step = queue.shift()) outcomes.push(await runStep(step));
};
await Promise.all(Array.from({ length: LANES }, lane));
rmSync(scratch, { recursive: true, force: true });

const sum = (pick: (outcome: Outcome) => number) => outcomes.reduce((total, outcome) => total + pick(outcome), 0);
console.log("");
for (const { step, passed, failed, skipped, seconds } of outcomes) {
  const note = skipped > 0 ? `, ${skipped} SKIPPED` : "";
  console.log(
    `${failed > 0 ? "FAILED" : "ok    "} ${step.name.padEnd(12)} ${seconds.toFixed(1).padStart(6)} s  ${passed} passed, ${failed} failed${note}`,
  );
}
for (const { step, failures } of outcomes) {
  for (const { test, message } of failures) {
    const lines = message.trim().slice(0, RECAP_CHARACTERS).split("\n");
    console.log([`FAILED ${step.name}: ${test}`, ...lines.map((line) => `    ${line}`)].join("\n"));
  }
}
console.log(`${sum((outcome) => outcome.passed)} passed, ${sum((outcome) => outcome.failed)} failed`);
process.exit(sum((outcome) => outcome.failed) > 0 ? 1 : 0);
