import { expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { connect, createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type PeerCredentials, peerCredentials } from "../../src/lib/peer-credentials.ts";

/** What the accepting side of a Unix socket learns of who connects by `dial`. */
async function learn(dial: (path: string) => unknown): Promise<PeerCredentials | undefined> {
  const directory = mkdtempSync(join(tmpdir(), "weft-peer-"));
  const path = join(directory, "x.sock");
  const accepted = Promise.withResolvers<PeerCredentials | undefined>();
  const server = createServer((socket) => {
    accepted.resolve(peerCredentials(socket));
    socket.end();
  });
  try {
    await new Promise<void>((resolve) => server.listen(path, resolve));
    await dial(path);
    return await accepted.promise;
  } finally {
    server.close();
    rmSync(directory, { recursive: true, force: true });
  }
}

const dialHere = (path: string) =>
  new Promise<void>((resolve, reject) => {
    const socket: Socket = connect(path, () => socket.on("data", () => {}));
    socket.on("close", () => resolve()).on("error", reject);
  });

test("tells the process, user and group at the other end of a Unix socket", async () => {
  expect(await learn(dialHere)).toEqual({ pid: process.pid, uid: process.getuid?.() ?? -1, gid: process.getgid?.() ?? -1 });
});

test("tells the process that connected, not its parent", async () => {
  let pid = 0;
  const peer = await learn(async (path) => {
    const child = Bun.spawn([
      process.execPath,
      "-e",
      `require("net").connect(${JSON.stringify(path)}).resume().on("close", () => process.exit(0))`,
    ]);
    pid = child.pid;
    await child.exited;
  });
  expect(peer?.pid).toBe(pid);
});

test("says nothing of a TCP peer, nor of a socket that is closed", async () => {
  const accepted = Promise.withResolvers<Socket>();
  const server = createServer((socket) => accepted.resolve(socket));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  const client = connect(typeof address === "object" && address ? address.port : 0, "127.0.0.1");
  const socket = await accepted.promise;
  expect(peerCredentials(socket)).toBeUndefined();
  client.destroy();
  socket.destroy();
  await new Promise<void>((resolve) => (socket.closed ? resolve() : socket.once("close", () => resolve())));
  expect(peerCredentials(socket)).toBeUndefined();
  server.close();
});
