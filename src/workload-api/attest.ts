/**
 * Who is at the other end of a connection: the process that made it, by the kernel's word. What cannot be made sure is not believed: a process
 * that left, became another program or another user, or may not be looked at, is nobody.
 *
 * What the kernel tells is of the moment of the connection (uid, gid, pid, and on Linux 6.5 and later a descriptor of the process), what
 * /proc tells of now. The two are held together by the descriptor, which outlives the pid, and by the start time. A process that connects and
 * becomes another program of the same user before it is looked at for the first time is taken for that program: programs of one user are not
 * kept apart by the kernel either (ptrace(2)), which is why a registration by path should name the user too.
 */
import { closeSync } from "node:fs";
import type { Socket } from "node:net";
import { WeftError } from "../lib/errors.ts";
import { type PeerCredentials, peerCredentials, peerPidfd } from "../lib/peer-credentials.ts";
import { isUnreaped, type ProcessInfo, readProcess, sameFile } from "../lib/process-info.ts";

export interface Attestation {
  /** For the audit and logs: "uid 1001 (/usr/bin/billing)". */
  readonly who: string;
  /** The number of the user; undefined where the kernel does not say. */
  readonly uid?: number;
  /** The process as it was when it connected. @throws WeftError "forbidden" where it is not there any more, or was never made out */
  process(): ProcessInfo;
  /** Must be called when the connection has ended. */
  close(): void;
}

/** Looks at the process at once: the sooner after the connection, the less can have happened. */
export function attest(socket: Socket): Attestation {
  const credentials = peerCredentials(socket);
  if (!credentials) return nobody("the kernel does not say whose connection it is");
  const { uid } = credentials;
  const pidfd = peerPidfd(socket);
  let first: ProcessInfo;
  try {
    first = look(credentials, pidfd);
  } catch (reason) {
    closePidfd(pidfd);
    return { ...nobody(WeftError.from(reason).message), who: `uid ${uid}`, uid };
  }
  return {
    who: `uid ${uid} (${first.path ?? "a program that stands nowhere"})`,
    uid,
    process() {
      const now = look(credentials, pidfd);
      if (now.startTime !== first.startTime) throw refuse("it has ended, and its number is another's");
      // The path may be gone since: what runs is the same.
      if (!sameFile(now.executable, first.executable)) throw refuse("it has become another program since it connected");
      return first;
    },
    close: () => closePidfd(pidfd),
  };
}

function look({ pid, uid, gid }: PeerCredentials, pidfd: number | undefined): ProcessInfo {
  let found: ProcessInfo;
  try {
    found = readProcess(pid);
  } catch (reason) {
    throw refuse(`it has ended, or weft may not look at it (${WeftError.from(reason).message})`);
  }
  // After the reading: it was there before and after, so what was read is of it and of no successor.
  if (pidfd !== undefined && !isUnreaped(pidfd)) throw refuse("it has ended");
  if (found.uid !== uid || found.gid !== gid) throw refuse("it has changed its user or group since it connected");
  return found;
}

const refuse = (what: string) => new WeftError("forbidden", `the calling process has no identity: ${what}`);

function nobody(what: string): Attestation {
  return {
    who: "unknown",
    process() {
      throw what.startsWith("the calling process") ? new WeftError("forbidden", what) : refuse(what);
    },
    close() {},
  };
}

function closePidfd(pidfd: number | undefined): void {
  if (pidfd !== undefined) closeSync(pidfd);
}
