/** The admin API's guard against any Host, Origin and Authorization: over a real socket, with headers that no client library would send. */
import { expect, setDefaultTimeout, test } from "bun:test";
import { connect } from "node:net";
import fc from "fast-check";
import { startAdmin } from "../admin/harness.ts";
import { hold } from "./seeds.ts";

setDefaultTimeout(60_000);

/** The status of the answer; 0 where the connection was ended without one. */
function ask(port: number, headers: readonly (readonly [string, string])[]): Promise<number> {
  return new Promise((resolve) => {
    const lines = headers.map(([name, value]) => `${name}: ${value}\r\n`).join("");
    const socket = connect(port, "127.0.0.1", () =>
      socket.write(Buffer.from(`GET /v1/services HTTP/1.1\r\n${lines}Connection: close\r\n\r\n`, "latin1")),
    );
    let answer = "";
    socket.on("data", (data: Buffer) => {
      answer += data.toString("latin1");
    });
    socket.on("error", () => {});
    socket.on("close", () => resolve(Number(/^HTTP\/1\.1 (\d{3})/.exec(answer)?.[1] ?? 0)));
  });
}

const LOOPBACK = /^(localhost|127(\.\d{1,3}){3}|\[[0:]*:(0*1|ffff:7f[0-9a-f]{2}:[0-9a-f]{1,4}|ffff:127(\.\d{1,3}){3})\])\.?(:\d*)?$/i;

test("no Host but loopback's, no foreign Origin and no token but the right one gets anything but a refusal", async () => {
  await using admin = await startAdmin();
  const port = Number(new URL(admin.url).port);
  const token = admin.token;
  const line = fc.string({ unit: fc.integer({ min: 0x20, max: 0xff }).map((code) => String.fromCharCode(code)), maxLength: 60 });
  const host = fc.oneof(
    fc.constantFrom("localhost", "127.0.0.1", `localhost:${port}`, "[::1]"),
    line,
    fc.domain(),
    fc.ipV4(),
    fc.ipV6().map((ip) => `[${ip}]`),
    line.map((rest) => `localhost${rest}`),
    line.map((rest) => `127.0.0.1${rest}`),
  );
  const origin = fc.option(fc.oneof(fc.webUrl(), line, fc.constantFrom("null", `http://127.0.0.1:${port}`, "http://localhost")), {
    nil: undefined,
  });
  const authorization = fc.option(
    fc.oneof(
      line,
      fc.constantFrom(`Bearer ${token}`, `bearer ${token}`, `Basic ${token}`),
      line.map((rest) => `Bearer ${token.slice(0, -1)}${rest}`),
      line.map((rest) => `Bearer ${rest}`),
    ),
    { nil: undefined },
  );
  let answered = 0;
  await hold(
    "Host, Origin, Authorization",
    fc.asyncProperty(host, origin, authorization, async (h, o, a) => {
      const headers = [["Host", h], ...(o === undefined ? [] : [["Origin", o]]), ...(a === undefined ? [] : [["Authorization", a]])] as [
        string,
        string,
      ][];
      const status = await ask(port, headers);
      const trimmed = h.trim();
      if (status === 200) {
        answered += 1;
        expect(trimmed).toMatch(LOOPBACK);
        expect((a ?? "").trim().replace(/^bearer +/i, "")).toBe(token);
        if (o !== undefined) expect([`http://${trimmed}`, `https://${trimmed}`]).toContain(o.trim());
      } else expect([0, 400, 401, 403, 429, 431]).toContain(status);
    }),
    150,
  );
  // Else nothing would have been tried.
  expect(answered).toBeGreaterThan(0);
});
