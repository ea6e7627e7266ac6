/** Whether one match of a VirtualService takes every request that another could. Where it cannot be known, the answer is no. */

export type Match = Readonly<Record<string, unknown>>;

interface StringMatch {
  readonly exact?: string;
  readonly prefix?: string;
  readonly regex?: string;
}

/** Names and statistics do not decide. */
const LABELS_ONLY: ReadonlySet<string> = new Set(["name", "statPrefix"]);

export function coversMatch(wide: Match, narrow: Match): boolean {
  return Object.entries(wide).every(([field, value]) => {
    if (LABELS_ONLY.has(field) || field === "ignoreUriCase") return true;
    const other = narrow[field];
    switch (field) {
      case "uri":
        return coversUri(
          value as StringMatch,
          other as StringMatch | undefined,
          wide.ignoreUriCase === true,
          narrow.ignoreUriCase === true,
        );
      case "scheme":
      case "method":
      case "authority":
        return other !== undefined && coversString(value as StringMatch, other as StringMatch);
      case "headers":
      case "queryParams":
        return Object.entries(value as Record<string, StringMatch>).every(([name, match]) => {
          const own = (other as Record<string, StringMatch> | undefined)?.[name];
          return own !== undefined && (isPresence(match) || coversString(match, own));
        });
      case "withoutHeaders":
        return Object.entries(value as Record<string, StringMatch>).every(([name, match]) =>
          same((other as Record<string, StringMatch> | undefined)?.[name], match),
        );
      default:
        return same(value, other);
    }
  });
}

/** Whether both ask for the same, whatever they are called. */
export function sameMatch(a: Match, b: Match): boolean {
  return coversMatch(a, b) && coversMatch(b, a);
}

function coversUri(wide: StringMatch, narrow: StringMatch | undefined, ignoreCase: boolean, narrowIgnoresCase: boolean): boolean {
  if (isPresence(wide) || wide.prefix === "/" || wide.prefix === "" || wide.regex === ".*") return true;
  if (!narrow || (narrowIgnoresCase && !ignoreCase)) return false;
  const fold = ({ exact, prefix, regex }: StringMatch): StringMatch => ({
    exact: exact?.toLowerCase(),
    prefix: prefix?.toLowerCase(),
    regex,
  });
  return ignoreCase ? coversString(fold(wide), fold(narrow)) : coversString(wide, narrow);
}

function coversString(wide: StringMatch, narrow: StringMatch): boolean {
  if (wide.exact !== undefined) return narrow.exact === wide.exact;
  if (wide.prefix !== undefined) return (narrow.exact ?? narrow.prefix)?.startsWith(wide.prefix) ?? false;
  if (wide.regex !== undefined) return narrow.regex === wide.regex;
  return isPresence(narrow);
}

const isPresence = ({ exact, prefix, regex }: StringMatch) => exact === undefined && prefix === undefined && regex === undefined;

/** Both come from YAML: equal text in another order of keys counts as different, which only means no finding. */
const same = (a: unknown, b: unknown) => JSON.stringify(a) === JSON.stringify(b);
