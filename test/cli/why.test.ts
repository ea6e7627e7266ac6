import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import * as v from "valibot";
import { WhyAnswerSchema } from "../../src/admin/why-schemas.ts";
import { why } from "../../src/why/index.ts";
import { startAdmin } from "../admin/harness.ts";
import { httpService, meshOf, resource, workload } from "../mesh/harness.ts";
import { files, weft } from "./harness.ts";

const MESH = [httpService("orders"), workload("orders-1", "orders", "10.0.0.2"), workload("web-1", "web", "10.0.0.1")];
const DENY = resource(
  "AuthorizationPolicy",
  "deny",
  "{action: DENY, rules: [{to: [{operation: {paths: [/admin*], ports: ['80']}}]}, {to: [{operation: {methods: [PUT], ports: ['80']}}]}]}",
);
const directory = files({
  "mesh.yaml": [...MESH, DENY].join("\n---\n"),
  "orders.test.yaml": `resources: [mesh.yaml]
tests:
  - name: web reads orders
    request: {from: web-1, to: orders}
    expect: {verdict: allow, status: 200, mtls: mutual_tls, host: orders.default.mesh.local}
  - name: nobody reads the admin pages
    request: {from: web-1, to: orders, path: //admin/users}
    expect: {status: 403, policy: default/deny, rule: 0}
`,
});
const offline = (...args: string[]) => weft(["why", "-f", join(directory, "mesh.yaml"), ...args]);

