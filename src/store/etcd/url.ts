/**
 * Where an etcd is and how weft proves itself to it:
 * `etcd[s]://[USER[:PASSWORD]@]HOST[:PORT][,HOST[:PORT]...][/PREFIX][?ca=FILE&cert=FILE&key=FILE&password-file=FILE]`.
 */
import { WeftError } from "../../lib/errors.ts";
import { PASSWORD_VARIABLE } from "../shared/secret-files.ts";

export interface EtcdAddress {
  /** "10.0.0.1:2379", "[::1]:2379": of each member. */
  readonly members: readonly string[];
  /** All keys of weft's begin with it and a slash; it begins with a slash and ends with none. */
  readonly prefix: string;
  readonly tls: boolean;
  /** Paths of PEM files. */
  readonly caFile?: string;
  readonly certificateFile?: string;
  readonly keyFile?: string;
  readonly user?: string;
  readonly password?: string;
  readonly passwordFile?: string;
  /** For people, without credentials: SharedLog.name. */
  readonly name: string;
}

const DEFAULT_PORT = 2379;
const DEFAULT_PREFIX = "/weft";
const FORM = "etcd://HOST:2379,HOST:2379/PREFIX, or etcds:// for TLS";
const PARAMETERS = ["ca", "cert", "key", "password-file"];

/** @throws WeftError "invalid": what is wrong, without repeating the URL, which may hold a password */
export function parseEtcdUrl(url: string, environment: Readonly<Record<string, string | undefined>>): EtcdAddress {
  const parts = /^(etcds?):\/\/(?:([^/?#]*)@)?([^@/?#]*)(\/[^?#]*)?(?:\?([^#]*))?$/.exec(url);
  const [, scheme, userinfo, hosts = "", path = "", query = ""] = parts ?? [];
  if (scheme === undefined) throw new WeftError("invalid", `--store: this is no address of an etcd; write ${FORM}`);
  const tls = scheme === "etcds";
  const members = hosts.split(",").map(memberOf);
  const prefix = prefixOf(path);
  return {
    members,
    prefix,
    tls,
    ...tlsFiles(new URLSearchParams(query), tls),
    ...credentials(userinfo, new URLSearchParams(query).get("password-file") ?? undefined, environment),
    name: `${scheme}://${members.join(",")}${prefix}`,
  };
}

function memberOf(text: string, index: number): string {
  const [, host, port] = /^(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+)(?::(\d{1,5}))?$/.exec(text.trim()) ?? [];
  if (host === undefined || Number(port ?? 1) < 1 || Number(port ?? 1) > 65_535) {
    // Not repeated: where a password has a slash in it that is not written as %2F, this is a part of it.
    throw new WeftError(
      "invalid",
      `--store: etcd member ${index + 1} is no HOST:PORT; write ${FORM}, and %-escape what a password has of @/?#%`,
    );
  }
  return `${host}:${port ?? DEFAULT_PORT}`;
}

function prefixOf(path: string): string {
  const prefix = decode(path).replace(/\/+$/, "");
  return prefix === "" ? DEFAULT_PREFIX : prefix;
}

function tlsFiles(query: URLSearchParams, tls: boolean): Pick<EtcdAddress, "caFile" | "certificateFile" | "keyFile"> {
  const unknown = [...query.keys()].find((name) => !PARAMETERS.includes(name));
  if (unknown !== undefined) {
    throw new WeftError("invalid", `--store: etcd has no parameter ${JSON.stringify(unknown)}; there are ${PARAMETERS.join(", ")}`);
  }
  const [caFile, certificateFile, keyFile] = ["ca", "cert", "key"].map((name) => query.get(name) || undefined);
  if (!tls && (caFile ?? certificateFile ?? keyFile) !== undefined) {
    throw new WeftError("invalid", "--store: ca, cert and key are for TLS: write etcds:// instead of etcd://");
  }
  if ((certificateFile === undefined) !== (keyFile === undefined)) {
    throw new WeftError("invalid", "--store: a client certificate needs both cert=FILE and key=FILE");
  }
  return { caFile, certificateFile, keyFile };
}

function credentials(
  userinfo: string | undefined,
  passwordFile: string | undefined,
  environment: Readonly<Record<string, string | undefined>>,
): Pick<EtcdAddress, "user" | "password" | "passwordFile"> {
  const [, user, inUrl] = /^([^:]*)(?::(.*))?$/s.exec(userinfo ?? "") ?? [];
  if (!user) {
    if (passwordFile !== undefined) throw new WeftError("invalid", "--store: password-file needs a user: etcd://USER@HOST:2379/...");
    return {};
  }
  if (inUrl !== undefined) return { user: decode(user), password: decode(inUrl) };
  if (passwordFile !== undefined) return { user: decode(user), passwordFile };
  const password = environment[PASSWORD_VARIABLE];
  if (password === undefined) {
    throw new WeftError(
      "invalid",
      `--store: the user ${decode(user)} needs a password: set ${PASSWORD_VARIABLE}, or add ?password-file=FILE`,
    );
  }
  return { user: decode(user), password };
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw new WeftError("invalid", "--store: a percent sign in the URL must begin an escape; write it as %25");
  }
}
