import { afterEach, describe, expect, test } from "bun:test";
import { ATTRIBUTE, createTracing, parentFromHeaders, policyType, traceParentOf, tracingWanted } from "../../src/telemetry/tracing.ts";
import { startOtlpCollector } from "../fakes/otlp-collector.ts";

const TRACE = "0af7651916cd43dd8448eb211c80319c";
const PARENT = "b7ad6b7169203331";
const before = { ...process.env };

/** The SDK reads the process's environment, as the specification wants, so the test must set it there. */
function environment(values: Record<string, string>) {
  Object.assign(process.env, values);
  return process.env;
}

afterEach(() => {
  for (const name of Object.keys(process.env)) if (name.startsWith("OTEL_") && !(name in before)) delete process.env[name];
});

describe("Tracing", () => {
  test("is off where no OTLP endpoint is set, and its spans then record nothing", () => {
    const tracing = createTracing({ env: {}, version: "1" });
    expect(tracing.enabled).toBe(false);
    expect(tracing.startSpan("apply").isRecording()).toBe(false);
    expect(tracing.startSpan("apply")).toBe(tracing.startSpan("push"));
  });

  test("is off where OTEL_SDK_DISABLED or OTEL_TRACES_EXPORTER=none says so", () => {
    const endpoint = { OTEL_EXPORTER_OTLP_ENDPOINT: "http://127.0.0.1:4318" };
    expect(tracingWanted(endpoint)).toBe(true);
    expect(tracingWanted({ ...endpoint, OTEL_SDK_DISABLED: "true" })).toBe(false);
    expect(tracingWanted({ ...endpoint, OTEL_TRACES_EXPORTER: "none" })).toBe(false);
  });

  test("sends a change's spans over OTLP as children of the caller's span", async () => {
    await using collector = startOtlpCollector();
    const env = environment({
      OTEL_EXPORTER_OTLP_ENDPOINT: collector.url,
      OTEL_EXPORTER_OTLP_HEADERS: "x-tenant=blue",
      OTEL_RESOURCE_ATTRIBUTES: "deployment.environment=edge%201,service.name=other",
      OTEL_SERVICE_NAME: "weft-test",
    });
    const tracing = createTracing({ env, version: "9.9" });
    const apply = tracing.startSpan("apply", {
      parent: parentFromHeaders(`00-${TRACE}-${PARENT}-01`),
      attributes: { [ATTRIBUTE.policyType]: policyType(["PeerAuthentication", "PeerAuthentication"]) },
    });
    tracing.startSpan("store", { parent: apply.spanContext() }).end();
    apply.end();
    await tracing.shutdown();
    expect(collector.requests[0]).toMatchObject({ path: "/v1/traces", contentType: "application/x-protobuf" });
    expect(collector.requests[0]?.headers.get("x-tenant")).toBe("blue");
    expect(collector.resource).toMatchObject({
      "service.name": "weft-test",
      "service.version": "9.9",
      "deployment.environment": "edge 1",
    });
    const [store, applied] = ["store", "apply"].map((name) => collector.spans.find((span) => span.name === name));
    expect(applied).toMatchObject({ traceId: TRACE, parentSpanId: PARENT, attributes: { "policy.type": "peerauthentication" } });
    expect(store).toMatchObject({ traceId: TRACE, parentSpanId: applied?.spanId });
  });

  test("honours the sampler of the standard variables", async () => {
    await using collector = startOtlpCollector();
    const env = environment({ OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: `${collector.url}/custom`, OTEL_TRACES_SAMPLER: "always_off" });
    const tracing = createTracing({ env, version: "1" });
    tracing.startSpan("apply").end();
    await tracing.shutdown();
    expect(collector.spans).toEqual([]);
  });

  test("does not fail where the collector is away", async () => {
    const collector = startOtlpCollector();
    const env = environment({ OTEL_EXPORTER_OTLP_ENDPOINT: collector.url, OTEL_EXPORTER_OTLP_TIMEOUT: "200" });
    await collector[Symbol.asyncDispose]();
    const tracing = createTracing({ env, version: "1" });
    tracing.startSpan("apply").end();
    await tracing.shutdown();
  });

  test("gives other processes a traceparent, and none where nothing is traced", () => {
    const header = `00-${TRACE}-${PARENT}-01`;
    const parent = parentFromHeaders(header);
    expect(parent && traceParentOf(parent)).toBe(header);
    const unsampled = parentFromHeaders(`00-${TRACE}-${PARENT}-00`);
    expect(unsampled && traceParentOf(unsampled)).toBe(`00-${TRACE}-${PARENT}-00`);
    expect(traceParentOf(createTracing({ env: {}, version: "1" }).startSpan("apply").spanContext())).toBeUndefined();
  });

  test("takes no parent from a malformed traceparent", () => {
    for (const header of ["", "00-zz-1-01", `00-${"0".repeat(32)}-${PARENT}-01`, `ff-${TRACE}-${PARENT}-01`]) {
      expect(parentFromHeaders(header)).toBeUndefined();
    }
    expect(parentFromHeaders(`00-${TRACE}-${PARENT}-01`, "a=b")?.traceState?.get("a")).toBe("b");
  });

  test("names an apply of several kinds by all of them", () => {
    expect(policyType(["VirtualService", "DestinationRule"])).toEqual(["destinationrule", "virtualservice"]);
  });
});
