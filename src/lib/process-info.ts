/** What the kernel says of a process: proc(5). Linux only. */
import { type BigIntStats, readFileSync, readlinkSync, statSync } from "node:fs";

/** A file's content, as far as it can be told without reading it. */
export interface FileIdentity {
  readonly device: bigint;
  readonly inode: bigint;
  readonly size: bigint;
  readonly modifiedNs: bigint;
  readonly changedNs: bigint;
}

export interface ProcessInfo {
  readonly pid: number;
  /** Clock ticks since boot: with the pid it names one process (but for a pid that is used anew within one tick). */
  readonly startTime: string;
  /** Effective. */
  readonly uid: number;
  readonly gid: number;
  /** Supplementary. */
  readonly groups: readonly number[];
  /** Of the file that runs, whatever its name is now. */
  readonly executable: FileIdentity;
  /**
   * Where that file stands, in this process's view of the file system; undefined where it stands nowhere: it was deleted or replaced, or lies in
   * a mount namespace of the process's own, where anybody may give a file any path.
   */
  readonly path?: string;
}

/** Field 22 of /proc/PID/stat, counted from field 3, the first after the name: the name may hold spaces and parentheses. */
const START_TIME = 22 - 3;
/** A zombie, or dead: nothing runs there any more. */
const GONE = new Set(["Z", "X", "x"]);

/** @throws Error (ENOENT, EACCES, ...) where the process is not there, is ending, or may not be looked at. */
export function readProcess(pid: number): ProcessInfo {
  const startTime = readStartTime(pid);
  const status = readFileSync(`/proc/${pid}/status`, "utf8");
  const numbers = (name: string) =>
    (new RegExp(`^${name}:(.*)$`, "m").exec(status)?.[1] ?? "").trim().split(/\s+/).filter(Boolean).map(Number);
  const [, uid] = numbers("Uid");
  const [, gid] = numbers("Gid");
  if (uid === undefined || gid === undefined) throw new Error(`/proc/${pid}/status names no user`);
  const link = `/proc/${pid}/exe`;
  const executable = identify(link);
  const path = readlinkSync(link);
  // The file may have been read of one process and the link of its successor: the start time holds both together.
  if (readStartTime(pid) !== startTime) throw new Error(`process ${pid} was replaced by another`);
  return { pid, startTime, uid, gid, groups: numbers("Groups"), executable, ...(isAt(path, executable) ? { path } : {}) };
}

function readStartTime(pid: number): string {
  const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  const [state = ""] = fields;
  const startTime = fields[START_TIME];
  if (startTime === undefined || GONE.has(state)) throw new Error(`process ${pid} has ended`);
  return startTime;
}

function identify(path: string): FileIdentity {
  return fileIdentity(statSync(path, { bigint: true }));
}

export function fileIdentity({ dev: device, ino: inode, size, mtimeNs: modifiedNs, ctimeNs: changedNs }: BigIntStats): FileIdentity {
  return { device, inode, size, modifiedNs, changedNs };
}

function isAt(path: string, { device, inode }: FileIdentity): boolean {
  try {
    const there = identify(path);
    return there.device === device && there.inode === inode;
  } catch {
    return false;
  }
}

/** Whether two looks met the same file. Its change time is not compared: deleting or replacing a file that runs changes that too. */
export function sameFile(one: FileIdentity, other: FileIdentity): boolean {
  return (["device", "inode", "size", "modifiedNs"] as const).every((part) => one[part] === other[part]);
}

/** Whether the process behind a pidfd is still there, ended or not: only then does its number still mean it. */
export function isUnreaped(pidfd: number): boolean {
  try {
    return /^Pid:\s*[1-9]/m.test(readFileSync(`/proc/self/fdinfo/${pidfd}`, "utf8"));
  } catch {
    return false;
  }
}
