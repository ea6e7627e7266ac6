/** Whether the kernel says here who connects: found out with a connection of weft's own, whose answer is known. */

import { mkdtempSync, rmSync } from "node:fs";
import { connect, createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { WeftError } from "../lib/errors.ts";
import { readProcess, sameFile } from "../lib/process-info.ts";
import { attest } from "./attest.ts";

/** Undefined where processes can be told, else why not. */
export async function cannotAttest(): Promise<string | undefined> {
  if (process.platform !== "linux") return "the kernel of this system does not say who connects: it takes Linux";
  const directory = mkdtempSync(join(tmpdir(), "weft-self-test-"));
  const path = join(directory, "self.sock");
  const accepted = Promise.withResolvers<string | undefined>();
  const server = createServer((socket) => {
    accepted.resolve(whyNot(socket));
    socket.destroy();
  });
  let client: Socket | undefined;
  try {
    await new Promise<void>((resolve, reject) => server.once("error", reject).listen(path, resolve));
    client = connect(path).on("error", (reason) => accepted.resolve(reason.message));
    return await accepted.promise;
  } catch (reason) {
    return WeftError.from(reason).message;
  } finally {
    client?.destroy();
    server.close();
    rmSync(directory, { recursive: true, force: true });
  }
}

function whyNot(socket: Socket): string | undefined {
  const caller = attest(socket);
  try {
    const found = caller.process();
    const self = readProcess(process.pid);
    const isSelf =
      found.pid === self.pid && found.startTime === self.startTime && found.uid === self.uid && sameFile(found.executable, self.executable);
    return isSelf ? undefined : "the kernel takes a connection of weft's own for another process's";
  } catch (reason) {
    return WeftError.from(reason).message;
  } finally {
    caller.close();
  }
}
