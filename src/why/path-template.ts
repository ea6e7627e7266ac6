/** Envoy's URI templates (source/extensions/path/uri_template_lib): "*" is one segment, "**" any rest. */
import { matchesRegex } from "./text-match.ts";

/** The characters of a segment: unreserved, escapes and sub-delimiters. */
const LITERAL = "a-zA-Z0-9-._~%!$&'()*+,;:@=";

/** `path`: as the template is held against it; a "?" matches nothing in a template. */
export function matchesTemplate(template: string, path: string): boolean {
  const pattern = template
    .split(/(\*\*|\*)/)
    .map((part) => (part === "**" ? `[${LITERAL}/]*` : part === "*" ? `[${LITERAL}]+` : part.replace(/[\\.+*?()|[\]{}^$]/g, "\\$&")))
    .join("");
  return matchesRegex(pattern, path);
}
