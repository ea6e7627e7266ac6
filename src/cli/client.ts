/** The admin API as the verbs use it: over the data directory's socket, or over TCP with a token. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { type ErrorCode, errnoOf, WeftError } from "../lib/errors.ts";
import { formatProblem, type Problem } from "../lib/problem.ts";
import { ServerTrust, type TlsFlags, tlsFlags } from "./client-tls.ts";
import { readSettings } from "./config.ts";
import type { CliIo } from "./io.ts";
import { UsageError } from "./verb.ts";

export interface ConnectFlags extends TlsFlags {
  readonly data?: string;
  readonly server?: string;
  readonly token?: string;
}

const text = (input: string) => input;

/** The flags of every verb that talks to a weft. */
export const connectFlags = {
  data: { kind: "parsed", parse: text, optional: true, brief: "Data directory of the weft to talk to [$WEFT_DATA]", placeholder: "DIR" },
  server: { kind: "parsed", parse: text, optional: true, brief: "Talk to the admin API at this URL instead", placeholder: "URL" },
  token: {
    kind: "parsed",
    parse: text,
    optional: true,
    brief: "Token for --server: weft token or weft access create prints one [$WEFT_TOKEN]",
    placeholder: "TOKEN",
  },
  ...tlsFlags,
} as const;

const CODES: readonly ErrorCode[] = [
  "invalid",
  "not_found",
  "conflict",
  "unauthenticated",
  "forbidden",
  "too_large",
  "rate_limited",
  "unavailable",
  "internal",
];
/** Reads answer from memory or one query: what takes longer does not work. */
const READ_LIMIT_MS = 10_000;
/** A large apply over a slow disk takes a while; nothing takes this long. */
export const WRITE_LIMIT_MS = 60_000;

const LATE =
  "something listens there, but does not answer: look at weft's log, whether its process is stopped (state T in ps), and whether its machine lacks " +
  "processor, memory or a disk that works";

export interface CallOptions {
  readonly method?: "GET" | "POST" | "PUT" | "DELETE";
  readonly body?: FormData | string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly query?: Readonly<Record<string, string | undefined>>;
  /** How long the answer may take, milliseconds; that of a read where absent. */
  readonly limitMs?: number;
}

export interface AdminClient {
  /** For messages: the socket's path or the URL. */
  readonly target: string;
  /** Where proxies on this machine reach that weft's ADS, over TLS: the host of an https server, and undefined elsewhere. */
  readonly adsHost?: string;
  /** By which an https server is known; undefined elsewhere. */
  readonly trust?: ServerTrust;
  /** @throws WeftError with the server's code, help and problems; "unavailable" where there is no weft. */
  call<T>(path: string, options?: CallOptions): Promise<T>;
}

export async function connect(io: CliIo, flags: ConnectFlags): Promise<AdminClient> {
  if (flags.server === undefined) {
    if ([flags.ca, flags.caFingerprint, flags.cert, flags.key].some((flag) => flag !== undefined)) {
      throw new UsageError("--ca, --ca-fingerprint, --cert and --key go with --server https://...");
    }
    if (flags.token !== undefined) throw new UsageError("--token goes with --server", "the Unix socket in --data needs no token");
    const data = await dataDirectory(io, flags.data);
    const socket = join(data, "admin.sock");
    const help = `is weft running on this data directory? start it with: weft run --data ${data} (or name another with --data)`;
    return client(io, socket, (path, init) => fetch(`http://weft${path}`, { ...init, unix: socket }), {}, help);
  }
  const server = serverUrl(flags.server);
  const token = flags.token ?? io.env.WEFT_TOKEN ?? (await ownToken(io, flags.data, server));
  const trust = server.protocol === "https:" ? new ServerTrust(flags, io.env, server, io.clock) : undefined;
  const headers: Record<string, string> = token ? { authorization: `Bearer ${token}` } : {};
  // No proxy of $HTTP_PROXY's: it would see the token, and in a mesh it is often the sidecar itself.
  const help = "is weft running there, and is this its --admin address?";
  return client(
    io,
    server.origin,
    async (path, init) => {
      const tls = trust ? { tls: await trust.tls(), keepalive: false } : {};
      return fetch(`${server.origin}${path}`, { ...init, ...tls, redirect: "error", proxy: false });
    },
    headers,
    help,
    trust,
  );
}

