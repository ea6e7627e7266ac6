/** Settings of `weft run`: flags before WEFT_* variables before the configuration file before defaults. */
import { readFile } from "node:fs/promises";
import { isMap, isScalar, LineCounter, parseDocument } from "yaml";
import { errnoOf, WeftError } from "../lib/errors.ts";
import type { Problem } from "../lib/problem.ts";
import { parseAllowedPeers } from "../lib/public-address.ts";
import { nearest } from "../model/suggest.ts";
import { BUNDLE_VARIABLES, type BundleSettings, readBundleSettings } from "./bundle-settings.ts";
import { CA_VARIABLES, type CaRunSettings, readCaSettings } from "./ca-settings.ts";
import { CLUSTER_VARIABLES, type ClusterSettings, readClusterSettings } from "./cluster-settings.ts";
import { DOOR_VARIABLES, type DoorSettings, readDoorSettings } from "./door-settings.ts";
import { IN_MESH_VARIABLES, type InMeshSettings, readInMesh } from "./in-mesh-settings.ts";
import { PRESENCE_VARIABLES, type PresenceSettings, readPresenceSettings } from "./presence-settings.ts";

export interface HostPort {
  /** Name or address; IPv6 without brackets. */
  readonly host: string;
  /** 0: the system chooses. */
  readonly port: number;
}

export const LOG_LEVELS = ["trace", "debug", "info", "warning", "error", "fatal"] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

export interface RunSettings extends CaRunSettings, ClusterSettings, DoorSettings, BundleSettings, InMeshSettings, PresenceSettings {
  readonly data: string;
  readonly ads: HostPort;
  readonly admin: HostPort;
  readonly trustDomain: string;
  readonly store: string;
  readonly logLevel: LogLevel;
  /** Names besides loopback's under which the admin API is reached. */
  readonly adminHosts: readonly string[];
  /** Addresses, ranges and host names that are not public, from which keys for tokens (jwksUri) may be fetched all the same. */
  readonly jwksAllow: readonly string[];
  /** Whether a database that belongs to another store, or to a log that was lost, is gone on with. */
  readonly carryOver: boolean;
  /** Path of the SPIFFE Workload API's socket; "" for DATA/workload.sock, "off" for none. */
  readonly workloadApi: string;
}

/** The settings as text, from a flag, a variable or the file; the file's keys are these. */
export type RawSettings = { readonly [Key in keyof RunSettings]?: string };

export const CONFIG_FILE = "/etc/weft/weft.yaml";

/** Variable of each setting. */
export const VARIABLES: Readonly<Record<keyof RunSettings, string>> = {
  data: "WEFT_DATA",
  ads: "WEFT_ADS",
  admin: "WEFT_ADMIN",
  trustDomain: "WEFT_TRUST_DOMAIN",
  store: "WEFT_STORE",
  carryOver: "WEFT_CARRY_OVER",
  logLevel: "WEFT_LOG",
  adminHosts: "WEFT_ADMIN_HOSTS",
  jwksAllow: "WEFT_JWKS_ALLOW",
  workloadApi: "WEFT_WORKLOAD_API",
  ...CA_VARIABLES,
  ...CLUSTER_VARIABLES,
  ...DOOR_VARIABLES,
  ...BUNDLE_VARIABLES,
  ...IN_MESH_VARIABLES,
  ...PRESENCE_VARIABLES,
};

const KEYS = Object.keys(VARIABLES) as (keyof RunSettings)[];

export interface Surroundings {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly uid: number | undefined;
}

/**
 * @param file The configuration file that was asked for; without it /etc/weft/weft.yaml, where there is one.
 * @throws WeftError "invalid" with the place of each problem, "unavailable" where the file cannot be read.
 */
