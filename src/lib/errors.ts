import type { Problem } from "./problem.ts";

/** What went wrong, by what the caller can do about it. Edges turn it into an HTTP status, a gRPC code or an exit code. */
export type ErrorCode =
  | "invalid" // the input is wrong: mend it (HTTP 400/422, exit 1)
  | "not_found"
  | "conflict" // someone else changed it first: read again (409/412)
  | "unauthenticated"
  | "forbidden"
  | "too_large"
  | "rate_limited" // too much at once: wait (429)
  | "unavailable" // a part of weft or a peer is away: try again (503)
  | "internal"; // a defect of weft's

/** The one error type of weft: a code, a message that says what to do, and the problems found where there are any. */
export class WeftError extends Error {
  readonly code: ErrorCode;
  readonly help?: string;
  readonly problems: readonly Problem[];

  constructor(code: ErrorCode, message: string, options: { help?: string; problems?: readonly Problem[]; cause?: unknown } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = "WeftError";
    this.code = code;
    this.help = options.help;
    this.problems = options.problems ?? [];
  }

  /** Anything thrown, as a WeftError; what is not one already is a defect ("internal"). */
  static from(reason: unknown): WeftError {
    if (reason instanceof WeftError) return reason;
    const message = reason instanceof Error ? reason.message : String(reason);
    return new WeftError("internal", message, { cause: reason });
  }
}

/** This node was removed from its mesh, as a record that all nodes keep says: it ends, and is not started again. */
export class NodeRemovedError extends WeftError {
  constructor(message: string, options: { help?: string } = {}) {
    super("forbidden", message, options);
    this.name = "NodeRemovedError";
  }
}

/** The `code` of a Node system error ("ENOENT"), or undefined. */
export function errnoOf(reason: unknown): string | undefined {
  return reason instanceof Error && "code" in reason && typeof reason.code === "string" ? reason.code : undefined;
}
