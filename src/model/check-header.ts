/** Header names and values in matches and operations, as Istio's pkg/config/validation checks them. */
import { formatError } from "./envoy-format.ts";
import type { Report } from "./schema.ts";

const NAME = /^[!#$%&'*+,\-.^_`|~A-Za-z0-9]+$/;
const PSEUDO = new Set([":method", ":scheme", ":authority", ":path", ":status"]);

/** Istio's ValidateHTTPHeaderNameOrJwtClaimRoute, without the claims (routingClaim). */
export function matchHeaderError(name: string): string | undefined {
  if (name === "") return "a header's name must not be empty";
  if (PSEUDO.has(name) || NAME.test(name)) return undefined;
  return `${JSON.stringify(name)} is no header name`;
}

/** Why `name` is none that a header may have, or undefined. */
export const headerNameError = (name: string) => (NAME.test(name) ? undefined : `${JSON.stringify(name)} is no header name`);

export const isAuthority = (name: string) => /^(?::authority|host)$/i.test(name);

/** Whether `name` may be set, added (authority too, in requests) or removed. */
function operationError(name: string, authority: boolean): string | undefined {
  if (name === "") return "a header's name must not be empty";
  if (authority && isAuthority(name)) return undefined;
  if (/^host$/i.test(name)) return "Host can be set in requests only";
  if (name.startsWith(":")) return "headers that begin with ':' cannot be changed";
  // Envoy refuses such names (header_name validation), which Istio finds out by a NACK only.
  return NAME.test(name) ? undefined : `${JSON.stringify(name)} is no header name`;
}

/** Envoy's limit (HeaderValue), in bytes. */
const LONGEST_VALUE = 16384;

/** Why Envoy would refuse a header value, or undefined. */
export function headerValueError(value: string): string | undefined {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is refused
  if (/[\u0000-\u0008\u000a-\u001f\u007f]/.test(value)) return "holds a control character";
  if (Buffer.byteLength(value) > LONGEST_VALUE) return `is longer than ${LONGEST_VALUE} bytes`;
  return formatError(value);
}

interface Operations {
  readonly set?: Readonly<Record<string, string>>;
  readonly add?: Readonly<Record<string, string>>;
  readonly remove?: readonly string[];
}

/** Checks the operations on the headers of requests (where the authority may be set) or responses. */
export function checkHeaderOperations(direction: "request" | "response"): (operations: Operations, report: Report) => void {
  return (operations, report) => {
    for (const verb of ["set", "add"] as const) {
      for (const [name, value] of Object.entries(operations[verb] ?? {})) {
        const badName = operationError(name, direction === "request");
        if (badName) report("badHeader", badName, { path: [verb, name], atKey: true });
        const badValue = headerValueError(value);
        if (badValue) report("badHeader", badValue, { path: [verb, name] });
      }
    }
    for (const [index, name] of (operations.remove ?? []).entries()) {
      const badName = operationError(name, false);
      if (badName) report("badHeader", badName, { path: ["remove", index] });
    }
  };
}
