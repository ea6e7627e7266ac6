/**
 * Durations as Istio writes them: Go's time.ParseDuration ("1h30m", "1.5s", "250ms"), which is also what protobuf's JSON form ("5s")
 * is a part of. https://pkg.go.dev/time#ParseDuration
 */
const UNIT_NS: Readonly<Record<string, number>> = { ns: 1, us: 1e3, µs: 1e3, μs: 1e3, ms: 1e6, s: 1e9, m: 60e9, h: 3600e9 };
const WHOLE = /^([+-]?)((?:(?:\d+(?:\.\d*)?|\.\d+)(?:ns|us|µs|μs|ms|s|m|h))+)$/;
const PART = /(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|μs|ms|s|m|h)/g;

/** As parseDuration, with days besides ("90d", "1d12h"): what people tell weft itself. Istio's YAML has none. */
export function parsePeriod(text: string): number | undefined {
  const [, days = "", rest = ""] = /^(?:(\d+(?:\.\d+)?)d)?(.*)$/s.exec(text) ?? [];
  if (days === "") return parseDuration(text);
  const ms = rest === "" ? 0 : /^[+-]/.test(rest) ? undefined : parseDuration(rest);
  return ms === undefined ? undefined : Number(days) * 86_400_000 + ms;
}

/** Milliseconds (may be fractional), or undefined where `text` is no duration. "0" is one, as in Go. */
export function parseDuration(text: string): number | undefined {
  if (text === "0" || text === "+0" || text === "-0") return 0;
  const whole = WHOLE.exec(text);
  if (!whole) return undefined;
  let ns = 0;
  for (const [, number, unit] of (whole[2] ?? "").matchAll(PART)) ns += Number(number) * (UNIT_NS[unit ?? ""] ?? 0);
  return (whole[1] === "-" ? -ns : ns) / 1e6;
}
