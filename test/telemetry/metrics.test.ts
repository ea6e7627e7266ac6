import { describe, expect, test } from "bun:test";
import { createMetrics } from "../../src/telemetry/metrics.ts";
import { FakeClock } from "../fakes/clock.ts";

describe("Metrics", () => {
  test("have the prefix weft_ and their unit in their name", async () => {
    const { registry } = createMetrics({ clock: new FakeClock(), version: "1.2.3" });
    const metrics = await registry.getMetricsAsJSON();
    for (const { name, type } of metrics) {
      expect(name).toMatch(/^(weft|process)_/);
      if (String(type) === "counter") expect(name).toEndWith("_total");
      if (String(type) === "histogram") expect(name).toEndWith("_seconds");
    }
    expect(await registry.metrics()).toContain('weft_build_info{version="1.2.3"} 1');
  });

  test("count convergence from one millisecond", async () => {
    const { convergence, registry } = createMetrics({ clock: new FakeClock(), version: "1" });
    convergence.observe({ type: "RDS" }, 0.0007);
    expect(await registry.metrics()).toContain('weft_convergence_seconds_bucket{le="0.001",type="RDS"} 1');
  });

  test("of the process are those of every Prometheus client", async () => {
    const { registry } = createMetrics({ clock: new FakeClock(), version: "1" });
    await registry.metrics();
    const text = await registry.metrics();
    const value = (name: string) => Number(new RegExp(`^${name} (.*)$`, "m").exec(text)?.[1]);
    expect(value("process_resident_memory_bytes")).toBeGreaterThan(1e6);
    expect(value("process_cpu_seconds_total")).toBeGreaterThan(0);
    expect(value("process_cpu_seconds_total")).toBeLessThan(3600);
    expect(value("process_start_time_seconds")).toBeLessThanOrEqual(Date.parse("2026-01-01T00:00:00Z") / 1000);
  });
});
