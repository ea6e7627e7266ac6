/** What --store names beside an address: a password and PEM files. */
import { readFileSync } from "node:fs";
import { WeftError } from "../../lib/errors.ts";

/** A password that stands in no process list and no file. */
export const PASSWORD_VARIABLE = "WEFT_STORE_PASSWORD";

/** @throws WeftError "unavailable" naming the file */
export function readStoreFile(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (reason) {
    throw new WeftError("unavailable", `${path}, which --store names, cannot be read: ${WeftError.from(reason).message}`, {
      help: "let it be a file that weft's user may read",
      cause: reason,
    });
  }
}

/** Without the line break that editors put at its end. @throws WeftError "unavailable" naming the file */
export const readPassword = (path: string): string => readStoreFile(path).replace(/\r?\n$/, "");
