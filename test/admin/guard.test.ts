import { describe, expect, test } from "bun:test";
import { chmodSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { startAdmin } from "./harness.ts";

/** fetch sets Host by itself, so a foreign Host is sent by hand. */
function raw(port: number, lines: readonly string[]): Promise<string> {
  return new Promise((resolve, reject) => {
    let answer = "";
    const socket = connect(port, "127.0.0.1", () => socket.write(`${[...lines, "Connection: close"].join("\r\n")}\r\n\r\n`));
    socket.on("data", (chunk) => {
      answer += chunk.toString();
    });
    socket.on("close", () => resolve(answer));
    socket.on("error", reject);
  });
}

describe("The admin API", () => {
  test("needs a token on TCP and says how to get it", async () => {
    await using admin = await startAdmin();
    for (const authorization of ["", "Bearer wrong", `Basic ${admin.token}`, `Bearer ${admin.token}x`]) {
      const response = await admin.tcp("/v1/services", { headers: { authorization } });
      expect(response.status).toBe(401);
      expect(response.headers.get("www-authenticate")).toStartWith("Bearer");
      expect(await response.json()).toMatchObject({ code: "unauthenticated", help: expect.stringContaining("weft token") });
    }
    expect((await admin.tcp("/v1/services")).status).toBe(200);
  });

  test("lets probes, metrics and its description be read without a token", async () => {
    await using admin = await startAdmin();
    for (const path of ["/healthz", "/livez", "/readyz", "/metrics", "/openapi.json"]) {
      expect((await fetch(admin.url + path)).status).toBe(200);
    }
  });

  test("needs no token on its Unix socket, which only its owner can open", async () => {
    await using admin = await startAdmin();
    expect((await admin.call("/v1/services")).status).toBe(200);
    expect(statSync(admin.socket).mode & 0o777).toBe(0o600);
  });

  test("takes no call on its Unix socket that Envoy's headers say came through one, but for what is open to all", async () => {
    await using admin = await startAdmin();
    const headers = { "X-Envoy-Attempt-Count": "1" };
    const refused = await admin.call("/v1/services", { headers });
    expect([refused.status, await refused.json()]).toMatchObject([
      403,
      { code: "forbidden", help: expect.stringContaining("with a token") },
    ]);
    expect((await admin.call("/livez", { headers })).status).toBe(200);
    expect((await admin.tcp("/v1/services", { headers })).status).toBe(200);
  });

  test("answers to no other name than loopback's, the bound address and the configured ones", async () => {
    await using admin = await startAdmin({ hosts: ["weft.example"] });
    const port = Number(new URL(admin.url).port);
    const get = (host: string, ...more: string[]) => raw(port, ["GET /livez HTTP/1.1", `Host: ${host}`, ...more]);
    for (const host of ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "10.1.2.3"]) {
      expect(await get(host)).toStartWith("HTTP/1.1 403");
    }
    for (const host of ["localhost", `LOCALHOST:${port}`, "127.0.0.1", "[::1]:1", "weft.example:80"]) {
      expect(await get(host)).toStartWith("HTTP/1.1 200");
    }
  });

  test("takes no request from a page of another origin, and grants none by CORS", async () => {
    await using admin = await startAdmin();
    const foreign = await admin.tcp("/v1/services", { headers: { origin: "http://evil.example" } });
    expect(foreign.status).toBe(403);
    expect(foreign.headers.get("access-control-allow-origin")).toBeNull();
    expect((await admin.tcp("/v1/services", { headers: { origin: "null" } })).status).toBe(403);
    expect((await admin.tcp("/v1/services", { headers: { origin: admin.url } })).status).toBe(200);
  });

  test("marks every answer, errors too, as not to be cached, framed or sniffed", async () => {
    await using admin = await startAdmin();
    for (const path of ["/v1/services", "/nowhere", "/v1/services?wrong=1"]) {
      const { headers } = await admin.tcp(path);
      expect(headers.get("cache-control")).toBe("no-store");
      expect(headers.get("x-content-type-options")).toBe("nosniff");
      expect(headers.get("content-security-policy")).toContain("default-src 'none'");
    }
  });

  test("says which flag to change where its port is taken", async () => {
    await using admin = await startAdmin();
    const port = Number(new URL(admin.url).port);
    await expect(admin.server.listen({ host: "127.0.0.1", port })).rejects.toThrow(
      expect.objectContaining({ code: "unavailable", help: expect.stringContaining("--admin") }),
    );
  });

  test("replaces the socket that a killed weft left, but no other file", async () => {
    await using admin = await startAdmin();
    await admin.server.listen({ path: admin.socket, mode: 0o600 });
    expect((await admin.call("/livez")).status).toBe(200);
    const file = join(admin.data, "precious.txt");
    writeFileSync(file, "keep me");
    chmodSync(file, 0o644);
    await expect(admin.server.listen({ path: file, mode: 0o600 })).rejects.toThrow("Cannot listen");
    expect(readFileSync(file, "utf8")).toBe("keep me");
  });
});
