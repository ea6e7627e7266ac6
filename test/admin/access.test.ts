/** Access tokens with roles, over real sockets; the namespaces of what a file holds are asked in test/control/access.test.ts. */
import { describe, expect, test } from "bun:test";
import { mayChange } from "../../src/admin/access.ts";
import { peerAuthentication, startAdmin } from "./harness.ts";

type Admin = Awaited<ReturnType<typeof startAdmin>>;

async function tokenOf(admin: Admin, body: Record<string, unknown>): Promise<string> {
  const response = await admin.call("/v1/access", { method: "POST", body: JSON.stringify(body) });
  expect(response.status).toBe(201);
  return ((await response.json()) as { token: string }).token;
}

const CALLS: readonly (readonly [method: string, path: string, body?: string])[] = [
  ["GET", "/v1/services"],
  ["GET", "/v1/resources"],
  ["GET", "/v1/proxies"],
  ["GET", "/v1/ca"],
  ["POST", "/v1/why", JSON.stringify({ to: "orders" })],
  ["POST", "/v1/apply?dryRun=true", peerAuthentication("STRICT")],
  ["POST", "/v1/apply", peerAuthentication("STRICT")],
  ["PUT", "/v1/resources/PeerAuthentication/default/default", peerAuthentication("STRICT")],
  ["DELETE", "/v1/resources/PeerAuthentication/default/default"],
  ["POST", "/v1/delete", JSON.stringify({ items: [] })],
  ["POST", "/v1/tokens", JSON.stringify({ workload: "default/web" })],
  ["POST", "/v1/bootstrap", JSON.stringify({ workload: "default/web" })],
  ["POST", "/v1/tokens", JSON.stringify({ workload: "other/web" })],
  ["POST", "/v1/bootstrap", JSON.stringify({ workload: "other/web" })],
  ["GET", "/v1/audit"],
  ["GET", "/v1/access"],
  ["POST", "/v1/access", JSON.stringify({ name: "mine", role: "admin" })],
  ["DELETE", "/v1/access/ci"],
  ["POST", "/v1/whatever-comes-next", "{}"],
];

/** The calls that are refused with 403, as "METHOD path [workload]". */
async function forbidden(admin: Admin, token: string): Promise<string[]> {
  const refused: string[] = [];
  for (const [method, path, body] of CALLS) {
    const { status } = await admin.tcp(path, { method, body, headers: { authorization: `Bearer ${token}` } });
    expect(status).not.toBe(401);
    if (status === 403) refused.push(`${method} ${path}${/"workload":"other/.test(body ?? "") ? " other" : ""}`);
  }
  return refused;
}

describe("An access token", () => {
  test("of an admin may do everything", async () => {
    await using admin = await startAdmin();
    expect(await forbidden(admin, await tokenOf(admin, { name: "root", role: "admin" }))).toEqual([]);
  });

  test("of an editor changes what is in its namespaces, and neither reads the audit nor makes tokens", async () => {
    await using admin = await startAdmin();
    const token = await tokenOf(admin, { name: "ci", role: "editor", namespaces: ["default"] });
    expect(await forbidden(admin, token)).toEqual([
      "POST /v1/tokens other",
      "POST /v1/bootstrap other",
      "GET /v1/audit",
      "GET /v1/access",
      "POST /v1/access",
      "DELETE /v1/access/ci",
      "POST /v1/whatever-comes-next",
    ]);
    expect(admin.control.requests.at(-1)?.principal).toEqual({
      who: "access token ci (editor of default)",
      role: "editor",
      namespaces: ["default"],
    });
  });

  test("of an editor of istio-system changes what is in weft-system, which is another name of it", () => {
    const editor = { who: "ci", role: "editor", namespaces: ["istio-system"] } as const;
    expect([mayChange(editor, "weft-system"), mayChange(editor, "default")]).toEqual([true, false]);
  });

  test("of a viewer looks, asks and tries, and changes nothing", async () => {
    await using admin = await startAdmin();
    expect(await forbidden(admin, await tokenOf(admin, { name: "eyes", role: "viewer" }))).toEqual([
      "POST /v1/apply",
      "PUT /v1/resources/PeerAuthentication/default/default",
      "DELETE /v1/resources/PeerAuthentication/default/default",
      "POST /v1/delete",
      "POST /v1/tokens",
      "POST /v1/bootstrap",
      "POST /v1/tokens other",
      "POST /v1/bootstrap other",
      "GET /v1/audit",
      "GET /v1/access",
      "POST /v1/access",
      "DELETE /v1/access/ci",
      "POST /v1/whatever-comes-next",
    ]);
  });

  test("is refused once it is revoked, and the refusal names it", async () => {
    await using admin = await startAdmin();
    const token = await tokenOf(admin, { name: "ci", role: "viewer" });
    const call = () => admin.tcp("/v1/services", { headers: { authorization: `Bearer ${token}` } });
    expect((await call()).status).toBe(200);
    expect((await admin.call("/v1/access/ci", { method: "DELETE" })).status).toBe(200);
    const refused = await call();
    expect(refused.status).toBe(401);
    expect(await refused.json()).toMatchObject({ detail: "Access token ci is revoked" });
  });

  test("is shown once: the list has its name, role and end, not the token", async () => {
    await using admin = await startAdmin();
    const token = await tokenOf(admin, { name: "ci", role: "editor", namespaces: ["shop", "shop"], ttl: "24h" });
    const text = await (await admin.call("/v1/access")).text();
    expect(text).not.toContain(token);
    expect(JSON.parse(text)).toMatchObject({
      items: [{ name: "ci", role: "editor", namespaces: ["shop"], state: "valid", created_by: `uid ${process.getuid?.()}` }],
    });
  });

  test("that makes no sense is refused with what to write instead", async () => {
    await using admin = await startAdmin();
    for (const [body, status, detail] of [
      [{ name: "Über", role: "viewer" }, 400, /cannot name/],
      [{ name: "ci", role: "editor" }, 400, /needs the namespaces/],
      [{ name: "ci", role: "viewer", namespaces: ["shop"] }, 400, /go with role editor/],
      [{ name: "ci", role: "owner" }, 400, /role/],
      [{ name: "ci", role: "viewer", ttl: "9000h" }, 400, /366 days/],
    ] as const) {
      const response = await admin.call("/v1/access", { method: "POST", body: JSON.stringify(body) });
      expect(response.status).toBe(status);
      expect(((await response.json()) as { detail: string }).detail).toMatch(detail);
    }
    await tokenOf(admin, { name: "ci", role: "viewer" });
    expect((await admin.call("/v1/access", { method: "POST", body: JSON.stringify({ name: "ci", role: "viewer" }) })).status).toBe(409);
  });
});
