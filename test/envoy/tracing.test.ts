import { afterAll, beforeAll, expect, test } from "bun:test";
import { waitFor } from "../../scripts/lib/lab/wait.ts";
import { type Span, type SpanCollector, startSpanCollector } from "../fakes/span-collector.ts";
import { callFrom, describeMesh, expectStatus, type Member } from "./harness.ts";

const telemetry = (name: string, tracing: object, more: object = {}) => `apiVersion: telemetry.istio.io/v1
kind: Telemetry
metadata: {name: ${name}, namespace: default}
spec: ${JSON.stringify({ tracing: [tracing], ...more })}
`;

describeMesh("tracing", (lab) => {
  let collector: SpanCollector;
  let web: Member;
  let orders: Member;

  beforeAll(async () => {
    collector = await startSpanCollector();
    [web, orders] = await Promise.all([
      lab().workload({ name: "web-1", service: "web" }),
      lab().workload({ name: "orders-1", service: "orders" }),
    ]);
    await lab().join([{ name: "web" }, { name: "orders" }], [web, orders]);
    await lab().weft.apply(`apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: otlp, namespace: default}
spec:
  hosts: [otlp.example.com]
  resolution: STATIC
  ports: [{number: 4317, name: grpc, protocol: GRPC}]
  endpoints: [{address: 127.0.0.1, ports: {grpc: ${collector.port}}}]
---
apiVersion: weft.dev/v1
kind: MeshConfig
metadata: {name: mesh, namespace: weft-system}
spec: {extensionProviders: [{name: otlp, opentelemetry: {service: otlp.example.com, port: 4317}}]}
---
${telemetry("all", {
  providers: [{ name: "otlp" }],
  randomSamplingPercentage: 100,
  customTags: {
    region: { literal: { value: "eu" } },
    tenant: { header: { name: "x-tenant", defaultValue: "nobody" } },
    home: { environment: { name: "WEFT_TEST_NO_SUCH_VARIABLE", defaultValue: "unset" } },
  },
})}`);
  });
  afterAll(() => collector.close());

  const spansAbout = (path: string) => collector.spans.filter(({ attributes }) => attributes["http.url"]?.endsWith(path));

  /** Envoy sends what it has every five seconds. */
  const told = (path: string, enough: (spans: readonly Span[]) => boolean, headers: Readonly<Record<string, string>> = {}) =>
    waitFor(
      `spans about ${path}`,
      async () => {
        expectStatus(await callFrom(web, "orders", { path, headers }), 200);
        return spansAbout(path);
      },
      enough,
    );

  test("tells of a request at both sidecars, as one trace, with the tags that Telemetry asks for", async () => {
    const both = (spans: readonly Span[]) =>
      spans.some(({ parentId }) => parentId !== "" && spans.some(({ spanId }) => spanId === parentId));
    const spans = await told("/traced", both, { "x-tenant": "acme" });
    const server = spans.find(({ parentId }) => spans.some(({ spanId }) => spanId === parentId));
    const client = spans.find(({ spanId }) => spanId === server?.parentId);
    expect(client).toMatchObject({
      name: "orders.default.mesh.local:8080/*",
      kind: 3,
      service: "web-1.default",
      parentId: "",
      traceId: server?.traceId ?? "",
    });
    expect(server).toMatchObject({ name: "orders.default.mesh.local:8080/*", kind: 2, service: "orders-1.default" });
    for (const span of [client, server]) {
      expect(span?.attributes).toMatchObject({ region: "eu", tenant: "acme", home: "unset", "istio.namespace": "default" });
    }
    const [other] = await told("/untold", both);
    expect(other?.attributes.tenant).toBe("nobody");
  }, 30_000);

  test("tells nothing where disableSpanReporting says so", async () => {
    const { weft } = lab();
    await weft.apply(
      telemetry("quiet", { disableSpanReporting: true, match: { mode: "SERVER" } }, { selector: { matchLabels: { app: "orders" } } }),
    );
    // Spans of the client's side still come, so that those of the server's had their time.
    const spans = await told("/quiet", (all) => all.filter(({ service }) => service === "web-1.default").length > 1);
    expect(spans.filter(({ service }) => service === "orders-1.default")).toEqual([]);
  }, 30_000);
});
