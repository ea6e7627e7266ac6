/** What a VirtualService answers, rewrites and delegates, on a real Envoy. */
import { beforeAll, expect, test } from "bun:test";
import { waitFor } from "../../scripts/lib/lab/wait.ts";
import { callFrom, describeMesh, expectStatus, type Member } from "./harness.ts";

const ROUTES = `apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: orders, namespace: default}
spec:
  hosts: [orders]
  http:
    - match: [{sourceLabels: {app: nobody}}]
      directResponse: {status: 500}
    - match: [{uri: {prefix: /teapot}}]
      directResponse: {status: 418, body: {string: "short and stout"}}
    - match: [{uri: {prefix: /long}}]
      directResponse: {status: 200, body: {string: ${"x".repeat(20_000)}}}
    - match: [{uri: {prefix: /item/}}]
      rewrite: {uriRegexRewrite: {match: "^/item/([0-9]+)/(.*)$", rewrite: '/\\2/of/\\1'}}
      route: [{destination: {host: orders}}]
    - match: [{uri: {prefix: /shared}}]
      corsPolicy: {allowOrigins: [{exact: https://a.example.com}], allowMethods: [GET, PUT], maxAge: 1h, unmatchedPreflights: IGNORE}
      route: [{destination: {host: orders}}]
    - match: [{uri: {prefix: /team}}]
      headers: {request: {set: {x-caller: "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%"}}}
      delegate: {name: team, namespace: team}
    - route: [{destination: {host: orders}}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: team, namespace: team}
spec:
  http:
    - match: [{uri: {prefix: /team/a}}]
      route: [{destination: {host: orders.default.mesh.local}}]
    - match: [{uri: {prefix: /team/}}]
      directResponse: {status: 410}
`;

describeMesh("routes that answer by themselves", (lab) => {
  let web: Member;
  let orders: Member;

  beforeAll(async () => {
    [web, orders] = await Promise.all([
      lab().workload({ name: "web-1", service: "web" }),
      lab().workload({ name: "orders-1", service: "orders" }),
    ]);
    await lab().join([{ name: "web" }, { name: "orders" }], [web, orders]);
    await lab().weft.apply(ROUTES);
    await waitFor(
      "the routes",
      () => callFrom(web, "orders", { path: "/teapot" }),
      ({ status }) => status === 418,
    );
  });

  const get = (path: string, headers: Readonly<Record<string, string>> = {}, method = "GET") =>
    callFrom(web, "orders", { path, headers, method });

  test("a direct response comes from the caller's sidecar, with its body, even a long one", async () => {
    orders.app.reset();
    expect(expectStatus(await get("/teapot"), 418).text).toBe("short and stout");
    expect(expectStatus(await get("/long"), 200).text).toHaveLength(20_000);
    expect(orders.app.calls).toBe(0);
  });

  test("a path is rewritten by groups of an expression", async () => {
    expect(expectStatus(await get("/item/17/parts"), 200).echo).toMatchObject({ path: "/parts/of/17" });
  });

  test("a preflight of an allowed origin is answered, and of another is not", async () => {
    const preflight = (origin: string) => get("/shared", { origin, "access-control-request-method": "PUT" }, "OPTIONS");
    orders.app.reset();
    const allowed = expectStatus(await preflight("https://a.example.com"), 200);
    expect(orders.app.calls).toBe(0);
    expect(allowed.headers).toMatchObject({ "access-control-allow-origin": "https://a.example.com", "access-control-max-age": "3600" });
    expect((await preflight("https://b.example.com")).headers).not.toHaveProperty("access-control-allow-origin");
  });

  test("a delegate's routes stand in their root's place, with what they inherit", async () => {
    const { echo } = expectStatus(await get("/team/a"), 200);
    expect(echo?.headers["x-caller"]).toMatch(/^127\./);
    expectStatus(await get("/team/other"), 410);
    expectStatus(await get("/teams"), 200);
  });
});
