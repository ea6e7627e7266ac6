import { expect, test } from "bun:test";
import { cleanEnvironment } from "../../scripts/lib/lab/processes.ts";
import { type ReceivedSpan, startOtlpCollector } from "../fakes/otlp-collector.ts";
import { DeltaClient } from "../feature/ads-client.ts";
import { documents, MTLS, SERVICE, startWeft, useBinary, WORKLOAD, waitFor } from "./harness.ts";
import { adsOf, CLUSTER, LISTENER, tokenOf } from "./proxy.ts";

useBinary();

const TRACE = "4bf92f3577b34da6a3ce929d0e0e4736";
const CALLER = "00f067aa0ba902b7";

test("with an OTLP endpoint, a change is one trace from the caller's span to the proxy's ACK", async () => {
  await using collector = startOtlpCollector();
  const env = {
    ...cleanEnvironment(),
    OTEL_EXPORTER_OTLP_ENDPOINT: collector.url,
    OTEL_BSP_SCHEDULE_DELAY: "50",
    OTEL_SERVICE_NAME: "weft-under-test",
    OTEL_EXPORTER_OTLP_HEADERS: "x-tenant=acme",
  };
  await using weft = await startWeft({ env });
  await weft.apply(documents(SERVICE("orders"), WORKLOAD("orders-1", "orders")));
  const proxy = new DeltaClient(adsOf(weft), { token: await tokenOf(weft, "orders-1") });
  for (const type of [CLUSTER, LISTENER]) {
    proxy.subscribe(type);
    await proxy.take(type);
  }

  const traceparent = `00-${TRACE}-${CALLER}-01`;
  expect((await weft.ask("POST", "/v1/apply", MTLS("STRICT"), { traceparent })).status).toBe(200);
  await proxy.take(LISTENER);
  const mine = () => collector.spans.filter(({ traceId }) => traceId === TRACE);
  await waitFor("the ack span", () => mine().some(({ name }) => name === "ack") && mine().some(({ name }) => name === "push"));
  proxy.close();

  const one = (name: string): ReceivedSpan => {
    const [span, ...more] = mine().filter((candidate) => candidate.name === name);
    if (!span || more.length > 0) throw new Error(`expected one span ${name}: ${JSON.stringify(mine())}`);
    return span;
  };
  const [apply, push] = [one("apply"), one("push")];
  expect(apply).toMatchObject({ parentSpanId: CALLER, attributes: { "policy.type": "peerauthentication" } });
  for (const name of ["validate", "store", "translate", "push"]) expect(one(name).parentSpanId).toBe(apply.spanId);
  expect(push.attributes).toMatchObject({ "weft.proxy": "default/orders-1", "weft.xds.type": "LDS" });
  expect(one("ack").parentSpanId).toBe(push.spanId);
  expect(collector.resource["service.name"]).toBe("weft-under-test");
  expect(collector.requests[0]).toMatchObject({ path: "/v1/traces", contentType: "application/x-protobuf" });
  expect(collector.requests[0]?.headers.get("x-tenant")).toBe("acme");
});

test("a collector that is away keeps weft from nothing, not even from ending", async () => {
  const gone = startOtlpCollector();
  await gone[Symbol.asyncDispose]();
  const weft = await startWeft({ env: { ...cleanEnvironment(), OTEL_EXPORTER_OTLP_ENDPOINT: gone.url, OTEL_BSP_SCHEDULE_DELAY: "10" } });
  await weft.apply(MTLS("STRICT"));
  expect((await weft.ask("GET", "/healthz")).status).toBe(200);
  const began = performance.now();
  expect(await weft.stop()).toBe(0);
  expect(performance.now() - began).toBeLessThan(5_000);
});
