/** What every verb has: its context, and its way to end. */
import type { CommandContext } from "@stricli/core";
import { WeftError } from "../lib/errors.ts";
import { formatProblem } from "../lib/problem.ts";
import { clean } from "./clean.ts";
import type { CliIo } from "./io.ts";

/** 0: yes, or done. 1: a negative answer (invalid, different, refused, unhealthy). 2: usage, or could not do it. */
export type ExitCode = 0 | 1 | 2;

/** Of `weft run` alone: this node was removed from its mesh, and whoever starts it again gets the same answer. */
export const NODE_REMOVED_EXIT = 3;

/** The call itself is wrong: exit 2. */
export class UsageError extends Error {
  readonly help: string | undefined;
  constructor(message: string, help?: string) {
    super(message);
    this.name = "UsageError";
    this.help = help;
  }
}

export interface Cli extends CommandContext {
  readonly io: CliIo;
  /** A line, or several, on stdout. */
  print(text: string): void;
  /** A line, or several, on stderr. */
  complain(text: string): void;
  exit(code: number): void;
}

/** A verb's function: it returns its exit code (nothing: 0) or throws. */
export function verb<Flags, Args extends readonly (string | undefined)[]>(
  func: (cli: Cli, flags: Flags, ...args: Args) => number | undefined | Promise<number | undefined> | Promise<void>,
): (this: Cli, flags: Flags, ...args: Args) => Promise<void> {
  return async function (this: Cli, flags: Flags, ...args: Args) {
    try {
      this.exit((await func(this, flags, ...args)) ?? 0);
    } catch (reason) {
      this.exit(report(this, reason));
    }
  };
}

const NEGATIVE = new Set<WeftError["code"]>(["invalid", "not_found", "conflict", "too_large"]);

/** Says on stderr what went wrong and what to do; returns the exit code that goes with it. */
export function report(cli: Pick<Cli, "complain">, reason: unknown): ExitCode {
  if (reason instanceof UsageError) {
    cli.complain(`weft: ${clean(reason.message)}`);
    if (reason.help) cli.complain(`    help: ${clean(reason.help)}`);
    return 2;
  }
  const error = WeftError.from(reason);
  for (const problem of error.problems) cli.complain(clean(formatProblem(problem)));
  cli.complain(`weft: ${clean(error.message)}`);
  if (error.help) cli.complain(`    help: ${clean(error.help)}`);
  return NEGATIVE.has(error.code) ? 1 : 2;
}
