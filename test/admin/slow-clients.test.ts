/** What slow, greedy and ambiguous clients can take of the admin API: on TCP here, and the listeners of the other doors are the same. */
import { describe, expect, test } from "bun:test";
import { connect, type Socket } from "node:net";
import { eventually } from "../control/weft.ts";
import { FakeClock } from "../fakes/clock.ts";
import { startAdmin } from "./harness.ts";

interface Line {
  readonly socket: Socket;
  readonly received: () => string;
  readonly isClosed: () => boolean;
  readonly closed: Promise<void>;
}

function dial(url: string, first = ""): Promise<Line> {
  return new Promise((resolve, reject) => {
    let text = "";
    let isClosed = false;
    const socket = connect(Number(new URL(url).port), "127.0.0.1", () => {
      if (first) socket.write(first);
      resolve({ socket, received: () => text, isClosed: () => isClosed, closed });
    });
    const closed = new Promise<void>((end) => {
      socket.once("close", () => {
        isClosed = true;
        end();
      });
    });
    socket.on("data", (chunk) => {
      text += chunk;
    });
    socket.once("error", reject);
    socket.on("error", () => {});
  });
}

const REQUEST = "GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n";
const statuses = (text: string) => [...text.matchAll(/^HTTP\/1\.1 (\d{3})/gm)].map(([, status]) => Number(status));

/** Lets the server see what was sent: an answer on another connection comes after it. */
async function seen(url: string): Promise<void> {
  for (let round = 0; round < 3; round++) await fetch(`${url}/livez`, { keepalive: false });
}

describe("The admin API", () => {
  test("gives a connection ten seconds for its first request, however it spends them", async () => {
    const clock = new FakeClock();
    await using admin = await startAdmin({ clock });
    const lines = await Promise.all([dial(admin.url), dial(admin.url, "GET /livez HTTP/1.1\r\nHost: loc")]);
    const good = await dial(admin.url, REQUEST);
    await eventually(() => expect(statuses(good.received())).toEqual([200]));
    await seen(admin.url);
    await clock.advance(9_000);
    await seen(admin.url);
    expect(lines.map((line) => line.isClosed())).toEqual([false, false]);
    lines[1]?.socket.write("alhost\r\nX-More: ");
    await seen(admin.url);
    await clock.advance(1_000);
    await Promise.all(lines.map(({ closed }) => closed));
    expect(good.isClosed()).toBe(false);
    good.socket.write(REQUEST);
    await eventually(() => expect(statuses(good.received())).toEqual([200, 200]));
    good.socket.write("GET /livez HTTP/1.1\r\nHost: ");
    await seen(admin.url);
    await clock.advance(60_000);
    await good.closed;
  });

  test("gives a body a minute, and then closes the connection", async () => {
    const clock = new FakeClock();
    await using admin = await startAdmin({ clock });
    const head = `POST /v1/apply HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ${admin.token}\r\nContent-Length: 100\r\n\r\nkind`;
    const line = await dial(admin.url, head);
    await seen(admin.url);
    await clock.advance(59_000);
    line.socket.write(":");
    await seen(admin.url);
    expect(line.isClosed()).toBe(false);
    await clock.advance(1_000);
    await line.closed;
  });

  test("closes the connection of a caller that takes nothing of its answers", async () => {
    const clock = new FakeClock();
    await using admin = await startAdmin({ clock });
    const line = await dial(admin.url);
    line.socket.pause();
    line.socket.write("GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(400));
    // Until nothing more fits between the two.
    let answered = -1;
    await eventually(async () => {
      const before = answered;
      await Bun.sleep(100);
      answered = (await admin.metrics.httpRequests.get()).values.reduce((sum, { value }) => sum + value, 0);
      expect(answered).toBe(before);
      expect(answered).toBeGreaterThan(1);
    });
    expect(answered).toBeLessThan(400);
    await clock.advance(30_000);
    await clock.advance(30_000);
    line.socket.resume();
    await line.closed;
  });

  test("takes 512 connections of one address", async () => {
    await using admin = await startAdmin();
    const lines = await Promise.all(Array.from({ length: 512 }, () => dial(admin.url)));
    const late = await dial(admin.url, REQUEST).catch(() => undefined);
    await late?.closed;
    expect(late?.received() ?? "").toBe("");
    lines[0]?.socket.destroy();
    await eventually(async () => expect((await fetch(`${admin.url}/livez`, { keepalive: false })).status).toBe(200));
    for (const { socket } of lines) socket.destroy();
  }, 30_000);

  const AMBIGUOUS: readonly (readonly [string, string])[] = [
    [
      "a length and chunks",
      "POST /v1/apply HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ],
    ["two lengths", "POST /v1/apply HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\nabcde"],
    ["a transfer encoding that is none", "POST /v1/apply HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n"],
    ["a space before the colon", "GET /livez HTTP/1.1\r\nHost : localhost\r\nHost: localhost\r\n\r\n"],
    ["a folded header", "GET /livez HTTP/1.1\r\nHost: localhost\r\nX-A: a\r\n b\r\n\r\n"],
    ["bare line feeds", "GET /livez HTTP/1.1\nHost: localhost\n\n"],
    ["headers of 32 KiB", `GET /livez HTTP/1.1\r\nHost: localhost\r\nX-Long: ${"x".repeat(32 * 1024)}\r\n\r\n`],
    ["a negative length", "POST /v1/apply HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n"],
  ];
  for (const [name, request] of AMBIGUOUS) {
    test(`does not guess at a request with ${name}, and takes nothing that comes after it`, async () => {
      await using admin = await startAdmin();
      const line = await dial(admin.url, request + REQUEST);
      await line.closed;
      expect(statuses(line.received()).filter((status) => status < 400)).toEqual([]);
    });
  }

  test("answers to no name that is one of several", async () => {
    await using admin = await startAdmin();
    const line = await dial(admin.url, "GET /livez HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n");
    await eventually(() => expect(statuses(line.received()).concat(line.isClosed() ? [400] : []).length).toBeGreaterThan(0));
    expect(statuses(line.received()).filter((status) => status < 400)).toEqual([]);
    line.socket.destroy();
  });
});
