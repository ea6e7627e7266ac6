import { describe, expect, test } from "bun:test";
import * as v from "valibot";
import type { ProblemDetails } from "../../src/admin/problem-details.ts";
import {
  ApplyOutcomeSchema,
  DeleteOutcomeSchema,
  ProblemDetailsSchema,
  ResourceListSchema,
  ResourceSchema,
} from "../../src/admin/schemas.ts";
import { peerAuthentication, startAdmin } from "./harness.ts";

const ONE = "/v1/resources/PeerAuthentication/default/default";

describe("POST /v1/apply", () => {
  test("applies YAML and JSON alike, whatever curl calls them", async () => {
    await using admin = await startAdmin();
    const json = JSON.stringify({ apiVersion: "v1", kind: "PeerAuthentication", metadata: { name: "json" }, spec: {} });
    const bodies = [
      ["application/yaml", peerAuthentication("STRICT", "yaml")],
      ["application/x-www-form-urlencoded", peerAuthentication("STRICT", "form")],
      ["application/json", json],
    ];
    for (const [type = "", body = ""] of bodies) {
      const response = await admin.call("/v1/apply", { method: "POST", body, headers: { "content-type": type } });
      expect(response.status).toBe(200);
      expect(v.parse(ApplyOutcomeSchema, await response.json()).applied[0]?.action).toBe("created");
    }
    expect(admin.control.resources.size).toBe(3);
  });

  test("applies several files of a form in one transaction, each under its own name", async () => {
    await using admin = await startAdmin();
    const body = new FormData();
    body.append("file", new File([peerAuthentication("STRICT", "a")], "mesh/a.yaml"));
    body.append("file", new File([peerAuthentication("STRICT", "b")], "mesh/ö b.yaml"));
    const response = await admin.call("/v1/apply", { method: "POST", body });
    expect(await response.json()).toMatchObject({ revision: 1, applied: [{ name: "a" }, { name: "b" }] });
    expect(admin.control.requests[0]?.files.map((one) => one.file)).toEqual(["mesh/a.yaml", "mesh/ö b.yaml"]);
  });

  test("changes nothing with dryRun, and refuses a misspelt dryRun", async () => {
    await using admin = await startAdmin();
    const post = (query: string) => admin.call(`/v1/apply?${query}`, { method: "POST", body: peerAuthentication("STRICT") });
    expect(await (await post("dryRun=true")).json()).toMatchObject({ revision: 0, applied: [{ action: "created" }] });
    const misspelt = await post("dry-run=true");
    expect(misspelt.status).toBe(400);
    expect(((await misspelt.json()) as ProblemDetails).detail).toContain('did you mean "dryRun"');
    expect((await post("dryRun=maybe")).status).toBe(400);
    expect(admin.control.revision).toBe(0);
  });

  test("answers bad input with 422 and every problem's file, line and column", async () => {
    await using admin = await startAdmin();
    const bad = "kind: X\nmetadata: {name: x}\nspec: {bad: 1}\n";
    const response = await admin.call("/v1/apply?file=dir/mesh.yaml", { method: "POST", body: `${bad}---\n${bad}` });
    expect(response.status).toBe(422);
    expect(response.headers.get("content-type")).toBe("application/problem+json");
    const problem = v.parse(ProblemDetailsSchema, await response.json());
    expect(problem).toMatchObject({ status: 422, code: "invalid", instance: "/v1/apply" });
    expect(problem.problems).toHaveLength(2);
    expect(problem.problems?.[0]).toMatchObject({ file: "dir/mesh.yaml", line: 1, column: 3 });
  });

  test("refuses more than 4 MiB with 413, told by its length or found while reading", async () => {
    await using admin = await startAdmin();
    const big = "#".repeat(5 * 1024 * 1024);
    const chunked = () => new Blob([big]).stream();
    for (const body of [big, chunked()]) {
      const response = await admin.tcp("/v1/apply", { method: "POST", body });
      expect(response.status).toBe(413);
      expect(await response.json()).toMatchObject({ code: "too_large", help: expect.stringContaining("split") });
    }
    expect(admin.control.requests).toEqual([]);
  });

  test("refuses bytes that are no UTF-8, with their place", async () => {
    await using admin = await startAdmin();
    const body = Buffer.concat([Buffer.from("a: 1\nb: "), Buffer.from([0xff, 0xfe])]);
    const response = await admin.call("/v1/apply", { method: "POST", body });
    expect(response.status).toBe(422);
    expect(((await response.json()) as ProblemDetails).problems?.[0]).toMatchObject({ code: "WF0001", line: 2, column: 4 });
  });

  test("refuses what it cannot read: pictures, compressed bodies, a broken form", async () => {
    await using admin = await startAdmin();
    const post = (headers: Record<string, string>) => admin.call("/v1/apply", { method: "POST", body: "x", headers });
    expect((await post({ "content-type": "image/png" })).status).toBe(400);
    expect((await post({ "content-encoding": "gzip" })).status).toBe(400);
    expect((await post({ "content-type": "multipart/form-data; boundary=zzz" })).status).toBe(400);
  });

  test("passes the caller's trace and who asked on to the control plane", async () => {
    await using admin = await startAdmin();
    const traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    await admin.tcp("/v1/apply", { method: "POST", body: peerAuthentication("STRICT"), headers: { traceparent } });
    await admin.call("/v1/apply", { method: "POST", body: peerAuthentication("PERMISSIVE") });
    const [tcp, unix] = admin.control.requests;
    expect(tcp).toMatchObject({ who: "admin token", parent: { traceId: "0af7651916cd43dd8448eb211c80319c", spanId: "b7ad6b7169203331" } });
    expect(unix).toMatchObject({ who: `uid ${process.getuid?.()}`, from: `admin.sock (pid ${process.pid})`, parent: undefined });
  });
});

