/** What the engine has lost, beside the database: for the operator, who alone can say what of it is still wanted. */
import { closeSync, fsyncSync, openSync, readdirSync, writeFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import type { AuditRecord } from "../../lib/audit.ts";
import type { LogRow } from "../plan.ts";

const END = ".yaml";
const prefixOf = (path: string) => `${path}.lost-`;

/**
 * Writes the last state of each resource in `rows` as YAML that `weft apply -f` takes; of deleted ones, of Secrets, and of all that the audit has, a
 * comment. On the disk when it returns.
 * @param at RFC 3339
 */
export function writeLostChanges(
  path: string,
  { rows, records }: { readonly rows: readonly LogRow[]; readonly records: readonly AuditRecord[] },
  { engine, at }: { readonly engine: string; readonly at: string },
): void {
  const file = `${prefixOf(path)}${at.replaceAll(":", "-")}${END}`;
  const head = [
    `${engine} lost these changes, which it had acknowledged, and went on without them (found ${at}).`,
    "This node had them; it follows the engine now. Apply again what is still wanted, then move this file away: weft warns while it is here.",
    "What the audit said of them:",
    ...records.map(({ at: when, who, action, targets }) => `  ${when} ${who}: ${action} ${targets.join(", ")}`),
  ].map(comment);
  const parts = rows.map(({ action, row, revision, who, at: when }) => {
    const what = comment(`${row.kind} ${row.namespace}/${row.name} ${action} at revision ${revision} by ${who}, ${when}`);
    if (action === "deleted") return `${what}${comment(`weft delete ${row.kind} ${row.name} -n ${row.namespace}`)}`;
    // As it is stored it is sealed, and would be sealed once more.
    if (row.kind === "Secret") return `${what}${comment("what is in it is sealed, and not here: apply it again from where it came")}`;
    // JSON is YAML.
    return `---\n${what}${row.document}\n`;
  });
  writeFileSync(file, [...head, ...parts].join(""), { mode: 0o600 });
  // Its name, too: what it holds is removed from the database next.
  for (const synced of [file, dirname(path)]) {
    const descriptor = openSync(synced, "r");
    try {
      fsyncSync(descriptor);
    } finally {
      closeSync(descriptor);
    }
  }
}

/** One line, whatever is in it. */
function comment(text: string): string {
  return `# ${text.replace(/[\p{Cc}\u2028\u2029]/gu, " ")}\n`;
}

/** A warning for each file of the database at `path` that is still there. */
export function findLostChanges(path: string): readonly string[] {
  const start = basename(prefixOf(path));
  const files = readdirSync(dirname(path)).filter((name) => name.startsWith(start) && name.endsWith(END));
  return files
    .sort()
    .map(
      (name) =>
        `the engine lost changes that it had acknowledged: what this node had of them is in ${join(dirname(path), name)}; apply again what is wanted, and move the file away`,
    );
}
