/** What of the builds, pushes and answers at a revision is a part of the change that made it. */
import { expect, test } from "bun:test";
import type { AuditTrail } from "../../src/control/audit-trail.ts";
import { Journal } from "../../src/control/journal.ts";
import { createObserver } from "../../src/control/observer.ts";
import { TYPE } from "../../src/lib/encoded.ts";
import { createMetrics } from "../../src/telemetry/metrics.ts";
import { createTracing } from "../../src/telemetry/tracing.ts";
import { FakeClock } from "../fakes/clock.ts";

const SPAN = { traceId: "0af7651916cd43dd8448eb211c80319c", spanId: "b7ad6b7169203331", traceFlags: 1 };

test("A Mesh that is built again at the same revision, for who came or went, is no part of the change that made it", () => {
  const journal = new Journal(new FakeClock());
  journal.began(7, SPAN);
  journal.heard(8, SPAN);
  expect([7, 7, 8, 8, 9].map((revision) => journal.built(revision)?.revision)).toEqual([7, undefined, 8, undefined, undefined]);
});

test("An ACK of a change is measured from its commit; one of what was sent long after it, as a renewed certificate, is not", async () => {
  const clock = new FakeClock();
  const [journal, metrics] = [new Journal(clock), createMetrics({ clock, version: "test" })];
  const audit: Pick<AuditTrail, "refused"> = { refused: () => {} };
  const tracing = createTracing({ env: {}, version: "test" });
  const observer = createObserver({ metrics, tracing, journal, audit, clock, onStreams: () => {} });
  const acked = (milliseconds: number) =>
    observer.acked?.({ proxy: { id: "default/web-1" }, typeUrl: TYPE.secret, revision: 7, nonce: "1", milliseconds });
  const measured = async () => {
    const { values = [] } = (await metrics.registry.getSingleMetric("weft_convergence_seconds")?.get()) ?? {};
    return values.flatMap((one) => ("metricName" in one && /_(?:sum|count)$/.test(`${one.metricName}`) ? [one.value] : []));
  };
  journal.began(7, SPAN);
  // Sent at once, and answered late.
  await clock.advance(90_000);
  acked(90_000);
  expect(await measured()).toEqual([90, 1]);
  await clock.advance(1_800_000);
  acked(5);
  expect(await measured()).toEqual([90, 1]);
});
