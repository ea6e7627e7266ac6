/** A write whose answer was lost on the way. Its cause is an Unreachable where it was looked for in vain at every address. */
import { WeftError } from "../../lib/errors.ts";

export class UnknownOutcome extends WeftError {
  constructor(message: string, cause?: unknown) {
    super("unavailable", message, { cause });
    this.name = "UnknownOutcome";
  }
}
