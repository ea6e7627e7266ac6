/** A unified diff of two texts, as `diff -u` writes it. */

const CONTEXT = 3;

interface Line {
  readonly mark: " " | "-" | "+";
  readonly text: string;
}

/** "" where the texts are equal. An absent text ("") has no lines. */
export function lineDiff(before: string, after: string, beforeName: string, afterName: string): string {
  if (before === after) return "";
  const lines = align(split(before), split(after));
  const output = [`--- ${beforeName}`, `+++ ${afterName}`];
  for (const [start, end] of hunks(lines)) {
    const hunk = lines.slice(start, end);
    const range = (mark: "-" | "+") => {
      const count = (part: readonly Line[]) => part.filter((line) => line.mark === " " || line.mark === mark).length;
      const length = count(hunk);
      return `${mark}${count(lines.slice(0, start)) + (length > 0 ? 1 : 0)},${length}`;
    };
    output.push(`@@ ${range("-")} ${range("+")} @@`, ...hunk.map((line) => line.mark + line.text));
  }
  return output.join("\n");
}

const split = (text: string) => (text === "" ? [] : text.replace(/\n$/, "").split("\n"));

/** By the longest common subsequence: the fewest lines marked. Resources are short, so the table of all pairs is affordable. */
function align(before: readonly string[], after: readonly string[]): Line[] {
  const width = after.length + 1;
  const common = new Uint32Array((before.length + 1) * width);
  const at = (i: number, j: number) => common[i * width + j] ?? 0;
  for (let i = before.length - 1; i >= 0; i--) {
    for (let j = after.length - 1; j >= 0; j--) {
      common[i * width + j] = before[i] === after[j] ? at(i + 1, j + 1) + 1 : Math.max(at(i + 1, j), at(i, j + 1));
    }
  }
  const lines: Line[] = [];
  let i = 0;
  let j = 0;
  while (i < before.length || j < after.length) {
    const [old, young] = [before[i], after[j]];
    if (old !== undefined && old === young) {
      lines.push({ mark: " ", text: old });
      i++;
      j++;
    } else if (old !== undefined && (young === undefined || at(i + 1, j) >= at(i, j + 1))) {
      lines.push({ mark: "-", text: old });
      i++;
    } else {
      lines.push({ mark: "+", text: young ?? "" });
      j++;
    }
  }
  return lines;
}

/** [start, end) of each run of changes with its context; runs whose contexts touch are one. */
function hunks(lines: readonly Line[]): [number, number][] {
  const found: [number, number][] = [];
  lines.forEach((line, index) => {
    if (line.mark === " ") return;
    const [start, end] = [Math.max(0, index - CONTEXT), Math.min(lines.length, index + CONTEXT + 1)];
    const last = found.at(-1);
    if (last && start <= last[1]) last[1] = end;
    else found.push([start, end]);
  });
  return found;
}
