import { describe, expect, test } from "bun:test";
import { tagFormat } from "../../src/model/telemetry-metrics.ts";
import { documentWith, expectAccepted, expectRefused, problemsOf } from "./support.ts";

const overriding = (override: object) =>
  documentWith("Telemetry", { metrics: [{ providers: [{ name: "prometheus" }], overrides: [override] }] });

describe("An override of a metric", () => {
  test("is taken with Istio's metrics, modes and tags", () => {
    expectAccepted(overriding({ match: { metric: "REQUEST_COUNT", mode: "CLIENT" }, disabled: false }));
    expectAccepted(
      overriding({ tagOverrides: { host: { operation: "UPSERT", value: "request.host" }, source_app: { operation: "REMOVE" } } }),
    );
  });

  test("needs a value for a tag that it sets, and has none for one that it removes", () => {
    const at = "spec.metrics[0].overrides[0].tagOverrides.a";
    expectRefused(overriding({ tagOverrides: { a: {} } }), "missing", at);
    expectRefused(overriding({ tagOverrides: { a: { operation: "REMOVE", value: "'x'" } } }), "together", at);
  });

  test("is refused with an expression that Envoy cannot evaluate, with what it has", () => {
    for (const value of ["request.path.split('/')[0]", "'a' + request.host", "request.host ==", "''"]) {
      expectRefused(
        overriding({ tagOverrides: { a: { value } } }),
        "badValue",
        "spec.metrics[0].overrides[0].tagOverrides.a.value: the CEL expression",
      );
    }
  });

  test("is told of a name that Envoy does not have", () => {
    expect(problemsOf(overriding({ tagOverrides: { a: { value: "node.metadata['A']" } } }))).toEqual([
      `warning surprising spec.metrics[0].overrides[0].tagOverrides.a.value: the CEL expression names node, which is no attribute of Envoy's: the tag will be "unknown"`,
    ]);
  });

  test("of messages of gRPC, which are not counted, may only turn them off", () => {
    const match = { metric: "GRPC_REQUEST_MESSAGES" };
    expectAccepted(overriding({ match, disabled: true }));
    expectRefused(overriding({ match, tagOverrides: { a: { value: "'x'" } } }), "notYet", "spec.metrics[0].overrides[0].match");
  });

  test("of a metric that weft does not count is refused", () => {
    expectRefused(
      overriding({ match: { customMetric: "my_metric" }, disabled: true }),
      "badValue",
      "spec.metrics[0].overrides[0].match.customMetric",
    );
  });

  test("that turns everything off has no use for tags, and a tag's name that Prometheus does not take is told of", () => {
    expect(problemsOf(overriding({ disabled: true, tagOverrides: { a: { value: "'x'" } } }))).toEqual([
      "warning surprising spec.metrics[0].overrides[0].tagOverrides: tags of metrics that are all disabled mean nothing",
    ]);
    expect(problemsOf(overriding({ tagOverrides: { "a-b": { value: "'x'" } } }))).toEqual([
      "warning surprising spec.metrics[0].overrides[0].tagOverrides.a-b: Prometheus will see it as a_b",
    ]);
  });
});

describe("A tag's expression in Envoy's format", () => {
  test.each([
    ["'v1'", "v1"],
    ["'100%'", "100%%"],
    ["request.host", "%CEL(request . host)%"],
    ["string(destination.port)", "%CEL(destination . port)%"],
    ["has(request.useragent)?(request.useragent):'-'", "%CEL(has ( request . useragent ) ? ( request . useragent ) : '-')%"],
  ])("%s is %s", (expression, format) => {
    expect(tagFormat(expression)).toEqual({ format });
  });

  test("is the text that Istio counts under where a name of it is none of Envoy's", () => {
    expect(tagFormat("some-cel-expression")).toMatchObject({ format: "unknown", warning: { unknown: "some" } });
    expect(tagFormat("nobody.knows +")).toHaveProperty("error");
  });

  test("ends at no string of the expression's", () => {
    expect(tagFormat("request.host == 'a)%' ? 'b' : 'c'")).toMatchObject({ error: expect.stringContaining(")%") });
  });
});
