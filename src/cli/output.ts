/** Output for people (aligned tables) and for scripts (JSON, YAML), safe for a terminal. */
import { stringify } from "yaml";

/** Without what could steer a terminal: control characters (ESC among them) except line feed and tab, and bidirectional overrides. */
export function clean(text: string): string {
  return text.replace(/(?![\n\t])[\p{Cc}\p{Bidi_Control}]/gu, "");
}

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

export function json(value: unknown): string {
  return JSON.stringify(value, null, 2);
}

/** Long lines stay whole: a folded URI or regex is hard to read and to search. Texts such as yes are quoted, for readers of YAML 1.1 such as Envoy. */
export function yaml(value: unknown, options: { readonly sorted?: boolean } = {}): string {
  return stringify(value, {
    lineWidth: 0,
    compat: "yaml-1.1",
    aliasDuplicateObjects: false,
    sortMapEntries: options.sorted ?? false,
  }).trimEnd();
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
