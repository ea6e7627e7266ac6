/** WeftErrors over Connect, and back. */
import type { IncomingHttpHeaders } from "node:http2";
import { Code, ConnectError } from "@connectrpc/connect";
import { type ErrorCode, WeftError } from "../lib/errors.ts";

/** With the names that Connect's protocol has for them. */
const CODES: Readonly<Record<ErrorCode, readonly [Code, string]>> = {
  invalid: [Code.InvalidArgument, "invalid_argument"],
  not_found: [Code.NotFound, "not_found"],
  conflict: [Code.AlreadyExists, "already_exists"],
  unauthenticated: [Code.Unauthenticated, "unauthenticated"],
  forbidden: [Code.PermissionDenied, "permission_denied"],
  too_large: [Code.OutOfRange, "out_of_range"],
  rate_limited: [Code.ResourceExhausted, "resource_exhausted"],
  unavailable: [Code.Unavailable, "unavailable"],
  internal: [Code.Internal, "internal"],
};

/** Percent-encoded: headers are ASCII. */
const HELP = "weft-help";

/** A defect's message stays here. */
export function toConnectError(reason: unknown): ConnectError {
  const { code, message, help } = WeftError.from(reason);
  if (code === "internal") return new ConnectError("internal error", Code.Internal, undefined, undefined, reason);
  return new ConnectError(message, CODES[code][0], help === undefined ? undefined : { [HELP]: encodeURIComponent(help) });
}

const answers = new WeakSet<WeftError>();

/** Whether the other side said so; else no answer came. */
export const isAnswer = (error: WeftError): boolean => answers.has(error);

/** What a unary call was refused with: Connect's "Error-Type", JSON. `peer` names who answered. */
export function fromAnswer(headers: IncomingHttpHeaders, bytes: Uint8Array, peer: string): WeftError {
  const { code: name, message } = parse(bytes);
  const found = (Object.keys(CODES) as ErrorCode[]).find((code) => CODES[code][1] === name) ?? "unavailable";
  // The other side's defect is not this one's.
  const code = found === "internal" ? "unavailable" : found;
  const help = headers[HELP];
  const error = new WeftError(code, `${peer}: ${message}`, typeof help === "string" ? { help: decoded(help) } : {});
  answers.add(error);
  return error;
}

function parse(bytes: Uint8Array): { readonly code?: unknown; readonly message: string } {
  try {
    const error: unknown = JSON.parse(new TextDecoder().decode(bytes));
    if (typeof error === "object" && error !== null && "message" in error && typeof error.message === "string") {
      return { code: "code" in error ? error.code : undefined, message: error.message };
    }
  } catch {
    // Said below.
  }
  return { message: "it answered what is no answer of a weft" };
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
