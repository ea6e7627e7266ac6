/** How texts are matched: a VirtualService's string matches, and a policy's. Regular expressions are RE2 and must match the whole text. */
import { RE2JS } from "re2js";
import type { TextMatch } from "../mesh/authorization-condition.ts";
import type { HttpRoute } from "../mesh/http-routes.ts";

export type StringMatch = NonNullable<NonNullable<HttpRoute["match"]>["uri"]>;

const compiled = new Map<string, RE2JS | undefined>();
/** Patterns come from resources, of which there are few, and from nowhere else; a bound all the same. */
const COMPILED_LIMIT = 10_000;

/** Whether the whole of `text` matches; an expression that is none (the model refuses it) matches nothing. */
export function matchesRegex(pattern: string, text: string): boolean {
  if (!compiled.has(pattern)) {
    if (compiled.size >= COMPILED_LIMIT) compiled.clear();
    compiled.set(pattern, compile(pattern));
  }
  return compiled.get(pattern)?.matches(text) ?? false;
}

/** Every match replaced, where \\1 in `substitution` is the first group (RE2's GlobalReplace, with which Envoy rewrites). */
export function replaceRegex(pattern: string, text: string, substitution: string): string {
  const matcher = compile(pattern)?.matcher(text);
  if (!matcher) return text;
  let [result, from] = ["", 0];
  while (matcher.find()) {
    const replacement = substitution.replace(/\\(\d|\\)/g, (_, group: string) =>
      group === "\\" ? "\\" : (matcher.group(Number(group)) ?? ""),
    );
    result += text.slice(from, matcher.start()) + replacement;
    from = matcher.end();
  }
  return result + text.slice(from);
}

function compile(pattern: string): RE2JS | undefined {
  try {
    return RE2JS.compile(pattern);
  } catch {
    return undefined;
  }
}

/** No condition, and the regex "*", ask for presence only (Istio, route.go canBeConvertedToPresentMatch). */
export function isPresence({ exact, prefix, regex }: StringMatch): boolean {
  return exact === undefined && prefix === undefined && (regex === undefined || regex === "*");
}

/** `text` is there; where it may be absent, ask first. */
export function matchesString(match: StringMatch, text: string): boolean {
  if (match.exact !== undefined) return text === match.exact;
  if (match.prefix !== undefined) return text.startsWith(match.prefix);
  return isPresence(match) || matchesRegex(match.regex ?? "", text);
}

export function describeString(match: StringMatch): string {
  if (match.exact !== undefined) return JSON.stringify(match.exact);
  if (match.prefix !== undefined) return `prefix ${JSON.stringify(match.prefix)}`;
  return isPresence(match) ? "present" : `regex ${JSON.stringify(match.regex)}`;
}

export function matchesText(match: TextMatch, text: string): boolean {
  if (match.kind === "present") return true;
  if (match.kind === "regex") return matchesRegex(match.value, text);
  const [a, b] = match.ignoreCase ? [text.toLowerCase(), match.value.toLowerCase()] : [text, match.value];
  if (match.kind === "exact") return a === b;
  return match.kind === "prefix" ? a.startsWith(b) : a.endsWith(b);
}

export function describeText(match: TextMatch): string {
  if (match.kind === "present") return "present";
  const value = JSON.stringify(match.value);
  return match.kind === "exact" ? value : `${match.kind} ${value}`;
}
