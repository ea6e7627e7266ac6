/** What the HTTP edge tells the audit: who was kept out, and which change was refused. */
import { describe, expect, test } from "bun:test";
import { peerAuthentication, startAdmin } from "./harness.ts";

describe("The audit", () => {
  test("hears of a change that is refused, with who asked, through which door, and why", async () => {
    await using admin = await startAdmin();
    await admin.call("/v1/apply", { method: "POST", body: "{{{" });
    await admin.tcp("/v1/resources/VirtualService/shop/orders", { method: "DELETE" });
    expect(admin.control.records).toMatchObject([
      {
        who: `uid ${process.getuid?.()}`,
        from: `admin.sock (pid ${process.pid})`,
        action: "apply",
        outcome: "refused",
        targets: [],
        reason: expect.stringMatching(/^invalid: /),
      },
      {
        who: "admin token",
        from: "admin 127.0.0.1",
        action: "delete",
        targets: ["VirtualService shop/orders"],
        reason: expect.stringMatching(/^not_found: /),
      },
    ]);
  });

  test("hears of everyone who was kept out, whatever they asked for", async () => {
    await using admin = await startAdmin();
    await admin.tcp("/v1/services", { headers: { authorization: "Bearer wrong" } });
    await admin.tcp("/v1/services", { headers: { host: "evil.example" } });
    expect(admin.control.records).toMatchObject([
      { who: "unknown", from: "admin 127.0.0.1", action: "GET /v1/services", reason: expect.stringMatching(/^unauthenticated: /) },
      { who: "unknown", action: "GET /v1/services", reason: expect.stringMatching(/^forbidden: .*evil\.example/) },
    ]);
    expect(JSON.stringify(admin.control.records)).not.toContain("wrong");
  });

  test("hears nothing of what is only looked at, tried or asked", async () => {
    await using admin = await startAdmin();
    await admin.call("/v1/apply?dryRun=true", { method: "POST", body: "{{{" });
    await admin.call("/v1/resources/VirtualService/shop/orders");
    await admin.call("/v1/why", { method: "POST", body: "{}" });
    await admin.call("/v1/apply", { method: "POST", body: peerAuthentication("STRICT") });
    expect(admin.control.records).toEqual([]);
  });

  test("is read in pages, oldest first, or from its end", async () => {
    await using admin = await startAdmin();
    for (const name of ["a", "b", "c"]) await admin.call(`/v1/resources/VirtualService/shop/${name}`, { method: "DELETE" });
    const sequences = async (query: string) => {
      const page = (await (await admin.call(`/v1/audit${query}`)).json()) as { records: { sequence: number }[] };
      return page.records.map((record) => record.sequence);
    };
    expect(await sequences("")).toEqual([1, 2, 3]);
    expect(await sequences("?after=1&limit=1")).toEqual([2]);
    expect(await sequences("?last=2")).toEqual([2, 3]);
    for (const wrong of ["?after=-1", "?limit=0", "?limit=1001", "?last=x", "?after=1&last=1"]) {
      expect((await admin.call(`/v1/audit${wrong}`)).status).toBe(400);
    }
  });
});
