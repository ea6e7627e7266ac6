import { describe, expect, test } from "bun:test";
import * as v from "valibot";
import { CaSchema } from "../../src/admin/ca-schemas.ts";
import type { Health } from "../../src/admin/control-plane.ts";
import { ConvergenceSchema, MtlsReportSchema, ProxyListSchema, ServiceListSchema } from "../../src/admin/schemas.ts";
import { WeftError } from "../../src/lib/errors.ts";
import { fakeProxy } from "../fakes/control-plane.ts";
import { startAdmin } from "./harness.ts";

type Content = Record<string, { schema: { $ref?: string } }>;
interface OpenApi {
  openapi: string;
  paths: Record<string, { post?: { requestBody?: { content?: Content }; responses: Record<string, { content?: Content }> } }>;
  components: { schemas: Record<string, { properties?: Record<string, unknown> }> };
}

describe("The admin API", () => {
  test("tells a service's effective mTLS mode as one line of JSON", async () => {
    await using admin = await startAdmin();
    const text = await (await admin.call("/v1/services/orders/mtls")).text();
    expect(text).toStartWith('{"service":"orders","mtls_mode":"STRICT","workloads":["orders-v1-7f8d","orders-v2-9a2e"],');
    expect(text).toEndWith("}\n");
    expect(text.trim()).not.toContain("\n");
    v.parse(MtlsReportSchema, JSON.parse(text));
    expect(await (await admin.call("/v1/services/orders/mtls?pretty")).text()).toStartWith('{\n  "service"');
  });

  test("says which services there are where one is asked for that is not", async () => {
    await using admin = await startAdmin();
    const response = await admin.call("/v1/services/ordrs/mtls");
    expect(response.status).toBe(404);
    expect(await response.json()).toMatchObject({ code: "not_found", help: "there are: orders" });
  });

  test("lists services, proxies and who has taken a revision", async () => {
    await using admin = await startAdmin();
    admin.control.proxyList = [fakeProxy("default/orders", "no such filter")];
    admin.control.answers = { acked: ["default/web"], nacked: admin.control.proxyList };
    expect(v.parse(ServiceListSchema, await (await admin.call("/v1/services")).json()).items).toHaveLength(1);
    expect(v.parse(ProxyListSchema, await (await admin.call("/v1/proxies")).json()).items[0]?.status).toBe("NACKED");
    const convergence = v.parse(ConvergenceSchema, await (await admin.call("/v1/convergence?revision=3")).json());
    expect(convergence).toMatchObject({ revision: 3, acked: ["default/web"], nacked: [{ id: "default/orders" }] });
  });

  test("shows a proxy's configuration by namespace and name, by one encoded segment, or by name in default", async () => {
    await using admin = await startAdmin();
    admin.control.proxyList = [fakeProxy("default/orders")];
    for (const id of ["default/orders", "default%2Forders", "orders"]) {
      expect(await (await admin.call(`/v1/proxies/${id}/config`)).json()).toMatchObject({ id: "default/orders" });
    }
    expect((await admin.call("/v1/proxies/default/nobody/config")).status).toBe(404);
  });

  test("issues workload tokens and bootstraps, and refuses what it does not understand", async () => {
    await using admin = await startAdmin();
    const post = (path: string, body: unknown) => admin.call(path, { method: "POST", body: JSON.stringify(body) });
    expect(await (await post("/v1/tokens", { workload: "default/orders", ttl: "2h" })).json()).toMatchObject({
      token: "token-for-orders-7200",
    });
    expect((await post("/v1/tokens", { workload: "default/orders", tll: "2h" })).status).toBe(400);
    expect((await post("/v1/tokens", { workload: "a/b/c" })).status).toBe(400);
    expect((await post("/v1/tokens", { workload: "a/b", ttl: "soon" })).status).toBe(400);
    expect(await (await post("/v1/bootstrap", { workload: "orders" })).json()).toMatchObject({ node: { id: "default/orders" } });
    expect((await admin.call("/v1/bootstrap?workload=shop/cart", { method: "POST" })).status).toBe(201);
  });

  test("publishes the CA and the bundle", async () => {
    await using admin = await startAdmin();
    expect(v.parse(CaSchema, await (await admin.call("/v1/ca")).json())).toMatchObject({ trustDomain: "mesh.local" });
    expect(await (await admin.call("/v1/bundle")).json()).toMatchObject({ keys: [] });
  });

  test("rotates the authority that is named, or the one for X.509-SVIDs, and no other", async () => {
    await using admin = await startAdmin();
    const rotate = (body: string) => admin.call("/v1/ca/rotate", { method: "POST", body, headers: { "content-type": "application/json" } });
    for (const body of ["{}", '{"authority":"jwt"}', '{"authority":"all"}']) {
      const answer = await rotate(body);
      expect([answer.status, v.is(CaSchema, await answer.json())]).toEqual([200, true]);
    }
    expect(admin.control.rotated).toEqual(["x509", "jwt", "all"]);
    expect((await rotate('{"authority":"tls"}')).status).toBe(400);
    expect(admin.control.rotated.length).toBe(3);
  });

  test("answers an unknown path with 404 and a wrong method with 405 and the right ones, as problem details", async () => {
    await using admin = await startAdmin();
    const unknown = await admin.call("/v1/servics");
    expect(unknown.status).toBe(404);
    expect(await unknown.json()).toMatchObject({ status: 404, instance: "/v1/servics", help: expect.stringContaining("openapi.json") });
    const wrong = await admin.call("/v1/apply");
    expect([wrong.status, wrong.headers.get("allow")]).toEqual([405, "POST"]);
    const other = await admin.call("/v1/resources/A/b/c", { method: "PATCH" });
    expect([other.status, other.headers.get("allow")]).toEqual([405, "DELETE, GET, PUT, HEAD"]);
  });

  test("turns a defect into 500 and a part that is away into 503", async () => {
    await using admin = await startAdmin();
    admin.control.ca = () => {
      throw new Error("boom");
    };
    admin.control.bundle = () => {
      throw new WeftError("unavailable", "the CA's key cannot be read", { help: "check its mode" });
    };
    expect((await admin.call("/v1/ca")).status).toBe(500);
    const away = await admin.call("/v1/bundle");
    expect(away.status).toBe(503);
    expect(await away.json()).toMatchObject({ code: "unavailable", help: "check its mode" });
  });
});

