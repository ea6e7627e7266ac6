import { Code, ConnectError } from "@connectrpc/connect";
import { type ErrorCode, WeftError } from "../lib/errors.ts";

const CODES: Readonly<Record<ErrorCode, Code>> = {
  invalid: Code.InvalidArgument,
  not_found: Code.NotFound,
  conflict: Code.Aborted,
  unauthenticated: Code.Unauthenticated,
  forbidden: Code.PermissionDenied,
  too_large: Code.ResourceExhausted,
  rate_limited: Code.ResourceExhausted,
  unavailable: Code.Unavailable,
  internal: Code.Internal,
};

/** Anything thrown, as the gRPC status that the peer sees. A defect's message stays here. */
export function toConnectError(reason: unknown): ConnectError {
  if (reason instanceof ConnectError) return reason;
  const error = WeftError.from(reason);
  const message = error.code === "internal" ? "internal error" : error.message;
  return new ConnectError(message, CODES[error.code], undefined, undefined, reason);
}
