/** The settings of `weft run` that are about the CA: how long what it signs lives, and where an operator's files are. */
import { join } from "node:path";
import { parsePeriod } from "../lib/duration.ts";
import { WeftError } from "../lib/errors.ts";

/** Lifetimes in milliseconds; paths, "" where there is none. The CA holds the lifetimes to their bounds. */
export interface CaRunSettings {
  readonly svidLifetime: number;
  readonly jwtSvidLifetime: number;
  readonly caLifetime: number;
  readonly upstreamCertificate: string;
  readonly upstreamKey: string;
  readonly upstreamRoots: string;
  readonly keyEncryptionFile: string;
}

export const CA_VARIABLES: Readonly<Record<keyof CaRunSettings, string>> = {
  svidLifetime: "WEFT_SVID_LIFETIME",
  jwtSvidLifetime: "WEFT_JWT_SVID_LIFETIME",
  caLifetime: "WEFT_CA_LIFETIME",
  upstreamCertificate: "WEFT_UPSTREAM_CERTIFICATE",
  upstreamKey: "WEFT_UPSTREAM_KEY",
  upstreamRoots: "WEFT_UPSTREAM_ROOTS",
  keyEncryptionFile: "WEFT_KEY_ENCRYPTION_FILE",
};

type Pick = <T>(key: keyof CaRunSettings, fallback: string, read: (text: string) => T | undefined, expected: string) => T;

/** @throws WeftError "invalid" */
export function readCaSettings(pick: Pick, env: Readonly<Record<string, string | undefined>>): CaRunSettings {
  const duration = (key: keyof CaRunSettings, fallback: string) => pick(key, fallback, positive, "a duration such as 90m or 24h");
  const path = (key: keyof CaRunSettings) =>
    pick(key, "", (text) => fileOf(text, env.CREDENTIALS_DIRECTORY), "a file, or credential:NAME where systemd gives that credential");
  const settings: CaRunSettings = {
    svidLifetime: duration("svidLifetime", "1h"),
    jwtSvidLifetime: duration("jwtSvidLifetime", "5m"),
    caLifetime: duration("caLifetime", "24h"),
    upstreamCertificate: path("upstreamCertificate"),
    upstreamKey: path("upstreamKey"),
    upstreamRoots: path("upstreamRoots"),
    keyEncryptionFile: path("keyEncryptionFile"),
  };
  const { upstreamCertificate, upstreamKey, upstreamRoots } = settings;
  if ((upstreamCertificate === "") !== (upstreamKey === "") || (upstreamRoots !== "" && upstreamKey === "")) {
    throw new WeftError("invalid", "upstreamCertificate and upstreamKey go together", {
      help: "an upstream authority is an intermediate CA's certificate and its key: give both, or none",
    });
  }
  return settings;
}

/** "credential:NAME" is a file of systemd's LoadCredential=NAME:PATH. */
function fileOf(text: string, credentials: string | undefined): string | undefined {
  const [, name] = /^credential:(.*)$/.exec(text) ?? [];
  if (name === undefined) return text;
  return credentials && /^[\w.-]+$/.test(name) && !/^\.+$/.test(name) ? join(credentials, name) : undefined;
}

function positive(text: string): number | undefined {
  const milliseconds = parsePeriod(text);
  return milliseconds !== undefined && milliseconds > 0 ? milliseconds : undefined;
}

/** As the control plane takes them. */
export function caOf({ svidLifetime, jwtSvidLifetime, caLifetime, ...paths }: CaRunSettings) {
  const { upstreamCertificate: certificate, upstreamKey: key, upstreamRoots: roots, keyEncryptionFile } = paths;
  return {
    lifetimes: { x509SvidMs: svidLifetime, jwtSvidMs: jwtSvidLifetime, authorityMs: caLifetime },
    ...(certificate === "" ? {} : { upstream: { certificate, key, ...(roots === "" ? {} : { roots }) } }),
    ...(keyEncryptionFile === "" ? {} : { keyEncryptionFile }),
  };
}
