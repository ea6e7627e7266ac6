/** Errors as HTTP sees them: RFC 9457 problem details, with weft's code, help and findings as extension members. */
import type { ErrorCode, WeftError } from "../lib/errors.ts";
import type { Problem } from "../lib/problem.ts";

export interface ProblemDetails {
  readonly type: string;
  readonly title: string;
  readonly status: number;
  readonly detail: string;
  /** Path of the request. */
  readonly instance: string;
  readonly code: string;
  readonly help?: string;
  /** The findings in the user's input, each with file, line and column. */
  readonly problems?: readonly Problem[];
}

const TITLE: Readonly<Record<ErrorCode, readonly [status: number, title: string]>> = {
  invalid: [400, "The request is wrong"],
  not_found: [404, "There is no such thing"],
  conflict: [409, "Someone else changed it first"],
  unauthenticated: [401, "Who asks is not known"],
  forbidden: [403, "Not allowed"],
  too_large: [413, "The request is too large"],
  rate_limited: [429, "Too many requests"],
  unavailable: [503, "A part of weft cannot answer now"],
  internal: [500, "A defect of weft"],
};

/** @param preconditioned Whether the request had If-Match or If-None-Match: then a conflict is 412 (RFC 9110, 13.2.1). */
export function problemDetails(error: WeftError, instance: string, preconditioned = false): ProblemDetails {
  const [base, title] = TITLE[error.code];
  let status = base;
  if (error.code === "conflict" && preconditioned) status = 412;
  // 422 tells "read, understood, and wrong" from "cannot be read as a request" (RFC 9110, 15.5.21).
  if (error.code === "invalid" && error.problems.length > 0) status = 422;
  return details({ status, title, detail: error.message, instance, code: error.code, help: error.help, problems: error.problems });
}

export function details(parts: Omit<ProblemDetails, "type">): ProblemDetails {
  const { help, problems, ...rest } = parts;
  return {
    type: `https://weft.dev/problems/${rest.code.replaceAll("_", "-")}`,
    ...rest,
    ...(help ? { help } : {}),
    ...(problems && problems.length > 0 ? { problems } : {}),
  };
}

export function problemResponse(problem: ProblemDetails, headers: Readonly<Record<string, string>> = {}): Response {
  return new Response(`${JSON.stringify(problem)}\n`, {
    status: problem.status,
    headers: { "content-type": "application/problem+json", ...headers },
  });
}
