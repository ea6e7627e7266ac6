/** docs/tour.md as a program: what stands after "$ " in its indented blocks, and what the page says that comes out. */

export interface Command {
  /** Line of the page, from 1. */
  readonly line: number;
  readonly text: string;
  /** What the page shows, without its indentation and the last line end. */
  readonly shown: string;
}

const INDENT = "    ";
const PROMPT = `${INDENT}$ `;

/** The page in turn: prose as it stands, and commands. A command goes on to the end of its here-document. */
export function readPage(page: string): readonly (string | Command)[] {
  const lines = page.split("\n");
  const parts: (string | Command)[] = [];
  for (let at = 0; at < lines.length; ) {
    const first = lines[at] ?? "";
    if (!first.startsWith(PROMPT)) {
      parts.push(first);
      at++;
      continue;
    }
    const line = at + 1;
    const command = [first.slice(PROMPT.length)];
    at++;
    const end = /<<'?(\w+)'?$/.exec(first)?.[1];
    while (end !== undefined && command.at(-1) !== end) {
      if (at >= lines.length) throw new Error(`line ${line}: the here-document has no end`);
      command.push((lines[at++] ?? "").slice(INDENT.length));
    }
    const shown: string[] = [];
    while (isOutput(lines, at)) shown.push((lines[at++] ?? "").slice(INDENT.length));
    parts.push({ line, text: command.join("\n"), shown: shown.join("\n") });
  }
  return parts;
}

/** Output is indented and no prompt; an empty line belongs to it where more output follows. */
function isOutput(lines: readonly string[], at: number): boolean {
  const line = lines[at];
  if (line === undefined || line.startsWith(PROMPT)) return false;
  return line.startsWith(INDENT) || (line === "" && lines[at + 1] !== undefined && isOutput(lines, at + 1));
}

/** The page again, with other output. */
export function writePage(parts: readonly (string | Command)[]): string {
  const indented = (text: string) => text.split("\n").map((line) => (line === "" ? "" : INDENT + line));
  return parts
    .flatMap((part) => {
      if (typeof part === "string") return [part];
      const [first = "", ...rest] = indented(part.text);
      return [first.replace(INDENT, PROMPT), ...rest, ...(part.shown === "" ? [] : indented(part.shown))];
    })
    .join("\n");
}

/** The ports of the page's table: first column of its rows. */
export function portsOf(page: string): readonly number[] {
  const rows = page.matchAll(/^\| ([\d, ]+) \|/gm);
  return Array.from(rows, ([, cell = ""]) => cell.split(",").map(Number)).flat();
}
