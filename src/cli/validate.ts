import { buildCommand } from "@stricli/core";
import { formatProblem, type Problem } from "../lib/problem.ts";
import { analyze, findExpiredCertificates } from "../mesh/analysis/index.ts";
import { buildMesh } from "../mesh/build.ts";
import { CODES } from "../model/index.ts";
import { BRIEF } from "./briefs.ts";
import { parseFiles } from "./documents.ts";
import { type FileFlags, fileFlag, readInputs } from "./files.ts";
import { parseText } from "./names.ts";
import { clean, json } from "./output.ts";
import { verb } from "./verb.ts";

interface Flags extends FileFlags {
  readonly trustDomain?: string;
  readonly output: "table" | "json";
}

export const validateCommand = buildCommand({
  docs: {
    brief: BRIEF.validate,
    fullDescription:
      "Prints every problem as file:line:column, the form that editors jump to: of each document, and of all of them together.\n" +
      "Exit 1 where there is an error; warnings alone are no error.",
  },
  parameters: {
    flags: {
      file: fileFlag,
      trustDomain: { kind: "parsed", parse: parseText, optional: true, brief: "mesh.local where absent", placeholder: "TD" },
      output: { kind: "enum", values: ["table", "json"], default: "table", brief: "Format" },
    },
    aliases: { f: "file", o: "output" },
  },
  func: verb<Flags, []>(async (cli, flags) => {
    const files = await readInputs(cli.io, flags.file);
    const parsed = parseFiles(files);
    const { resources } = parsed;
    const problems = [
      ...parsed.problems,
      ...together(parsed, flags.trustDomain ?? "mesh.local"),
      ...findExpiredCertificates(resources, cli.io.clock.now()),
    ];
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

/** Only a whole mesh shows that a name leads nowhere: files without any service or workload are a part of one. */
const NEEDS_ALL: ReadonlySet<string> = new Set([
  CODES.unknownHost.code,
  CODES.unknownGateway.code,
  CODES.unknownDelegate.code,
  CODES.selectsNothing.code,
  CODES.neverMatches.code,
]);

/** Findings across the documents, once each is well by itself: those that are left out would be missed. */
function together({ resources, problems }: ReturnType<typeof parseFiles>, trustDomain: string): Problem[] {
  if (problems.some(({ severity }) => severity === "error")) return [];
  const isPart = !resources.some(({ kind }) => kind === "ServiceEntry" || kind === "WorkloadEntry");
  const found = analyze(resources, buildMesh(resources, { revision: 0, trustDomain }));
  return isPart ? found.filter(({ code }) => !NEEDS_ALL.has(code)) : found;
}
