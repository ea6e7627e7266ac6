import { expect, test } from "bun:test";
import { connect } from "node:net";
import { startAdmin } from "./harness.ts";

test("a caller that sends request after request and takes no answer is cut off at either socket, and others are served", async () => {
  await using admin = await startAdmin();
  const served = async () =>
    Number(/^weft_http_requests_total\{.*route="\/metrics".*\} (\d+)/m.exec(await (await admin.call("/metrics")).text())?.[1] ?? 0);
  for (const socket of [connect(admin.socket), connect(Number(new URL(admin.url).port), "127.0.0.1")]) {
    const before = await served();
    socket.on("error", () => {});
    const closed = new Promise<void>((resolve) => socket.once("close", () => resolve()));
    socket.write("GET /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".repeat(5_000));
    await closed;
    expect((await served()) - before).toBeLessThan(100);
  }
});
