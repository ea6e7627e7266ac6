import { describe, expect, test } from "bun:test";
import { FakeClock } from "../fakes/clock.ts";
import { peerAuthentication, startAdmin } from "./harness.ts";

/** Reads the stream until `text` is in it. */
async function readUntil(response: Response, text: string): Promise<string> {
  const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader();
  let seen = "";
  while (reader) {
    const { value, done } = await reader.read();
    seen += value ?? "";
    if (done || seen.includes(text)) {
      await reader.cancel();
      break;
    }
  }
  return seen;
}

async function until(condition: () => boolean): Promise<void> {
  for (let tries = 0; !condition(); tries++) {
    if (tries > 500) throw new Error("the condition did not come true");
    await Bun.sleep(10);
  }
}

const apply = (admin: Awaited<ReturnType<typeof startAdmin>>, mode: string) =>
  admin.call("/v1/apply", { method: "POST", body: peerAuthentication(mode) });

describe("GET /v1/watch", () => {
  test("sends every revision after `since`, those that are there and those to come", async () => {
    await using admin = await startAdmin();
    for (const mode of ["STRICT", "PERMISSIVE"]) await apply(admin, mode);
    const response = await admin.call("/v1/watch?since=1");
    expect(response.headers.get("content-type")).toContain("text/event-stream");
    const reading = readUntil(response, "id: 3");
    await apply(admin, "DISABLE");
    const seen = await reading;
    expect(seen).toContain("event: revision");
    expect(seen).toContain("id: 2");
    expect(seen).not.toContain("id: 1\n");
  });

  test("goes on after Last-Event-ID, as a reconnecting EventSource asks", async () => {
    await using admin = await startAdmin();
    for (const mode of ["STRICT", "PERMISSIVE"]) await apply(admin, mode);
    const seen = await readUntil(await admin.call("/v1/watch?since=0", { headers: { "last-event-id": "1" } }), "id: 2");
    expect(seen).not.toContain("id: 1\n");
  });

  test("starts from now where no revision is named", async () => {
    await using admin = await startAdmin();
    await apply(admin, "STRICT");
    expect(await readUntil(await admin.call("/v1/watch"), "\n\n")).toContain(": watching after revision 1");
  });

  test("tells that it lost its place, and ends", async () => {
    await using admin = await startAdmin();
    const reading = (await admin.call("/v1/watch")).text();
    await until(() => admin.control.watching === 1);
    admin.control.loseWatches("compacted");
    expect(await reading).toContain('event: lost\ndata: {"type":"lost","reason":"compacted"}');
  });

  test("keeps the connection alive by comments", async () => {
    const clock = new FakeClock();
    await using admin = await startAdmin({ clock });
    const response = await admin.call("/v1/watch");
    const reading = readUntil(response, "heartbeat");
    await until(() => admin.control.watching === 1);
    await clock.advance(15_000);
    expect(await reading).toContain(": heartbeat\n\n");
    // The server waits out its grace on this clock.
    const stopped = admin.server.close(0);
    await clock.advance(1);
    await stopped;
  });

  test("ends when the caller goes, and when weft stops", async () => {
    await using admin = await startAdmin();
    const abort = new AbortController();
    await admin.call("/v1/watch", { signal: abort.signal });
    await until(() => admin.control.watching === 1);
    abort.abort();
    await until(() => admin.control.watching === 0);
    const reading = (await admin.call("/v1/watch")).text();
    await until(() => admin.control.watching === 1);
    await admin.server.close();
    await reading;
    expect(admin.control.watching).toBe(0);
  });

  test("ends when its caller's token is revoked: before the next revision, or with the next heartbeat", async () => {
    const clock = new FakeClock();
    await using admin = await startAdmin({ clock });
    const by = { who: "admin token", from: "admin.sock" };
    const watchWith = async (name: string) => {
      const { token } = await admin.control.access.create({ name, role: "viewer", namespaces: [] }, by);
      const response = await admin.tcp("/v1/watch?since=0", { headers: { authorization: `Bearer ${token}` } });
      expect(response.status).toBe(200);
      return response.text();
    };
    const first = watchWith("first");
    await until(() => admin.control.watching === 1);
    await admin.control.access.revoke("first", by);
    await apply(admin, "STRICT");
    expect(await first).not.toContain("event:");
    const second = watchWith("second");
    await until(() => admin.control.watching === 1);
    await admin.control.access.revoke("second", by);
    await clock.advance(15_000);
    expect(await second).not.toContain("heartbeat");
    const stopped = admin.server.close(0);
    await clock.advance(1);
    await stopped;
  });

  test("refuses a revision that is no number", async () => {
    await using admin = await startAdmin();
    expect((await admin.call("/v1/watch?since=yesterday")).status).toBe(400);
  });
});