describe("weft why", () => {
  test("exits 0 where the request reaches the application, 1 where not, and says so first", async () => {
    const reached = await offline("--from", "web-1", "--to", "orders");
    expect([reached.code, reached.err]).toEqual([0, ""]);
    expect(reached.out).toStartWith("200 via orders\nGET / from default/web-1 to orders reaches the application\n");
    const denied = await offline("--from", "default/web-1", "--to", "orders", "--path", "/admin/x");
    expect(denied.code).toBe(1);
    expect(denied.out).toStartWith("403 by AuthorizationPolicy default/deny rule 0\n");
    expect(denied.out).toMatch(/decided by\n {2}authorization: AuthorizationPolicy default\/deny \(.*mesh\.yaml:\d+\)/);
  });

  test("names the Sidecar that keeps a service from the caller", async () => {
    const sidecar = resource("Sidecar", "narrow", '{workloadSelector: {labels: {app: web}}, egress: [{hosts: ["~/*"]}]}');
    const narrow = files({ "mesh.yaml": [...MESH, sidecar].join("\n---\n") });
    const hidden = await weft(["why", "-f", join(narrow, "mesh.yaml"), "--from", "web-1", "--to", "orders"]);
    expect(hidden.code).toBe(1);
    expect(hidden.out).toMatch(/decided by\n {2}what the caller knows: Sidecar default\/narrow \(.*mesh\.yaml:\d+\)/);
    expect(hidden.out).not.toContain("nothing but defaults");
  });

  test("exits 1 where nobody can connect, for the sidecar has no local port for the TCP service, and tells where one would lead", async () => {
    const tcp = httpService("db", "", "[{number: 5432, name: tls, protocol: TLS}]");
    const there = workload("db-1", "db", "10.0.0.3");
    const mesh = files({ "mesh.yaml": [...MESH, tcp, there].join("\n---\n") });
    const ask = (...more: string[]) => weft(["why", "-f", join(mesh, "mesh.yaml"), "--from", "web-1", "--to", "db:5432", ...more]);
    const refused = await ask();
    expect(refused.code).toBe(1);
    expect(refused.out).toStartWith(
      "no listener: the sidecar of default/web-1 has no local port for db.default.mesh.local:5432: annotation weft.dev/listen gives one; it would lead to: ",
    );
    expect(refused.out).toMatch(/decided by\n {2}listeners: WorkloadEntry default\/web-1 \(/);
    expect(v.parse(WhyAnswerSchema, JSON.parse((await ask("-o", "json")).out))).toMatchObject({ verdict: "no_route", status: 0 });
  });

  test("takes headers, claims and methods, and answers as JSON of the shape that the API describes", async () => {
    const { code, out } = await offline(
      "--to",
      "orders",
      "--method",
      "PUT",
      "--header",
      "a=b",
      "--jwt-claim",
      "group=staff",
      "--jwt-claim",
      'aud=["x"]',
      "-o",
      "json",
    );
    expect(code).toBe(1);
    const answer = v.parse(WhyAnswerSchema, JSON.parse(out));
    expect(answer).toMatchObject({
      verdict: "deny",
      status: 403,
      jwt: { result: "ignored" },
      authorization: { policy: "default/deny", rule: 1 },
    });
  });

  test("exits 2 for a caller that is none, a broken flag, and broken files", async () => {
    expect(await offline("--from", "nobody", "--to", "orders")).toMatchObject({
      code: 2,
      err: expect.stringContaining("there are: default/orders-1"),
    });
    expect((await offline("--to", "orders", "--header", "nothing")).code).toBe(2);
    expect((await offline("--to", "orders", "--path", "x")).code).toBe(2);
    expect((await offline()).code).toBe(2);
    const broken = files({ "a.yaml": resource("PeerAuthentication", "p", "{mtls: {mode: STRIKT}}") });
    expect(await weft(["why", "--to", "orders", "-f", broken])).toMatchObject({ code: 2, err: expect.stringContaining("1 error") });
  });

  test("asks a running weft where no files are given", async () => {
    await using admin = await startAdmin();
    admin.control.whyAnswer = why(meshOf(...MESH), { from: "default/web-1", to: "orders" }, { now: 0 });
    const { code, out } = await weft(["why", "--from", "web-1", "--to", "orders", "--path", "/x", "--data", admin.data]);
    expect([code, out.split("\n")[0]]).toEqual([0, "200 via orders"]);
    expect(admin.control.whyRequests).toMatchObject([{ from: "default/web-1", to: "orders", path: "/x" }]);
    const wrong = await admin.call("/v1/why", {
      method: "POST",
      body: JSON.stringify({ too: "orders" }),
      headers: { "content-type": "application/json" },
    });
    expect(wrong.status).toBe(400);
  });
});

describe("weft test", () => {
  test("passes, and lists the rules that no test reached", async () => {
    const { code, out } = await weft(["test", directory]);
    expect(code).toBe(0);
    expect(out).toContain("ok    web reads orders\nok    nobody reads the admin pages\n");
    expect(out).toMatch(/no test reached\n {2}rule 1 {2}AuthorizationPolicy default\/deny \(.*mesh\.yaml:\d+\)\n/);
    expect(out).toEndWith("2 passed, 0 failed\n");
  });

  test("shows what differs, exits 1, and writes JUnit", async () => {
    const wrong = files({
      "mesh.yaml": MESH.join("\n---\n"),
      "wrong.test.yaml":
        "resources: ['*.yaml']\ntests:\n  - name: a < b\n    request: {to: orders}\n    expect: {status: 403, subset: v2}\n",
    });
    const report = join(wrong, "report.xml");
    const { code, out } = await weft(["test", join(wrong, "wrong.test.yaml"), "--junit", report]);
    expect(code).toBe(1);
    expect(out).toContain("FAIL  a < b (");
    expect(out).toContain(
      'wrong.test.yaml:3)\n      status: expected 403, found 200\n      subset: expected "v2", found ""\n      200 via orders\n',
    );
    const xml = readFileSync(report, "utf8");
    expect(xml).toContain('<testsuites name="weft test" tests="1" failures="1"');
    expect(xml).toContain('name="a &lt; b"');
  });

  test("takes resources from -f, for all test files", async () => {
    const tests = files({ "a.test.yaml": "tests: [{name: open, request: {to: orders}, expect: {verdict: allow}}]" });
    expect((await weft(["test", tests, "-f", join(directory, "mesh.yaml")])).code).toBe(0);
  });

  test("exits 2 where the tests cannot be run, and names the field", async () => {
    const bad = files({
      "typo.test.yaml": "tests:\n  - name: a\n    request:\n      metod: GET\n    expect: 200\n",
      "nothing.test.yaml": "tests: [{name: a, request: {to: orders}, expect: {}}]",
      "glob.test.yaml": "resources: [none/*.yaml]\ntests: [{name: a, request: {to: orders}, expect: {status: 200}}]",
    });
    const typo = await weft(["test", join(bad, "typo.test.yaml")]);
    expect(typo.code).toBe(2);
    expect(typo.err).toContain("typo.test.yaml:4: tests.0.request.to: is missing");
    expect(typo.err).toContain("typo.test.yaml:4: tests.0.request.metod: is no known field");
    expect(typo.err).toContain("typo.test.yaml:5: tests.0.expect: must be a mapping");
    expect(await weft(["test", join(bad, "nothing.test.yaml")])).toMatchObject({
      code: 2,
      err: expect.stringContaining("expects nothing"),
    });
    expect(await weft(["test", join(bad, "glob.test.yaml")])).toMatchObject({ code: 2, err: expect.stringContaining("no file matches") });
    expect((await weft(["test", files({ "readme.md": "" })])).code).toBe(2);
  });
});
