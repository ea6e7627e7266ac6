/** scripts/bench as a whole, on a mesh so small that its figures mean nothing: that it measures what it says. */
import { expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { ComparedMeasure, ServerName } from "../../scripts/lib/bench/compare.ts";
import type { CrowdReport, LoadReport } from "../../scripts/lib/bench/load.ts";
import { median, ratio } from "../../scripts/lib/bench/table.ts";
import { describeWhere } from "../skip.ts";

const root = join(import.meta.dir, "../..");
/** The Go programs may have to be built, with their modules. */
const BUILD_AND_RUN_MS = 8 * 60_000;

const STREAMS = 5;
const SERVICES = 10;
const SERVERS: readonly ServerName[] = ["weft", "go-control-plane", "floor"];

interface Json {
  readonly compare: readonly {
    readonly protocol: string;
    readonly measures: readonly ComparedMeasure[];
    readonly reports: Readonly<Record<ServerName, readonly LoadReport[]>>;
  }[];
}

test("a ratio is of values of the same round, and its spread is that of the rounds", () => {
  expect(ratio([1, 40, 3], [10, 100, 10])).toEqual({ median: 0.3, min: 0.1, max: 0.4 });
  expect(median([4, 1, 3, 2])).toBe(2.5);
});

const possible = Bun.which("go") !== null || process.env.CI === "true";
describeWhere(possible, "Go, which builds the load client and go-control-plane", "scripts/bench", () => {
  test(
    "weft, go-control-plane and the floor bring every proxy the same resources and the same change, over both protocols",
    async () => {
      const directory = mkdtempSync(join(tmpdir(), "weft-bench-test-"));
      try {
        const json = join(directory, "bench.json");
        const sizes = ["--services", String(SERVICES), "--streams", String(STREAMS)];
        const child = Bun.spawn([join(root, "scripts/bench"), "--quick", ...sizes, "--json", json], { stdout: "pipe", stderr: "pipe" });
        const [out, err, code] = await Promise.all([new Response(child.stdout).text(), new Response(child.stderr).text(), child.exited]);
        expect({ code, err: code === 0 ? "" : err }).toEqual({ code: 0, err: "" });
        expect(out).toContain("| delta");
        expect(out).toContain("| sotw");
        expect(out).toMatch(/^\| change, p99 at the proxies +\| [\d.]+ m?s +\| [\d.]+ m?s +\| [\d.]+ m?s +\| [\d.]+ \(/m);
        const { compare }: Json = JSON.parse(readFileSync(json, "utf8"));
        expect(compare.map(({ protocol }) => protocol)).toEqual(["delta", "sotw"]);
        for (const { measures, reports } of compare) {
          for (const { name, medians, ratio: found } of measures) {
            for (const server of SERVERS) expect({ name, number: Number.isFinite(medians[server]) }).toEqual({ name, number: true });
            expect(found).toBeDefined();
          }
          for (const server of SERVERS) checkReport(reports[server][0], reports.weft[0]);
        }
      } finally {
        rmSync(directory, { recursive: true, force: true });
      }
    },
    BUILD_AND_RUN_MS,
  );
});

describeWhere(possible, "Go, which builds the load client", "scripts/bench --crowd", () => {
  test(
    "proxies that lose their connections at once all come again, and those that stay get every change and every keepalive's answer meanwhile",
    async () => {
      const directory = mkdtempSync(join(tmpdir(), "weft-bench-test-"));
      try {
        const json = join(directory, "crowd.json");
        const child = Bun.spawn([join(root, "scripts/bench"), "--crowd", "--quick", "--json", json], { stdout: "pipe", stderr: "pipe" });
        const [out, err, code] = await Promise.all([new Response(child.stdout).text(), new Response(child.stderr).text(), child.exited]);
        expect({ code, err: code === 0 ? "" : err }).toEqual({ code: 0, err: "" });
        expect(out).toContain("| a change at the proxies in sync, p50 |");
        const { crowd }: { readonly crowd: readonly CrowdReport[] } = JSON.parse(readFileSync(json, "utf8"));
        expect(crowd.map(({ steady, came }) => [steady, came])).toEqual([[5, 20]]);
        // There and back again, at least once; every stream that stayed was pinged.
        expect(crowd[0]?.changes).toBeGreaterThanOrEqual(2);
        expect(crowd[0]?.pings).toBeGreaterThanOrEqual(5);
      } finally {
        rmSync(directory, { recursive: true, force: true });
      }
    },
    BUILD_AND_RUN_MS,
  );
});

function checkReport(report: LoadReport | undefined, weft: LoadReport | undefined): void {
  expect(report?.errors).toEqual([]);
  expect(report?.unreadable_resources).toBe(0);
  expect(report?.syncs.map(({ synced }) => synced)).toEqual([STREAMS, STREAMS]);
  const resources = report?.syncs[0]?.resources_of_first_stream;
  // Three clusters a service, for its host and two subsets, each with its endpoints.
  expect(resources?.EDS).toBe(3 * SERVICES);
  expect(resources).toEqual(weft?.syncs[0]?.resources_of_first_stream ?? {});
  expect(report?.changes.map(({ streams }) => streams)).toEqual([STREAMS, STREAMS]);
  expect(report?.server_peak_mib).toBeGreaterThan(0);
}
