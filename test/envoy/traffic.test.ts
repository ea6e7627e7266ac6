import { beforeAll, beforeEach, expect, test } from "bun:test";
import { binomialBounds } from "../../scripts/lib/lab/binomial.ts";
import { type Answer, callMany, countBy } from "../../scripts/lib/lab/call.ts";
import { isOverflow, overload } from "../../scripts/lib/lab/overload.ts";
import { waitFor } from "../../scripts/lib/lab/wait.ts";
import type { Sidecar } from "../../scripts/lib/lab/workload.ts";
import { callFrom, describeMesh, expectStatus, type Member } from "./harness.ts";

const SUBSETS = `apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: orders, namespace: default}
spec:
  host: orders
  subsets: [{name: v1, labels: {version: v1}}, {name: v2, labels: {version: v2}}]
`;
const TO_V1 = "route: [{destination: {host: orders, subset: v1}}]";
const TO_V2 = "route: [{destination: {host: orders, subset: v2}}]";

/** `http` is the VirtualService's list, each item indented by four. */
const routes = (http: string) => `apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: orders, namespace: default}
spec:
  hosts: [orders]
  http:
${http}
`;

describeMesh("calls through a sidecar", (lab) => {
  let web: Member;
  let v1: Member;
  let v2: Member;
  let caller: Sidecar;

  beforeAll(async () => {
    [web, v1, v2] = await Promise.all([
      lab().workload({ name: "web-1", service: "web" }),
      lab().workload({ name: "orders-v1", service: "orders", version: "v1" }),
      lab().workload({ name: "orders-v2", service: "orders", version: "v2" }),
    ]);
    const sidecars = await lab().join([{ name: "web" }, { name: "orders" }], [web, v1, v2]);
    caller = sidecars[0] ?? expect.unreachable();
    await lab().weft.apply(SUBSETS);
    await waitFor(
      "the first call",
      () => callFrom(web, "orders"),
      ({ status }) => status === 200,
    );
  });

  beforeEach(() => {
    for (const { app } of [web, v1, v2]) app.reset();
  });

  const get = (path = "/", headers: Readonly<Record<string, string>> = {}, method = "GET", host = "orders") =>
    callFrom(web, host, { path, headers, method });
  const version = ({ echo, status }: Answer) => echo?.version ?? `status ${status}`;
  /** Applies routes whose last rule answers /marker with a status of its own, and waits until Envoy uses them. */
  let applied = 0;
  const apply = async (http: string) => {
    applied += 1;
    const marker = `/applied-${applied}`;
    await lab().weft.apply(routes(`    - match: [{uri: {exact: ${marker}}}]\n      redirect: {uri: /yes}\n${http}`));
    await waitFor(
      `routes ${applied}`,
      () => get(marker),
      ({ status }) => status === 301,
    );
    for (const { app } of [web, v1, v2]) app.reset();
  };

  test.each([
    "orders",
    "orders:8080",
    "orders.default",
    "orders.default.mesh.local",
    "orders.default.mesh.local:8080",
    "orders.default.svc.cluster.local",
    "ORDERS.default",
  ])("a service answers to the name %s", async (host) => {
    expectStatus(await get("/", {}, "GET", host), 200);
  });

  test("an application may use its sidecar as http_proxy", async () => {
    const answer = expectStatus(await callFrom(web, "orders:8080", { path: "/p?q=1", asProxy: true }), 200);
    expect(answer.echo).toMatchObject({ service: "orders", path: "/p", query: "?q=1" });
  });

  test("a host that no service has is not silently answered by another", async () => {
    const answer = await get("/", {}, "GET", "nobody.default");
    expect(answer.status).toBe(404);
    expect(v1.app.calls + v2.app.calls).toBe(0);
  });

  test("calls are divided by weight", async () => {
    await apply(`    - route:
        - {destination: {host: orders, subset: v1}, weight: 90}
        - {destination: {host: orders, subset: v2}, weight: 10}`);
    const counts = countBy(await callMany(1000, 8, () => ({ to: web.place.outbound, host: "orders" })), version);
    // A correct split falls outside once in a million runs.
    const { low, high } = binomialBounds(1000, 0.1, 1e-6);
    expect((counts.v1 ?? 0) + (counts.v2 ?? 0)).toBe(1000);
    expect(counts.v2 ?? 0).toBeGreaterThanOrEqual(low);
    expect(counts.v2 ?? 0).toBeLessThanOrEqual(high);
  });

  test("the first rule that matches decides: by header, path, method, query, and their combinations", async () => {
    await apply(`    - match: [{headers: {x-canary: {exact: "yes"}}}]
      ${TO_V2}
    - match: [{uri: {prefix: /api/}, method: {exact: POST}}]
      ${TO_V2}
    - match: [{uri: {regex: "/items/[0-9]+"}}, {queryParams: {debug: {exact: "1"}}}]
      ${TO_V2}
    - match: [{headers: {x-user: {prefix: adm}}, withoutHeaders: {x-off: {}}}]
      ${TO_V2}
    - match: [{uri: {exact: /CaSe}, ignoreUriCase: true}]
      ${TO_V2}
    - ${TO_V1}`);
    const cases: [string, Promise<Answer>][] = [
      ["v2", get("/", { "x-canary": "yes" })],
      ["v1", get("/", { "x-canary": "no" })],
      ["v2", get("/api/x", {}, "POST")],
      ["v1", get("/api/x", {}, "GET")],
      ["v1", get("/api", {}, "POST")],
      ["v2", get("/items/42")],
      ["v1", get("/items/42/more")],
      ["v1", get("/items/x")],
      ["v2", get("/?debug=1")],
      ["v1", get("/?debug=10")],
      ["v2", get("/", { "x-user": "admin" })],
      ["v1", get("/", { "x-user": "admin", "x-off": "1" })],
      ["v2", get("/case")],
      ["v1", get("/")],
    ];
    const got = await Promise.all(cases.map(([, answer]) => answer));
    expect(got.map(version)).toEqual(cases.map(([wanted]) => wanted));
  });

  test("a path is rewritten, and the application sees the new one", async () => {
    await apply(`    - match: [{uri: {prefix: /old/}}]
      rewrite: {uri: /new/, authority: renamed.example}
      ${TO_V1}
    - ${TO_V1}`);
    const { echo } = expectStatus(await get("/old/thing?x=1"), 200);
    expect(echo).toMatchObject({ path: "/new/thing", query: "?x=1" });
    expect(echo?.headers.host).toBe("renamed.example");
  });

  test("a redirect is answered by the sidecar, with the code that the rule names", async () => {
    await apply(`    - match: [{uri: {exact: /moved}}]
      redirect: {uri: /there, authority: elsewhere.example, redirectCode: 307}
    - ${TO_V1}`);
    const { headers } = expectStatus(await get("/moved"), 307);
    expect(headers.location).toBe("http://elsewhere.example/there");
    expect(v1.app.calls + v2.app.calls).toBe(0);
  });

  test("headers are set, added and removed on the way there and back", async () => {
    await apply(`    - headers:
        request: {set: {x-set: new}, add: {x-add: second}, remove: [x-gone]}
        response: {set: {x-answer: "42"}, remove: [x-instance]}
      ${TO_V1}`);
    const { echo, headers } = expectStatus(await get("/", { "x-set": "old", "x-add": "first", "x-gone": "1" }), 200);
    expect(echo?.headers["x-set"]).toBe("new");
    expect(echo?.headers["x-add"]).toMatch(/^first, ?second$/);
    expect(echo?.headers["x-gone"]).toBeUndefined();
    expect(headers["x-answer"]).toBe("42");
    expect(headers["x-instance"]).toBeUndefined();
  });

  test("a fault is injected only where its rule matches", async () => {
    await apply(`    - match: [{headers: {x-fault: {exact: abort}}}]
      fault: {abort: {httpStatus: 418, percentage: {value: 100}}}
      ${TO_V1}
    - match: [{headers: {x-fault: {exact: delay}}}]
      fault: {delay: {fixedDelay: 0.3s, percentage: {value: 100}}}
      ${TO_V1}
    - ${TO_V1}`);
    expectStatus(await get("/", { "x-fault": "abort" }), 418);
    expect(v1.app.calls).toBe(0);
    const delayed = expectStatus(await get("/", { "x-fault": "delay" }), 200);
    expect(delayed.milliseconds).toBeGreaterThanOrEqual(295);
    const others = await callMany(5, 1, () => ({ to: web.place.outbound, host: "orders" }));
    expect(Math.min(...others.map((answer) => expectStatus(answer, 200).milliseconds))).toBeLessThan(295);
  });

  test("a mirrored call reaches the second destination too, and its answer is thrown away", async () => {
    await apply(`    - ${TO_V1}
      mirror: {host: orders, subset: v2}
      mirrorPercentage: {value: 100}`);
    const answers = await callMany(10, 5, () => ({ to: web.place.outbound, host: "orders" }));
    expect(countBy(answers, version)).toEqual({ v1: 10 });
    await waitFor(
      "ten mirrored calls",
      () => v2.app.calls,
      (calls) => calls === 10,
    );
    expect(v2.app.last?.headers.host).toBe("orders");
  });

  test("a call that takes longer than the timeout ends with 504 in time", async () => {
    await apply(`    - timeout: 0.3s
      ${TO_V1}`);
    // The answer of Envoy's timeout, long before the application would give its own.
    v1.app.delayMs = 9_000;
    const { milliseconds } = expectStatus(await get(), 504);
    expect(milliseconds).toBeGreaterThanOrEqual(290);
    expect(milliseconds).toBeLessThan(8_500);
  });

  test("a call that fails is tried again on another instance, as often as the rule says", async () => {
    await apply("    - route: [{destination: {host: orders}}]\n      retries: {attempts: 5, retryOn: 5xx}");
    v2.app.status = 500;
    const answers = await callMany(50, 4, () => ({ to: web.place.outbound, host: "orders" }));
    expect(countBy(answers, version)).toEqual({ v1: 50 });
    expect(v2.app.calls).toBeGreaterThan(0);
  });

  test("attempts counts the tries after the first; without a rule an application's 503 is its answer", async () => {
    await apply(`    - match: [{uri: {exact: /twice-more}}]
      retries: {attempts: 2, retryOn: "503"}
      ${TO_V1}
    - match: [{uri: {exact: /once}}]
      retries: {attempts: 0}
      ${TO_V1}
    - ${TO_V1}`);
    const tries = async (path: string) => {
      v1.app.calls = 0;
      expectStatus(await get(path), 503);
      return v1.app.calls;
    };
    v1.app.status = 503;
    expect(await tries("/twice-more")).toBe(3);
    expect(await tries("/once")).toBe(1);
    expect(await tries("/")).toBe(1);
  });

  test("what exceeds the connection pool is refused at once, and what fits succeeds", async () => {
    await apply(`    - ${TO_V1}`);
    await lab().weft.apply(`${SUBSETS}  trafficPolicy:
    connectionPool: {tcp: {maxConnections: 2}, http: {http1MaxPendingRequests: 1}}
`);
    v1.app.delayMs = 1_500;
    const cluster = "outbound\\|8080\\|v1\\|orders\\.";
    const target = { to: web.place.outbound, host: "orders" };
    const { within, above, counted } = await overload(target, { caller, cluster, app: v1.app, connections: 2, extra: 9 });
    expect(within.map(({ status, text }) => (status === 200 ? status : text))).toEqual([200, 200, 200]);
    expect(above.filter(isOverflow)).toHaveLength(9);
    expect(counted).toBe(9);
    expect(v1.app.mostInFlight).toBe(2);
    await lab().weft.apply(SUBSETS);
  });

  test("an instance that keeps failing is ejected, and the others take its calls", async () => {
    await apply("    - route: [{destination: {host: orders}}]\n      retries: {attempts: 0}");
    await lab().weft.apply(`${SUBSETS}  trafficPolicy:
    outlierDetection: {consecutive5xxErrors: 3, interval: 0.2s, baseEjectionTime: 60s, maxEjectionPercent: 100}
`);
    v2.app.status = 500;
    await waitFor(
      "the ejection",
      () => callMany(10, 1, () => ({ to: web.place.outbound, host: "orders" })),
      (answers) => answers.every(({ status }) => status === 200),
    );
    v2.app.calls = 0;
    expect(countBy(await callMany(30, 4, () => ({ to: web.place.outbound, host: "orders" })), version)).toEqual({ v1: 30 });
    expect(v2.app.calls).toBe(0);
    const active = await caller.stats(/outbound\|8080\|\|orders\.default\.mesh\.local.*outlier_detection\.ejections_active$/);
    expect(Object.values(active)).toEqual([1]);
    await lab().weft.apply(SUBSETS);
  });

  test("a deleted rule leaves the service as it was without it", async () => {
    await apply(`    - ${TO_V2}`);
    const { code, stderr } = await lab().weft.cli(["delete", "VirtualService", "orders"]);
    expect(stderr).toBe("");
    expect(code).toBe(0);
    await waitFor(
      "both versions",
      () => callMany(20, 4, () => ({ to: web.place.outbound, host: "orders" })),
      (answers) => (countBy(answers, version).v1 ?? 0) > 0 && answers.every(({ status }) => status === 200),
    );
  });

  test("an instance whose WorkloadEntry is deleted gets no more calls, and gets them again when it comes back", async () => {
    const versions = async () => countBy(await callMany(20, 4, () => ({ to: web.place.outbound, host: "orders" })), version);
    expect((await lab().weft.cli(["delete", "WorkloadEntry", "orders-v2"])).code).toBe(0);
    await waitFor("only v1", versions, (counts) => counts.v1 === 20);
    v2.app.reset();
    expect(await versions()).toEqual({ v1: 20 });
    expect(v2.app.calls).toBe(0);
    await lab().weft.apply(v2.yaml);
    await waitFor("both", versions, (counts) => (counts.v1 ?? 0) > 0 && (counts.v2 ?? 0) > 0 && Object.keys(counts).length === 2);
  });
});
