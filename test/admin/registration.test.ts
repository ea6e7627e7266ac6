import { describe, expect, test } from "bun:test";
import { startAdmin } from "./harness.ts";

const INSTANCE = "0b7c1f1e-8a43-4d9e-9d0e-8c2f4d1b6a55";
const post = (body: object, headers: Record<string, string> = {}) => ({ method: "POST", body: JSON.stringify(body), headers });
const request = { group: "shop/web", address: "10.0.0.5", instance: INSTANCE };
const other = { authorization: "Bearer a.group.token" };

describe("The admin API", () => {
  test("lets a bearer of another token than the admin's in to register and to report health, and says that it is no admin", async () => {
    await using admin = await startAdmin();
    const answer = await admin.tcp("/v1/registrations", post(request, other));
    expect(answer.status).toBe(201);
    expect(await answer.json()).toMatchObject({ workload: "shop/web-10.0.0.5", bootstrap: { node: { id: "shop/web-10.0.0.5" } } });
    const health = { method: "PUT", body: '{"ready": false, "message": "refused"}', headers: other };
    expect((await admin.tcp("/v1/proxies/shop/web-10.0.0.5/health", health)).status).toBe(200);
    expect(admin.control.healthReports).toEqual([["shop/web-10.0.0.5", { ready: false, message: "refused" }]]);
    expect(admin.control.callers).toEqual(Array(2).fill({ isAdmin: false, authorization: "Bearer a.group.token" }));
  });

  test("knows its admin there too, by the token or the socket", async () => {
    await using admin = await startAdmin();
    await admin.tcp("/v1/registrations", post(request));
    await admin.call("/v1/registrations", post(request));
    expect(admin.control.callers.map(({ isAdmin }) => isAdmin)).toEqual([true, true]);
  });

  test("lets nobody in without a token, and other tokens nowhere else", async () => {
    await using admin = await startAdmin();
    expect((await admin.tcp("/v1/registrations", post(request, { authorization: "" }))).status).toBe(401);
    for (const path of [
      "/v1/registrations/x",
      "/v1/proxies/shop/web/config",
      "/v1/tokens",
      "/v1/proxies/shop/web/healthy",
      "/v1/proxies",
    ]) {
      expect((await admin.tcp(path, { headers: other })).status, path).toBe(401);
    }
    expect(admin.control.callers).toEqual([]);
  });

  test("refuses a registration that is none", async () => {
    await using admin = await startAdmin();
    for (const body of [
      {},
      { ...request, group: "a/b/c" },
      { ...request, instance: "short" },
      { ...request, labels: { a: 1 } },
      { ...request, x: 1 },
    ]) {
      expect((await admin.call("/v1/registrations", post(body))).status, JSON.stringify(body)).toBe(400);
    }
  });

  test("gives a token for a workload or for a group, and not for both", async () => {
    await using admin = await startAdmin();
    const answer = await admin.call("/v1/tokens", post({ workload_group: "shop/web" }));
    expect(await answer.json()).toMatchObject({ workload_group: "shop/web", token: "token-for-group-web-3600" });
    expect((await admin.call("/v1/tokens", post({ workload_group: "web", workload: "web" }))).status).toBe(400);
    expect((await admin.call("/v1/tokens", post({}))).status).toBe(400);
  });
});

test("A stranger's body on the calls that judge tokens themselves is small, is no long YAML, and counts as a failed try", async () => {
  await using admin = await startAdmin();
  const send = (body: string) => admin.tcp("/v1/registrations", { method: "POST", body, headers: other });
  expect((await send(`[${"a,".repeat(40_000)}a]`)).status).toBe(413);
  const began = performance.now();
  expect((await send(`[${"a,".repeat(20_000)}a]`)).status).toBe(400);
  expect(performance.now() - began).toBeLessThan(1_000);
  const statuses: number[] = [];
  for (let i = 0; i < 60; i++) statuses.push((await send("[]")).status);
  expect(statuses).toContain(429);
  expect(admin.control.callers).toEqual([]);
});
