/** A write whose answer was lost on the way. */
import { WeftError } from "../../lib/errors.ts";

export class UnknownOutcome extends WeftError {
  constructor(message: string, cause?: unknown) {
    super("unavailable", message, { cause });
    this.name = "UnknownOutcome";
  }
}
