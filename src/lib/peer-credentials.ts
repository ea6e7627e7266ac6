/**
 * Who is at the other end of a Unix socket, by the kernel's word (SO_PEERCRED, unix(7)): what the peer was when it connected. Linux only.
 * The descriptor of a socket is not in Node's public interface: where a Bun to come hides it, nobody is believed.
 */
import { dlopen, ptr } from "bun:ffi";
import { readFileSync } from "node:fs";
import type { Socket } from "node:net";

export interface PeerCredentials {
  readonly pid: number;
  readonly uid: number;
  readonly gid: number;
}

/** asm-generic/socket.h; the same on every architecture that Bun runs on. */
const SOL_SOCKET = 1;
const SO_PEERCRED = 17;
/** Since Linux 6.5. */
const SO_PEERPIDFD = 77;
/** struct ucred: pid_t, uid_t, gid_t. */
const UCRED_BYTES = 12;
/** What the kernel says of a peer whose user has no number here: another user namespace's (user_namespaces(7)). */
const OVERFLOW_UID = 65_534;
const NO_ID = 0xffff_ffff;

type Getsockopt = (fd: number, level: number, name: number, value: unknown, length: unknown) => number;

let getsockopt: Getsockopt | undefined | null;

/** musl and glibc; undefined where there is neither. */
function load(): Getsockopt | undefined {
  if (getsockopt !== undefined) return getsockopt ?? undefined;
  getsockopt = null;
  if (process.platform !== "linux") return undefined;
  for (const name of ["libc.so.6", "libc.so"]) {
    try {
      const library = dlopen(name, { getsockopt: { args: ["i32", "i32", "i32", "ptr", "ptr"], returns: "i32" } });
      getsockopt = library.symbols.getsockopt as Getsockopt;
      return getsockopt;
    } catch {
      // Tried under its other name next; where none is there, there are no credentials.
    }
  }
  return undefined;
}

/** Of the peer of an accepted connection; undefined where the kernel does not say, and then nobody may be believed. */
export function peerCredentials(socket: Socket): PeerCredentials | undefined {
  const value = ask(socket, SO_PEERCRED, UCRED_BYTES);
  if (!value) return undefined;
  // In the byte order of this machine, as the kernel wrote it.
  const [pid = 0, uid = NO_ID, gid = NO_ID] = new Uint32Array(value.buffer);
  // A socket pair of the kernel's own, or a peer in a pid namespace that is not seen from here, has pid 0.
  if (pid === 0 || uid === NO_ID || gid === NO_ID || (uid === OVERFLOW_UID && !isFirstUserNamespace())) return undefined;
  return { pid, uid, gid };
}

/**
 * A descriptor of the peer's process (pidfd_open(2)), for the caller to close: it goes on meaning that process when the number of the process
 * is given to another. Undefined where the kernel is older than 6.5, or the process has been reaped.
 */
export function peerPidfd(socket: Socket): number | undefined {
  const value = ask(socket, SO_PEERPIDFD, Int32Array.BYTES_PER_ELEMENT);
  const [fd = -1] = value ? new Int32Array(value.buffer) : [];
  return fd < 0 ? undefined : fd;
}

/** The value of a socket option of exactly `bytes`; undefined where it cannot be had. */
function ask(socket: Socket, option: number, bytes: number): Uint8Array<ArrayBuffer> | undefined {
  const call = load();
  const { _handle: handle } = socket as Socket & { readonly _handle?: { readonly fd?: unknown } | null };
  const fd = handle?.fd;
  if (!call || typeof fd !== "number" || fd < 0) return undefined;
  const value = new Uint8Array(bytes);
  const length = new Uint32Array([bytes]);
  return call(fd, SOL_SOCKET, option, ptr(value), ptr(length)) === 0 && length[0] === bytes ? value : undefined;
}

/** There every user has a number, and 65534 is one like others ("nobody"); elsewhere it may be anybody. */
function isFirstUserNamespace(): boolean {
  try {
    return /^\s*0\s+0\s+4294967295\s*$/.test(readFileSync("/proc/self/uid_map", "utf8"));
  } catch {
    return false;
  }
}
