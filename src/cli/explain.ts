import { buildCommand } from "@stricli/core";
import { CODES, findCode, suggestCode } from "../model/index.ts";
import { BRIEF } from "./briefs.ts";
import { parseText } from "./names.ts";
import { clean, json, table } from "./output.ts";
import { type ReportFlags, reportFormat } from "./services.ts";
import { UsageError, verb } from "./verb.ts";

const indented = (text: string) => text.trimEnd().replace(/^/gm, "    ");

export const explainCommand = buildCommand({
  docs: {
    brief: BRIEF.explain,
    fullDescription: "Works offline. Without a code it lists all; docs/problems.md has the same as a page.",
  },
  parameters: {
    flags: { output: reportFormat },
    aliases: { o: "output" },
    positional: { kind: "tuple", parameters: [{ parse: parseText, placeholder: "CODE", brief: "Such as WF0101", optional: true }] },
  },
  func: verb<Pick<ReportFlags, "output">, [string | undefined]>((cli, { output }, code) => {
    if (code === undefined) {
      const all = Object.values(CODES);
      cli.print(
        output === "json"
          ? json({ items: all })
          : table(
              ["CODE", "TITLE"],
              all.map((entry) => [entry.code, entry.title]),
            ),
      );
      return 0;
    }
    const entry = findCode(code);
    if (!entry) {
      const near = suggestCode(code);
      throw new UsageError(`there is no problem code ${clean(code)}`, `${near ? `did you mean ${near}? ` : ""}weft explain lists all`);
    }
    if (output === "json") cli.print(json(entry));
    else
      cli.print(
        `${entry.code}: ${entry.title}\n\nCause\n${indented(entry.cause)}\n\nExample\n${indented(entry.example)}\n\nMend\n${indented(entry.mend)}`,
      );
    return 0;
  }),
});
