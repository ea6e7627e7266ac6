/**
 * Logs go to stderr: text where a person reads it, else one JSON object a line. Secrets are taken out on the way, so that no caller can
 * forget to.
 */
import { configureSync, getLogger, isLogLevel, type Logger, type LogLevel, type LogRecord } from "@logtape/logtape";

import { WeftError } from "../lib/errors.ts";
import { formatProblem } from "../lib/problem.ts";

export type { Logger, LogLevel } from "@logtape/logtape";

/** A level as users write it ("warn" and any case too), or undefined. */
export function parseLogLevel(text: string): LogLevel | undefined {
  const level = text.toLowerCase() === "warn" ? "warning" : text.toLowerCase();
  return isLogLevel(level) ? level : undefined;
}

const HIDDEN = "[redacted]";
const SECRET_NAME = /token|secret|password|passwd|authorization|cookie|private_?key|api_?key/i;
/** What a secret looks like inside a longer text: PEM keys (also with escaped line ends), JWTs, weft's admin tokens, bearer headers. */
const SECRET_TEXT: readonly (readonly [RegExp, string])[] = [
  [/-----BEGIN ([A-Z ]*)PRIVATE KEY-----[\s\S]*?(?:-----END \1PRIVATE KEY-----|$)/g, HIDDEN],
  [/\beyJ[\w-]+\.[\w-]+\.[\w-]*/g, HIDDEN],
  [/\bweft_[a-z]+_[\w-]{16,}/g, HIDDEN],
  [/\b(bearer)\s+[^\s"',]+/gi, `$1 ${HIDDEN}`],
];

/** `text` without private keys and tokens. */
export function redact(text: string): string {
  return SECRET_TEXT.reduce((clean, [pattern, replacement]) => clean.replace(pattern, replacement), text);
}

/** A logged value as plain JSON without secrets: errors become their name, message and causes; depth is limited. */
function plain(value: unknown, depth = 0): unknown {
  if (typeof value === "string") return redact(value);
  if (typeof value === "bigint") return value.toString();
  if (value === null || typeof value !== "object") return typeof value === "function" ? "[function]" : value;
  if (depth > 4) return "[deep]";
  if (value instanceof Uint8Array) return `[${value.byteLength} bytes]`;
  if (value instanceof Error) {
    const cause = value.cause === undefined ? {} : { cause: plain(value.cause, depth + 1) };
    const weft = value instanceof WeftError ? { code: value.code, help: value.help, problems: value.problems.map(formatProblem) } : {};
    return { name: value.name, message: redact(value.message), ...weft, ...cause };
  }
  if (Array.isArray(value)) return value.map((item) => plain(item, depth + 1));
  return Object.fromEntries(Object.entries(value).map(([name, item]) => [name, SECRET_NAME.test(name) ? HIDDEN : plain(item, depth + 1)]));
}

const asText = (value: unknown): string => {
  // In a sentence the error's own words suffice; pass it as a property too where its causes matter.
  const clean = value instanceof Error ? redact(value.message) : plain(value);
  return typeof clean === "string" ? clean : (JSON.stringify(clean) ?? String(clean));
};

function messageOf(record: LogRecord): string {
  return redact(record.message.map((part, index) => (index % 2 === 0 ? String(part) : asText(part))).join(""));
}

/** {"time","level","logger","message", ...properties}: a property never overwrites one of the first four. */
function jsonLine(record: LogRecord): string {
  const own = {
    time: new Date(record.timestamp).toISOString(),
    level: record.level,
    logger: record.category.join("."),
    message: messageOf(record),
  };
  return JSON.stringify({ ...own, ...(plain(record.properties) as Record<string, unknown>), ...own });
}

const LEVEL_COLOR: Readonly<Record<LogLevel, number>> = { trace: 90, debug: 90, info: 32, warning: 33, error: 31, fatal: 35 };

/** Proxies' words stand in the log too: they must neither steer the terminal nor look like further lines. */
const escaped = (character: string) =>
  JSON.stringify(character)
    .slice(1, -1)
    .replace(/[^ -~]/g, (one) => `\\u${one.charCodeAt(0).toString(16).padStart(4, "0")}`);

function textLine(record: LogRecord, color: boolean): string {
  const level = record.level.toUpperCase().padEnd(7);
  const shown = color ? `\x1b[${LEVEL_COLOR[record.level]}m${level}\x1b[0m` : level;
  const properties = Object.entries(plain(record.properties) as Record<string, unknown>)
    .map(([name, value]) => ` ${name}=${typeof value === "string" && !/[\s"=]/.test(value) ? value : JSON.stringify(value)}`)
    .join("");
  const text = `${record.category.slice(1).join(".")}: ${messageOf(record)}${properties}`;
  return `${new Date(record.timestamp).toISOString()} ${shown} ${text.replace(/[\p{Cc}\p{Bidi_Control}]/gu, escaped)}`;
}

export interface LogOptions {
  readonly level: LogLevel;
  /** Normally process.stderr. */
  readonly stream: { write(text: string): unknown; readonly isTTY?: boolean };
  /** Default: text when the stream is a terminal, else json. */
  readonly format?: "text" | "json";
  /** NO_COLOR is honoured: https://no-color.org */
  readonly env?: Readonly<Record<string, string | undefined>>;
}

/** Sets up all loggers; again at a reload, with the new level. */
export function configureLogging({ level, stream, format, env = {} }: LogOptions): void {
  const json = (format ?? (stream.isTTY ? "text" : "json")) === "json";
  const color = stream.isTTY === true && !env.NO_COLOR;
  const write = (record: LogRecord) => void stream.write(`${json ? jsonLine(record) : textLine(record, color)}\n`);
  configureSync({
    reset: true,
    sinks: { stderr: write },
    loggers: [
      { category: "weft", sinks: ["stderr"], lowestLevel: level },
      { category: ["logtape", "meta"], sinks: ["stderr"], lowestLevel: "warning" },
    ],
  });
}

/** The logger of one part of weft: `logger("ads")`. Say what the operator can do; pass data as properties. */
export function logger(...part: readonly string[]): Logger {
  return getLogger(["weft", ...part]);
}

/** Texts as they are, though they hold braces. */
export function plainLog(log: Logger): Readonly<Record<"info" | "warning" | "error", (message: string) => void>> {
  return {
    info: (message) => log.info("{message}", { message }),
    warning: (message) => log.warning("{message}", { message }),
    error: (message) => log.error("{message}", { message }),
  };
}
