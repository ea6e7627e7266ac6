/** Output for people (aligned tables) and for scripts (JSON, YAML), safe for a terminal. */
import { Document, visit } from "yaml";
import { clean, UNSAFE } from "./clean.ts";

export { clean } from "./clean.ts";

/** Columns of equal width, two spaces apart, no trailing spaces. Cells are cleaned; line ends in a cell become spaces. */
export function table(header: readonly string[], rows: readonly (readonly string[])[]): string {
  const cells = [header, ...rows].map((row) => row.map((cell) => clean(cell).replace(/\s+/g, " ") || "-"));
  const widths = header.map((_, column) => Math.max(...cells.map((row) => row[column]?.length ?? 0)));
  return cells
    .map((row) =>
      row
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join("  ")
        .trimEnd(),
    )
    .join("\n");
}

const escaped = (character: string) => `\\u${(character.codePointAt(0) ?? 0).toString(16).padStart(4, "0")}`;

/** Unlike `clean` it loses nothing: what could steer a terminal is escaped. */
export function json(value: unknown): string {
  return JSON.stringify(value, null, 2).replace(UNSAFE, escaped);
}

/**
 * Loses nothing either. Long lines stay whole: a folded URI or regex is hard to read and to search. Texts such as yes are quoted, for
 * readers of YAML 1.1 such as Envoy.
 */
export function yaml(value: unknown, options: { readonly sorted?: boolean } = {}): string {
  const document = new Document(value, { aliasDuplicateObjects: false, sortMapEntries: options.sorted ?? false, compat: "yaml-1.1" });
  visit(document, {
    Scalar(_, node) {
      // Only this style has escapes.
      if (typeof node.value === "string" && node.value.search(UNSAFE) >= 0) node.type = "QUOTE_DOUBLE";
    },
  });
  return document.toString({ lineWidth: 0 }).trimEnd().replace(UNSAFE, escaped);
}

/** "45s", "12m", "3h", "8d": time since `iso`. */
export function age(iso: unknown, now: number): string {
  const then = typeof iso === "string" ? Date.parse(iso) : Number.NaN;
  if (Number.isNaN(then)) return "-";
  const seconds = Math.max(0, Math.floor((now - then) / 1000));
  if (seconds < 120) return `${seconds}s`;
  if (seconds < 7200) return `${Math.floor(seconds / 60)}m`;
  if (seconds < 172_800) return `${Math.floor(seconds / 3600)}h`;
  return `${Math.floor(seconds / 86_400)}d`;
}
