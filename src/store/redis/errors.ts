/** What Redis and the way to it answer when they do not do what they were asked, as errors that name the mend. */
import { WeftError } from "../../lib/errors.ts";

/** The server answered with an error: what was asked was surely not done. */
export class Refused extends WeftError {
  /** "NOSCRIPT", "READONLY", ...; "ERR" where it is none of those that are known. */
  readonly word: string;

  constructor(where: string, said: string) {
    const word = wordOf(said);
    const { message, help } = MENDS[word] ?? { message: said, help: undefined };
    // Which command it was: the server alone knows.
    const detail = word === "NOPERM" ? ` (${said.replace(/^-?NOPERM /, "")})` : "";
    super("unavailable", `${where}: ${message}${detail}`, help === undefined ? {} : { help });
    this.name = "Refused";
    this.word = word;
  }
}

/** The connection ended, or the answer took too long. */
export class ConnectionLost extends WeftError {
  /** False where the command surely never left. */
  readonly sent: boolean;

  constructor(message: string, { sent, help, cause }: { readonly sent: boolean; readonly help?: string; readonly cause?: unknown }) {
    super("unavailable", message, { ...(help === undefined ? {} : { help }), cause });
    this.name = "ConnectionLost";
    this.sent = sent;
  }
}

interface Mend {
  readonly message: string;
  readonly help: string;
}

/** The words by which Redis begins its errors (its src/server.c, createSharedObjects), and what the operator can do. */
const MENDS: Readonly<Record<string, Mend>> = {
  LOADING: { message: "it is still loading its data", help: "wait until it has; weft tries again by itself" },
  READONLY: { message: "it is a replica, and takes no writes", help: "let --store name the master" },
  MISCONF: {
    message: "it cannot save to its disk, and so refuses writes (MISCONF)",
    help: "look into Redis's log, and give its disk space or its directory the right owner",
  },
  OOM: { message: "its memory is full (maxmemory)", help: "raise maxmemory, or remove what else is in it" },
  NOAUTH: { message: "it asks for a password, and none was given", help: "give one as docs/stores.md says" },
  WRONGPASS: { message: "user or password is wrong", help: "look at the user's password in Redis (ACL LIST) and in --store" },
  NOPERM: { message: "its ACL does not let this user do that", help: "give the user the rights that docs/stores.md lists" },
  NOREPLICAS: {
    message: "too few of its replicas are in touch (min-replicas-to-write), so it refuses writes",
    help: "bring the replicas back; a master that was cut off stays like this, and weft waits for the right one",
  },
  MASTERDOWN: { message: "it is a replica that has lost its master", help: "let --store name the master" },
  BUSY: { message: "it is busy with somebody's script", help: "wait, or end that script with SCRIPT KILL" },
  MOVED: { message: "it is a Redis Cluster of several shards, which weft does not support", help: "use one master, with replicas" },
  CROSSSLOT: { message: "it is a Redis Cluster of several shards, which weft does not support", help: "use one master, with replicas" },
  CLUSTERDOWN: { message: "it is a Redis Cluster that is down", help: "use one master, with replicas" },
  DENIED: {
    message: "it is in protected mode, and takes connections from its own host only",
    help: "give it a password or an ACL user, then turn protected-mode off",
  },
};

/** Redis 6 wraps what a script's command answered into an error of its own, so the word may stand anywhere. */
function wordOf(said: string): string {
  const first = /^-?([A-Z]+)\b/.exec(said)?.[1];
  if (first !== undefined && first !== "ERR") return first;
  return Object.keys(MENDS).find((word) => said.includes(`-${word} `)) ?? "ERR";
}
