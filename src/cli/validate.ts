import { buildCommand } from "@stricli/core";
import { formatProblem } from "../lib/problem.ts";
import { parseFiles } from "./documents.ts";
import { type FileFlags, fileFlag, readInputs } from "./files.ts";
import { clean, json } from "./output.ts";
import { verb } from "./verb.ts";

interface Flags extends FileFlags {
  readonly output: "table" | "json";
}

export const validateCommand = buildCommand({
  docs: {
    brief: "Check files, without a running weft",
    fullDescription:
      "Prints every problem as file:line:column, the form that editors jump to. Exit 1 where there is an error; warnings alone are no error.",
  },
  parameters: {
    flags: { file: fileFlag, output: { kind: "enum", values: ["table", "json"], default: "table", brief: "Format" } },
    aliases: { f: "file", o: "output" },
  },
  func: verb<Flags, []>(async (cli, flags) => {
    const files = await readInputs(cli.io, flags.file);
    const { resources, problems } = parseFiles(files);
    const errors = problems.filter((problem) => problem.severity === "error").length;
    if (flags.output === "json") {
      cli.print(json({ valid: errors === 0, resources: resources.length, problems }));
    } else {
      for (const problem of problems) cli.print(clean(formatProblem(problem)));
      const warnings = problems.length - errors;
      const count = (number: number, word: string) => `${number} ${word}${number === 1 ? "" : "s"}`;
      cli.print(
        `${count(resources.length, "valid resource")}, ${count(errors, "error")}, ${count(warnings, "warning")} in ${count(files.length, "file")}`,
      );
    }
    return errors > 0 ? 1 : 0;
  }),
});