describe("A resource over HTTP", () => {
  test("is created with 201, replaced with 200, read with its ETag, and deleted", async () => {
    await using admin = await startAdmin();
    const put = (mode: string) => admin.call(ONE, { method: "PUT", body: peerAuthentication(mode) });
    const created = await put("STRICT");
    expect([created.status, created.headers.get("etag"), created.headers.get("location")]).toEqual([201, '"1"', ONE]);
    v.parse(ResourceSchema, await created.json());
    expect((await put("PERMISSIVE")).status).toBe(200);
    const read = await admin.call(ONE);
    expect(read.headers.get("etag")).toBe('"2"');
    expect(v.parse(ResourceSchema, await read.json()).spec).toEqual({ mtls: { mode: "PERMISSIVE" } });
    expect((await admin.call(ONE, { headers: { "if-none-match": '"2"' } })).status).toBe(304);
    expect(v.parse(ApplyOutcomeSchema, await (await admin.call(ONE, { method: "DELETE" })).json()).applied[0]?.action).toBe("deleted");
    expect((await admin.call(ONE)).status).toBe(404);
  });

  test("is deleted with others by POST /v1/delete, whose reply names what was not there", async () => {
    await using admin = await startAdmin();
    await admin.call(ONE, { method: "PUT", body: peerAuthentication("STRICT") });
    const items = [
      { kind: "pa", name: "default" },
      { kind: "pa", namespace: "shop", name: "none" },
    ];
    const ask = (query: string) => admin.call(`/v1/delete${query}`, { method: "POST", body: JSON.stringify({ items }) });
    v.parse(DeleteOutcomeSchema, await (await ask("?dryRun")).json());
    expect((await admin.call(ONE)).status).toBe(200);
    expect(v.parse(DeleteOutcomeSchema, await (await ask("")).json())).toMatchObject({
      applied: [{ name: "default", action: "deleted" }],
      missing: [{ kind: "PeerAuthentication", namespace: "shop", name: "none" }],
    });
    expect((await admin.call(ONE)).status).toBe(404);
  });

  test("is not overwritten where If-Match or If-None-Match fails: 412", async () => {
    await using admin = await startAdmin();
    const put = (headers: Record<string, string>, mode = "STRICT") =>
      admin.call(ONE, { method: "PUT", body: peerAuthentication(mode), headers });
    expect((await put({ "if-match": "*" })).status).toBe(412);
    expect((await put({ "if-none-match": "*" })).status).toBe(201);
    expect((await put({ "if-none-match": "*" })).status).toBe(412);
    expect((await put({ "if-match": '"7"' })).status).toBe(412);
    expect((await put({ "if-match": "1" })).status).toBe(400);
    expect((await put({ "if-match": 'W/"1"' })).status).toBe(400);
    expect((await put({ "if-match": '"1"' }, "PERMISSIVE")).status).toBe(200);
    expect((await admin.call(ONE, { method: "DELETE", headers: { "if-match": '"1"' } })).status).toBe(412);
    expect((await admin.call(ONE, { method: "DELETE", headers: { "if-match": '"2"' } })).status).toBe(200);
  });

  test("cannot be put under another's path", async () => {
    await using admin = await startAdmin();
    const response = await admin.call("/v1/resources/PeerAuthentication/default/other", {
      method: "PUT",
      body: peerAuthentication("STRICT"),
    });
    expect(response.status).toBe(400);
  });

  test("comes with a PUT's warnings as headers", async () => {
    await using admin = await startAdmin();
    admin.control.warnings = [{ code: "WF0300", severity: "warning", message: 'no "such" host\n', file: "x", line: 4, column: 1 }];
    const response = await admin.call(ONE, { method: "PUT", body: peerAuthentication("STRICT") });
    expect(response.headers.get("warning")).toBe(`299 weft "WF0300 line 4: no 'such' host?"`);
  });

  test("is listed by kind and namespace", async () => {
    await using admin = await startAdmin();
    await admin.call("/v1/apply", { method: "POST", body: peerAuthentication("STRICT") });
    const list = async (query: string) =>
      v.parse(ResourceListSchema, await (await admin.call(`/v1/resources${query}`)).json()).items.length;
    expect([await list(""), await list("?kind=vs"), await list("?kind=PeerAuthentication&namespace=default")]).toEqual([1, 0, 1]);
  });

  test("is found by any name of its kind, and a kind that is not one gets a suggestion", async () => {
    await using admin = await startAdmin();
    await admin.call(ONE, { method: "PUT", body: peerAuthentication("STRICT") });
    expect((await admin.call("/v1/resources/pa/default/default")).status).toBe(200);
    const wrong = await admin.call("/v1/resources/PeerAuthenticaton/default/default");
    expect(wrong.status).toBe(404);
    expect(((await wrong.json()) as ProblemDetails).detail).toContain("did you mean PeerAuthentication?");
  });
});

describe("Istio's root namespace", () => {
  test("names weft's in paths and queries", async () => {
    await using admin = await startAdmin();
    const body = peerAuthentication("STRICT", "default").replace("name: default", "name: default\n  namespace: weft-system");
    await admin.call("/v1/apply", { method: "POST", body });
    const one = await admin.call("/v1/resources/PeerAuthentication/istio-system/default");
    expect([one.status, v.parse(ResourceSchema, await one.json()).metadata.namespace]).toEqual([200, "weft-system"]);
    const all = await admin.call("/v1/resources?namespace=istio-system");
    expect(v.parse(ResourceListSchema, await all.json()).items).toHaveLength(1);
    const gone = await admin.call("/v1/resources/PeerAuthentication/istio-system/default", { method: "DELETE" });
    expect(gone.status).toBe(200);
  });
});
