/** No address of an engine takes a connection. Unlike a change of leaders, nobody knows when that ends: whoever wants to write is refused at once. */
import { WeftError } from "../../lib/errors.ts";

export class Unreachable extends WeftError {
  constructor(message: string, options: { readonly help?: string; readonly cause: unknown }) {
    super("unavailable", message, options);
    this.name = "Unreachable";
  }
}
