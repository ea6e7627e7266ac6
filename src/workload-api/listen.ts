/** The socket of the SPIFFE Workload Endpoint: anybody on this machine may connect, and what they get is decided by who they are. */
import { chmodSync, lstatSync, unlinkSync } from "node:fs";
import type { Http2Server } from "node:http2";
import { connect } from "node:net";
import { errnoOf, WeftError } from "../lib/errors.ts";

/** sun_path holds 108 bytes on Linux, the closing zero among them; unix(7). */
const LONGEST_SOCKET_PATH = 107;
const HELP = "choose another path with --workload-api PATH, in a directory that is there";

/** Open for the owner only: openToAll comes when the kernel was found to say who connects. @throws WeftError "unavailable" */
export async function listenForOwner(server: Http2Server, path: string): Promise<void> {
  if (Buffer.byteLength(path) > LONGEST_SOCKET_PATH) {
    throw new WeftError("unavailable", `the path of the Workload API's socket is longer than ${LONGEST_SOCKET_PATH} bytes: ${path}`, {
      help: HELP,
    });
  }
  await removeStaleSocket(path);
  // Before the bind, so that there is no moment in which others could connect.
  const mask = process.umask(0o177);
  try {
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen(path, () => {
        server.off("error", reject);
        resolve();
      });
    });
  } catch (cause) {
    throw new WeftError("unavailable", `the Workload API cannot listen on ${path}: ${WeftError.from(cause).message}`, {
      help: HELP,
      cause,
    });
  } finally {
    process.umask(mask);
  }
}

export function openToAll(path: string): void {
  chmodSync(path, 0o666);
}

/** A socket file outlives a process that was killed. One that nobody accepts on is removed; anything else stays. */
async function removeStaleSocket(path: string): Promise<void> {
  try {
    if (!lstatSync(path).isSocket()) throw new WeftError("unavailable", `${path} exists and is no socket`, { help: HELP });
    if (await accepts(path)) throw new WeftError("unavailable", `another process serves a Workload API on ${path}`, { help: HELP });
    unlinkSync(path);
  } catch (reason) {
    if (errnoOf(reason) !== "ENOENT")
      throw reason instanceof WeftError
        ? reason
        : new WeftError("unavailable", `${path}: ${WeftError.from(reason).message}`, { help: HELP });
  }
}

function accepts(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path);
    socket.once("connect", () => {
      socket.destroy();
      resolve(true);
    });
    socket.once("error", () => resolve(false));
  });
}