describe("Probes", () => {
  test("answer 503 with the failing part named, and 200 again when it is mended", async () => {
    await using admin = await startAdmin();
    const well = admin.control.healthNow;
    expect(await (await admin.call("/healthz")).text()).toBe("ok\n");
    admin.control.healthNow = { ok: false, parts: [{ part: "store", ok: false, message: "disk is full" }, ...well.parts.slice(1)] };
    for (const probe of ["healthz", "readyz"]) {
      const sick = await admin.call(`/${probe}`);
      expect(sick.status).toBe(503);
      expect(await sick.text()).toContain("[-]store failed: disk is full\n[+]xds ok");
    }
    expect((await admin.call("/livez")).status).toBe(200);
    expect(await (await admin.call("/metrics")).text()).toContain('weft_healthy{part="store"} 0');
    admin.control.healthNow = well;
    expect(await (await admin.call("/readyz?verbose")).text()).toBe("[+]load ok\n[+]store ok\n[+]xds ok\n[+]ca ok\nreadyz check passed\n");
  });

  test("are not ready before the first full load", async () => {
    await using admin = await startAdmin();
    admin.control.isReady = false;
    const response = await admin.call("/readyz", { headers: { accept: "application/json" } });
    expect(response.status).toBe(503);
    expect(((await response.json()) as Health).parts[0]).toMatchObject({ part: "load", ok: false });
  });
});

describe("Metrics and description", () => {
  test("count requests by route, not by path", async () => {
    await using admin = await startAdmin();
    await admin.call("/v1/services/orders/mtls");
    await admin.call("/nowhere/1");
    const text = await (await admin.call("/metrics")).text();
    expect(text).toContain('weft_http_requests_total{method="GET",route="/v1/services/:service/mtls",code="200"} 1');
    expect(text).toContain('weft_http_requests_total{method="GET",route="unknown",code="404"} 1');
  });

  test("OpenAPI names every route and the schema of every kind", async () => {
    await using admin = await startAdmin();
    const document = (await (await admin.call("/openapi.json")).json()) as OpenApi;
    expect(document.openapi).toStartWith("3.1");
    expect(Object.keys(document.paths).sort()).toEqual([
      "/healthz",
      "/livez",
      "/metrics",
      "/openapi.json",
      "/readyz",
      "/v1/access",
      "/v1/access/{name}",
      "/v1/apply",
      "/v1/audit",
      "/v1/audit/revisions",
      "/v1/bootstrap",
      "/v1/bundle",
      "/v1/ca",
      "/v1/ca/rotate",
      "/v1/check",
      "/v1/convergence",
      "/v1/delete",
      "/v1/jwks",
      "/v1/nodes",
      "/v1/nodes/tokens",
      "/v1/nodes/{name}",
      "/v1/proxies",
      "/v1/proxies/{id}/config",
      "/v1/proxies/{namespace}/{name}/config",
      "/v1/proxies/{namespace}/{name}/health",
      "/v1/registrations",
      "/v1/resources",
      "/v1/resources/{kind}/{namespace}/{name}",
      "/v1/services",
      "/v1/services/{service}/mtls",
      "/v1/tokens",
      "/v1/tokens/revoke",
      "/v1/watch",
      "/v1/why",
    ]);
    expect(document.components.schemas.PeerAuthenticationSpec?.properties?.mtls).toBeDefined();
    expect(document.paths["/v1/apply"]?.post?.requestBody?.content?.["application/yaml"]).toBeDefined();
    expect(document.paths["/v1/apply"]?.post?.responses["422"]?.content?.["application/problem+json"]?.schema.$ref).toBe(
      "#/components/schemas/ProblemDetails",
    );
    const text = JSON.stringify(document);
    for (const [, name] of text.matchAll(/"#\/components\/schemas\/(\w+)"/g)) expect(document.components.schemas[name ?? ""]).toBeDefined();
  });
});
