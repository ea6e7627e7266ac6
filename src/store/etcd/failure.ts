/** What a failed call to etcd means: whether it may have been done all the same, and what helps. */
import { Code, ConnectError } from "@connectrpc/connect";
import { WeftError } from "../../lib/errors.ts";
import { Unreachable } from "../shared/unreachable.ts";

/** "token": with a new token; "member": on another member, or later; "never": somebody has to do something first. */
type Cure = "token" | "member" | "never";

interface Meaning {
  /** Part of etcd's message: https://github.com/etcd-io/etcd/blob/main/api/v3rpc/rpctypes/error.go */
  readonly says: string;
  readonly cure: Cure;
  readonly help?: string;
}

/** Errors of etcd that are raised before a request is proposed to the cluster, or when it is applied and refused: nothing was done. */
const NOT_DONE: readonly Meaning[] = [
  { says: "invalid auth token", cure: "token" },
  { says: "revision of auth store is old", cure: "token" },
  { says: "user name is empty", cure: "token", help: "etcd asks who weft is: name a user in --store (docs/stores.md)" },
  { says: "invalid user ID or password", cure: "never", help: "etcd does not know that user and password: look at --store" },
  {
    says: "permission denied",
    cure: "never",
    help: "etcd lets this user not read and write weft's keys: grant its role readwrite on the prefix (docs/stores.md)",
  },
  {
    says: "database space exceeded",
    cure: "never",
    help: "etcd is full (alarm NOSPACE): compact its history, defragment each member, disarm the alarm, or raise --quota-backend-bytes (docs/stores.md)",
  },
  { says: "request is too large", cure: "never", help: "etcd's --max-request-bytes is below its default of 1.5 MiB: raise it" },
  { says: "too many operations in txn", cure: "never", help: "etcd's --max-txn-ops is below its default of 128: raise it" },
  { says: "corrupt cluster", cure: "never", help: "etcd has raised the alarm CORRUPT: restore the member that it names" },
  { says: "requested lease not found", cure: "never" },
  { says: "no leader", cure: "member" },
  { says: "not supported for learner", cure: "member" },
  { says: "too many requests", cure: "member" },
];

export class EtcdFailure extends Error {
  readonly cure: Cure;
  /** Whether the request may have been carried out, or may still be. */
  readonly maybeDone: boolean;
  /** Whether the connection itself is no good any more. */
  readonly broken: boolean;

  constructor(message: string, how: { cure: Cure; maybeDone: boolean; broken: boolean; cause?: unknown }) {
    super(message, { cause: how.cause });
    this.name = "EtcdFailure";
    this.cure = how.cure;
    this.maybeDone = how.maybeDone;
    this.broken = how.broken;
  }

  /** Nothing was sent, for there was no connection to send it on. */
  get notConnected(): boolean {
    return this.broken && !this.maybeDone;
  }

  /** For whoever called the log or the board. @param nowhere whether no other member can be reached either */
  unavailable(nowhere = false): WeftError {
    return nowhere ? new Unreachable(this.message, { cause: this }) : new WeftError("unavailable", this.message, { cause: this });
  }
}

/** Before anything was sent: a connection that could not be made. */
export function notConnected(member: string, reason: unknown): EtcdFailure {
  return new EtcdFailure(`etcd at ${member} cannot be reached: ${messageOf(reason)}`, {
    cure: "member",
    maybeDone: false,
    broken: true,
    cause: reason,
  });
}

/** No answer within the deadline, milliseconds; `silent` where nothing else came over the connection either. */
export function tooLate(member: string, deadlineMs: number, silent: boolean): EtcdFailure {
  return new EtcdFailure(`etcd at ${member} did not answer within ${Math.round(deadlineMs)} ms`, {
    cure: "member",
    maybeDone: true,
    broken: silent,
  });
}

/** What a call that was sent failed with. */
export function failureOf(member: string, reason: unknown): EtcdFailure {
  if (reason instanceof EtcdFailure) return reason;
  // A file of ours that cannot be read.
  if (reason instanceof WeftError)
    return new EtcdFailure(reason.message, { cure: "never", maybeDone: false, broken: false, cause: reason });
  const said = messageOf(reason);
  const known = NOT_DONE.find((meaning) => said.includes(meaning.says));
  if (known) {
    const message = known.help === undefined ? `etcd at ${member}: ${said}` : `${known.help} (${member} says: ${said})`;
    return new EtcdFailure(message, { cure: known.cure, maybeDone: false, broken: false, cause: reason });
  }
  // What etcd itself says came over a connection that works; the rest is the connection's.
  const broken = !said.startsWith("etcdserver:");
  return new EtcdFailure(`etcd at ${member}: ${said}`, { cure: "member", maybeDone: true, broken, cause: reason });
}

export function says(reason: unknown, text: string): boolean {
  return reason instanceof Error && (reason.message.includes(text) || says(reason.cause, text));
}

function messageOf(reason: unknown): string {
  if (reason instanceof ConnectError) return reason.rawMessage || Code[reason.code];
  return reason instanceof Error ? reason.message : String(reason);
}
