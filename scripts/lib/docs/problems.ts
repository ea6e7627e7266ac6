/** docs/problems.md: the catalogue of problems, as `weft explain` prints it. */
import { CODES } from "../../../src/model/codes.ts";

const CHAPTERS: readonly (readonly [prefix: string, title: string])[] = [
  ["WF00", "The text and the envelope"],
  ["WF01", "The shape of a spec"],
  ["WF02", "Values"],
  ["WF03", "Values of one document together"],
  ["WF04", "Warnings about one document"],
  ["WF05", "Warnings about documents together"],
];

export function problemsPage(): string {
  const entries = Object.values(CODES);
  const chapters = CHAPTERS.map(([prefix, title]) => {
    const own = entries.filter(({ code }) => code.startsWith(prefix));
    return [`## ${prefix}xx: ${title}`, ...own.map(section)].join("\n\n");
  });
  const missing = entries.find(({ code }) => !CHAPTERS.some(([prefix]) => code.startsWith(prefix)));
  if (missing) throw new Error(`${missing.code} belongs to no chapter: add one for its range`);
  return `${[INTRODUCTION, ...chapters].join("\n\n")}\n`;
}

const INTRODUCTION = `# Problems

<!-- Written by scripts/docs from src/model/codes: change it there. -->

Everything that weft can find in your files has a code that keeps its meaning. \`weft explain CODE\` prints the same as this page, offline.
Errors refuse: nothing of the input is applied. Warnings (WF04xx and WF05xx, and what a message calls one) tell, and everything is applied.
\`weft validate\` and \`weft apply\` show them as \`file:line:column\`, \`weft check\` shows those of a running mesh.`;

function section({ code, title, cause, example, mend }: (typeof CODES)[keyof typeof CODES]): string {
  const shown = example.includes("\n") ? `\`\`\`yaml\n${example.trimEnd()}\n\`\`\`` : example;
  return `### ${code}: ${title}\n\n${cause}\n\n${shown}\n\n**Mend:** ${mend}`;
}