/** Flag, $WEFT_DATA, the configuration file, or the default. */
export async function dataDirectory(io: CliIo, flag: string | undefined): Promise<string> {
  try {
    return (await readSettings(flag === undefined ? {} : { data: flag }, undefined, io)).data;
  } catch (reason) {
    const error = WeftError.from(reason);
    throw new UsageError([...error.problems.map(formatProblem), error.message].join("\n"), "or name the data directory with --data");
  }
}

function serverUrl(server: string): URL {
  const url = URL.parse(server.includes("://") ? server : `http://${server}`);
  if (!url || !/^https?:$/.test(url.protocol))
    throw new UsageError(`--server must be a URL such as http://127.0.0.1:15014, not "${server}"`);
  return url;
}

/** The token of the weft in the data directory, but only where `server` is that weft: a token goes to nobody else. */
async function ownToken(io: CliIo, flag: string | undefined, server: URL): Promise<string | undefined> {
  try {
    const data = await dataDirectory(io, flag);
    const listening: unknown = JSON.parse(await readFile(join(data, "listening.json"), "utf8"));
    const admin = typeof listening === "object" && listening && "admin" in listening ? listening.admin : undefined;
    return admin === server.host ? (await readFile(join(data, "admin.token"), "utf8")).trim() : undefined;
  } catch {
    return undefined; // no weft here: the server will say that a token is needed
  }
}

type Fetch = (path: string, init: RequestInit) => Promise<Response>;

function client(
  io: CliIo,
  target: string,
  send: Fetch,
  common: Readonly<Record<string, string>>,
  help: string,
  trust?: ServerTrust,
): AdminClient {
  return {
    target,
    ...(trust ? { trust, adsHost: new URL(target).hostname } : {}),
    async call<T>(path: string, { method = "GET", body, headers, query = {}, limitMs = READ_LIMIT_MS }: CallOptions = {}): Promise<T> {
      const pairs = Object.entries(query).filter((pair): pair is [string, string] => pair[1] !== undefined);
      const search = pairs.length > 0 ? `?${new URLSearchParams(pairs)}` : "";
      const abort = new AbortController();
      const cancel = io.clock.after(limitMs, () => abort.abort());
      try {
        const init: RequestInit = { method, headers: { accept: "application/json", ...common, ...headers }, signal: abort.signal };
        const response = await send(path + search, body === undefined ? init : { ...init, body });
        const answer = await response.text();
        // Probes answer 503 with a body of their own kind.
        if (response.ok || (response.status === 503 && isJson(response))) return parseAnswer(answer, target) as T;
        throw errorFrom(response, answer, target);
      } catch (reason) {
        if (reason instanceof WeftError || reason instanceof UsageError) throw reason;
        const late = abort.signal.aborted;
        const why = late ? `no answer within ${limitMs / 1000} s` : causeOf(reason);
        throw new WeftError("unavailable", `Cannot talk to weft at ${target}: ${why}`, { help: late ? LATE : help, cause: reason });
      } finally {
        cancel();
      }
    },
  };
}

/** Bun's own words guess at typos in URLs. */
function causeOf(reason: unknown): string {
  switch (errnoOf(reason)) {
    case "ENOENT":
      return "there is no such socket";
    case "ECONNREFUSED":
    case "ConnectionRefused":
    case "FailedToOpenSocket":
      return "nothing listens there";
    case "EACCES":
    case "EPERM":
      return "this user may not open it: call as the user who runs weft";
    default:
      return WeftError.from(reason).message;
  }
}

const isJson = (response: Response) => /^application\/json\b/.test(response.headers.get("content-type") ?? "");

function parseAnswer(answer: string, target: string): unknown {
  try {
    return JSON.parse(answer);
  } catch (cause) {
    throw new WeftError("unavailable", `What answers at ${target} is no weft: its answer is not JSON`, { cause });
  }
}

/** Problem details as the error that they were; anything else as what its status says. */
function errorFrom(response: Response, answer: string, target: string): WeftError {
  let details: { code?: string; detail?: string; help?: string; problems?: Problem[] } = {};
  if (response.headers.get("content-type")?.startsWith("application/problem+json")) details = JSON.parse(answer);
  const code = CODES.find((known) => known === details.code) ?? (response.status === 413 ? "too_large" : "unavailable");
  const message = details.detail ?? `${target} answered ${response.status} ${response.statusText}`;
  return new WeftError(code, message, { help: details.help, problems: details.problems ?? [] });
}
