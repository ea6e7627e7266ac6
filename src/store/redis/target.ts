/** Which Redis, and as whom: the words of --store. */
import { WeftError } from "../../lib/errors.ts";
import { PASSWORD_VARIABLE, readPassword, readStoreFile } from "../shared/secret-files.ts";

/** Where to connect to. Files are read again for each connection, so that a renewed certificate or password is taken up. */
export interface Target {
  /** For people, without user and password: "redis://10.0.0.1:6379/0?prefix=weft". */
  readonly name: string;
  readonly host: string;
  readonly port: number;
  readonly database: number;
  /** What all keys begin with, as Redis Cluster's hash tag: "{weft}:". */
  readonly keys: string;
  readonly tls: boolean;
  credentials(): Credentials;
}

export interface Credentials {
  readonly user?: string;
  readonly password?: string;
  /** PEM. */
  readonly ca?: string;
  readonly cert?: string;
  readonly key?: string;
}

const HELP =
  "write redis://[USER[:PASSWORD]@]HOST[:PORT][/DATABASE][?prefix=NAME&password-file=PATH], or rediss:// for TLS, with ca=, cert= and key= as paths of PEM files";

const PARAMETERS = ["prefix", "password-file", "ca", "cert", "key"];

/** @throws WeftError "invalid", which never repeats the URL: it may hold a password */
export function parseTarget(text: string, environment: Readonly<Record<string, string | undefined>>): Target {
  const url = urlOf(text);
  const tls = url.protocol === "rediss:";
  const database = url.pathname.replace(/^\//, "");
  if (!/^\d{0,4}$/.test(database)) throw invalid("what stands after its / is the number of a database");
  for (const name of url.searchParams.keys()) {
    if (!PARAMETERS.includes(name)) throw invalid(`it has no parameter "${name}"`);
    if (url.searchParams.getAll(name).length > 1) throw invalid(`"${name}" stands in it twice`);
  }
  const files = Object.fromEntries(["ca", "cert", "key"].flatMap((name) => pair(name, url.searchParams.get(name))));
  if (!tls && Object.keys(files).length > 0) throw invalid("ca, cert and key are for rediss://");
  if ((files.cert === undefined) !== (files.key === undefined)) throw invalid("cert and key go together");
  const passwordFile = url.searchParams.get("password-file");
  if (passwordFile !== null && url.password !== "") throw invalid("the password stands in it and in password-file");
  const prefix = url.searchParams.get("prefix") ?? "weft";
  if (!/^[\w.:-]{1,64}$/.test(prefix)) throw invalid("prefix is 1 to 64 letters, digits and any of . : - _");
  const port = Number(url.port || 6379);
  const user = decode(url.username);
  const inUrl = decode(url.password);
  const target: Target = {
    name: `${url.protocol}//${url.hostname}:${port}/${Number(database)}?prefix=${prefix}`,
    host: url.hostname,
    port,
    database: Number(database),
    keys: `{${prefix}}:`,
    tls,
    credentials() {
      const secret = inUrl || (passwordFile === null ? (environment[PASSWORD_VARIABLE] ?? "") : readPassword(passwordFile));
      return {
        ...(user === "" ? {} : { user }),
        ...(secret === "" ? {} : { password: secret }),
        ...Object.fromEntries(Object.entries(files).map(([name, path]) => [name, readStoreFile(path)])),
      };
    },
  };
  // A path that is wrong is told at start.
  target.credentials();
  return target;
}

function urlOf(text: string): URL {
  let url: URL;
  try {
    url = new URL(text);
  } catch {
    throw invalid("it is no URL (in a password, write @ as %40, / as %2F, # as %23, % as %25)");
  }
  if (!["redis:", "rediss:"].includes(url.protocol)) throw invalid("it begins with neither redis:// nor rediss://");
  if (url.hostname === "") throw invalid("it names no host");
  if (url.hash !== "") throw invalid("it has a # (in a password, write %23)");
  return url;
}

const pair = (name: string, value: string | null): [string, string][] => (value === null ? [] : [[name, value]]);

function decode(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    throw invalid("user or password has a % that stands for nothing (write %25)");
  }
}

const invalid = (why: string) => new WeftError("invalid", `the URL of --store for Redis: ${why}`, { help: HELP });
