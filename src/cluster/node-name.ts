/** What a node is called: in its SPIFFE ID, in the annotation weft.dev/node, in lists. */
import { WeftError } from "../lib/errors.ts";
import { isNodeName } from "../lib/node-name.ts";

/** `text` itself. @throws WeftError "invalid" */
export function parseNodeName(text: string): string {
  if (isNodeName(text)) return text;
  throw new WeftError("invalid", `${JSON.stringify(text.slice(0, 100))} cannot name a node`, {
    help: "lower-case letters, digits, - and ., at most 63, such as edge-7 (--node NAME)",
  });
}

/** The host's name as a node's: what cannot stand in one becomes a dash. */
export function nodeNameOfHost(host: string): string {
  const name = host
    .toLowerCase()
    .replace(/[^-a-z0-9.]+/g, "-")
    .slice(0, 63)
    .replace(/^[-.]+|[-.]+$/g, "");
  return name === "" ? "node" : name;
}
