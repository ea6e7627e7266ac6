/** What a node is called: in its SPIFFE ID, in the annotation weft.dev/node, in lists. */
import { WeftError } from "../lib/errors.ts";

/** As a host's name, which it mostly is (RFC 1123, 2.1), and so a segment of a SPIFFE ID's path too. */
const NAME = /^[a-z0-9](?:[-a-z0-9.]{0,61}[a-z0-9])?$/;

export const isNodeName = (text: string): boolean => NAME.test(text);

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