export async function readSettings(flags: RawSettings, file: string | undefined, { env, uid }: Surroundings): Promise<RunSettings> {
  const asked = file ?? (env.WEFT_CONFIG || undefined);
  const path = asked ?? CONFIG_FILE;
  const text = await readConfig(path, asked !== undefined);
  const fromFile: Partial<Record<keyof RunSettings, Placed>> = text === undefined ? {} : parseConfig(text, path);
  const problems: Problem[] = [];

  const pick = <T>(key: keyof RunSettings, fallback: string, read: (text: string) => T | undefined, expected: string): T => {
    const variable = env[VARIABLES[key]] || undefined;
    const placed = fromFile[key];
    const [value, place] =
      flags[key] !== undefined ? [flags[key], flagOf(key)] : variable ? [variable, VARIABLES[key]] : [placed?.text ?? fallback];
    const result = read(value);
    if (result !== undefined) return result;
    const message = `${place ?? key} must be ${expected}, not "${value}"`;
    if (place !== undefined || !placed) throw new WeftError("invalid", message);
    problems.push({ code: "WF0201", severity: "error", message, file: path, line: placed.line, column: placed.column });
    return read(fallback) as T;
  };
  const text1 = (value: string) => value || undefined;
  const doors = readDoorSettings(pick, parseHostPort);
  const others = readClusterSettings(pick, parseHostPort);
  const settings: RunSettings = {
    data: pick("data", uid === 0 ? "/var/lib/weft" : "./weft-data", text1, "a directory"),
    ads: pick("ads", "127.0.0.1:15010", parseHostPort, "ADDRESS:PORT"),
    admin: pick("admin", "127.0.0.1:15014", parseHostPort, "ADDRESS:PORT"),
    // A trust domain as SPIFFE-ID, 2.1 has it: lower-case letters, digits, dots, dashes and underscores.
    trustDomain: pick(
      "trustDomain",
      "mesh.local",
      (value) => (/^[a-z0-9._-]{1,255}$/.test(value) ? value : undefined),
      "a trust domain such as mesh.local",
    ),
    store: pick("store", "sqlite", text1, "a store"),
    carryOver: pick("carryOver", "no", (value) => (value === "yes" ? true : value === "no" ? false : undefined), "yes or no"),
    logLevel: pick("logLevel", "info", parseLevel, `one of ${LOG_LEVELS.join(", ")}`),
    adminHosts: pick("adminHosts", "", listOf, "host names"),
    jwksAllow: pick(
      "jwksAllow",
      "",
      (value) => (parseAllowedPeers(listOf(value)) ? listOf(value) : undefined),
      "addresses, ranges of them or host names, such as 10.0.0.0/8,keys.internal",
    ),
    workloadApi: pick("workloadApi", "", (value) => (value === "off" || /^$|\//.test(value) ? value : undefined), "a path, or off"),
    ...readCaSettings(pick, env),
    ...others,
    ...doors,
    ...readInMesh(pick, parseHostPort, [parseHostPort(others.clusterAddress) ?? null, others.cluster, doors.adminTls, doors.adsTls]),
    ...readBundleSettings(pick, parseHostPort),
    ...readPresenceSettings(pick),
  };
  if (problems.length > 0) throw new WeftError("invalid", `${path} is wrong`, { problems });
  return settings;
}

const listOf = (text: string) =>
  text
    .split(",")
    .map((one) => one.trim())
    .filter(Boolean);

/** What may be a list in the file, and what stands between its items in the text. */
const LISTS: ReadonlyMap<string, string> = new Map([
  ["adminHosts", ","],
  ["jwksAllow", ","],
  ["adminPrincipals", ";"],
]);

const flagOf = (key: string) => `--${key === "logLevel" ? "log-level" : key.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;

function parseLevel(text: string): LogLevel | undefined {
  const level = text.toLowerCase() === "warn" ? "warning" : text.toLowerCase();
  return LOG_LEVELS.find((known) => known === level);
}

/** "127.0.0.1:15010", "[::1]:0", "localhost:8080", ":15010" (loopback). */
export function parseHostPort(text: string): HostPort | undefined {
  const [, host = "", port = ""] = /^(\[[0-9a-fA-F:.]+\]|[^:\s/[\]]*):(\d{1,5})$/.exec(text) ?? [];
  if (port === "" || Number(port) > 65_535) return undefined;
  return { host: host.replace(/^\[|\]$/g, "") || "127.0.0.1", port: Number(port) };
}

async function readConfig(path: string, mustExist: boolean): Promise<string | undefined> {
  try {
    return await readFile(path, "utf8");
  } catch (cause) {
    if (!mustExist && (errnoOf(cause) === "ENOENT" || errnoOf(cause) === "EACCES")) return undefined;
    throw new WeftError("unavailable", `The configuration file ${path} cannot be read: ${WeftError.from(cause).message}`, { cause });
  }
}

interface Placed {
  readonly text: string;
  readonly line: number;
  readonly column: number;
}

/** @throws WeftError "invalid" with all problems: syntax, unknown keys, values that are no text, number or list of them. */
export function parseConfig(text: string, file: string): Partial<Record<keyof RunSettings, Placed>> {
  const lineCounter = new LineCounter();
  const document = parseDocument(text, { lineCounter, uniqueKeys: true });
  const problems: Problem[] = [];
  const complain = (offset: number, message: string, help?: string) => {
    const { line, col } = lineCounter.linePos(offset);
    problems.push({ code: "WF0101", severity: "error", message, file, line, column: col, ...(help ? { help } : {}) });
  };
  for (const error of document.errors) complain(error.pos[0], error.message.split("\n")[0] ?? "");
  const found: Partial<Record<keyof RunSettings, Placed>> = {};
  const root = document.contents;
  if (isMap(root) && problems.length === 0) {
    for (const { key, value } of root.items) {
      const name = isScalar(key) ? String(key.value) : "";
      const offset = isScalar(key) ? (key.range?.[0] ?? 0) : 0;
      const known = KEYS.find((one) => one === name);
      if (!known) {
        const guess = nearest(name, KEYS);
        complain(offset, `"${name}" is no setting${guess ? `: did you mean "${guess}"?` : ""}`, `known: ${KEYS.join(", ")}`);
        continue;
      }
      const plain: unknown = (value as { toJSON?: () => unknown } | null)?.toJSON?.() ?? null;
      const shown = Array.isArray(plain) && LISTS.has(known) ? plain.join(LISTS.get(known)) : plain;
      if (typeof shown === "string" || typeof shown === "number") {
        const at = lineCounter.linePos((value as { range?: readonly number[] }).range?.[0] ?? offset);
        found[known] = { text: String(shown), line: at.line, column: at.col };
      } else complain(offset, `"${name}" must be ${LISTS.has(known) ? "a list of names" : "a text"}`);
    }
  } else if (root !== null && problems.length === 0) complain(0, "The configuration must be a mapping of settings to values");
  if (problems.length > 0) throw new WeftError("invalid", `${file} is wrong`, { problems });
  return found;
}
