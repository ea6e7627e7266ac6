/**
 * Envoy's API by name, for what users write themselves: JSON into messages, and what stands inside an Any. A leaf: it knows no policy.
 *
 * The messages are many, and most runs need none of them (`weft version`, `weft get`): they are loaded when the first is asked for.
 */
import type { Registry } from "@bufbuild/protobuf";

/** Every message of Envoy's that weft knows, loaded at the first call. */
export function allMessages(): Registry {
  return (require("./messages.ts") as typeof import("./messages.ts")).MESSAGES;
}
