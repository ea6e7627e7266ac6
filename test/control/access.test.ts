/** What an editor may change, by the namespaces of what is in its files: a whole weft, asked over TCP. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { openTestWeft, type TestWeft } from "./weft.ts";

let weft: TestWeft;
let token: string;
beforeAll(async () => {
  weft = await openTestWeft();
  const body = JSON.stringify({ name: "ci", role: "editor", namespaces: ["shop"] });
  token = (await weft.ask("POST", "/v1/access", body)).json.token as string;
});
afterAll(() => weft.close());

const strict = (namespace: string) =>
  `apiVersion: security.istio.io/v1\nkind: PeerAuthentication\nmetadata: {name: default, namespace: ${namespace}}\nspec: {mtls: {mode: STRICT}}\n`;

async function asEditor(method: string, path: string, body?: string) {
  const response = await fetch(`http://${weft.admin}${path}`, { method, body, headers: { authorization: `Bearer ${token}` } });
  return { status: response.status, json: (await response.json()) as Record<string, unknown> };
}

test("An editor changes its own namespace, and the history says that it was the editor", async () => {
  expect(await asEditor("POST", "/v1/apply?file=shop.yaml", strict("shop"))).toMatchObject({ status: 200, json: { revision: 1 } });
  const { json } = await weft.ask("GET", "/v1/audit?last=1");
  expect(json).toMatchObject({
    records: [{ who: "access token ci (editor of shop)", from: "admin 127.0.0.1", targets: ["PeerAuthentication shop/default created"] }],
  });
});

test("An editor's file with one document of another namespace changes nothing, and the refusal names the line", async () => {
  const both = `${strict("shop").replace("STRICT", "PERMISSIVE")}---\n${strict("pay")}`;
  expect(await asEditor("POST", "/v1/apply?file=both.yaml", both)).toMatchObject({
    status: 403,
    json: {
      code: "forbidden",
      detail: "both.yaml:6: PeerAuthentication pay/default: access token ci (editor of shop) may change namespace shop only",
    },
  });
  const shop = await weft.ask("GET", "/v1/resources/PeerAuthentication/shop/default");
  expect(shop.json).toMatchObject({ spec: { mtls: { mode: "STRICT" } } });
  expect((await weft.ask("GET", "/v1/audit?last=1")).json).toMatchObject({
    records: [{ action: "apply", outcome: "refused", who: "access token ci (editor of shop)" }],
  });
});

test("An editor tries out what it may not do, and deletes nothing of others", async () => {
  await weft.ask("POST", "/v1/apply", strict("weft-system"));
  expect(await asEditor("POST", "/v1/apply?dryRun=true", strict("pay"))).toMatchObject({ status: 200 });
  expect(await asEditor("DELETE", "/v1/resources/PeerAuthentication/weft-system/default")).toMatchObject({ status: 403 });
  const items = [
    { kind: "PeerAuthentication", namespace: "shop", name: "default" },
    { kind: "PeerAuthentication", namespace: "weft-system", name: "default" },
  ];
  expect(await asEditor("POST", "/v1/delete", JSON.stringify({ items }))).toMatchObject({ status: 403 });
  expect((await weft.ask("GET", "/v1/resources?kind=PeerAuthentication")).json).toMatchObject({ items: [{}, {}] });
  expect(await asEditor("DELETE", "/v1/resources/PeerAuthentication/shop/default")).toMatchObject({ status: 200 });
});

test("An editor neither dates its resources, nor says whose processes are whose, nor guesses at Secrets", async () => {
  const old = strict("shop").replace("namespace: shop", 'namespace: shop, creationTimestamp: "1970-01-01T00:00:00Z"');
  expect(await asEditor("POST", "/v1/apply", old)).toMatchObject({ status: 200 });
  const { json } = await weft.ask("GET", "/v1/resources/PeerAuthentication/shop/default");
  expect(String((json.metadata as { creationTimestamp: string }).creationTimestamp)).not.toStartWith("1970");
  const registration =
    "apiVersion: weft.dev/v1\nkind: WorkloadRegistration\nmetadata: {name: r, namespace: shop}\nspec: {serviceAccount: a, selectors: {unix: {uid: 1001}}}\n";
  expect(await asEditor("POST", "/v1/apply", registration)).toMatchObject({
    status: 403,
    json: { detail: expect.stringContaining("for admins") },
  });
  const guess = "apiVersion: v1\nkind: Secret\nmetadata: {name: s, namespace: pay}\ntype: Opaque\nstringData: {a: b}\n";
  expect(await asEditor("POST", "/v1/apply?dryRun=true", guess)).toMatchObject({ status: 403 });
});
