import { writeFile } from "node:fs/promises";
import { buildCommand } from "@stricli/core";
import { formatProvenance } from "../lib/provenance.ts";
import { buildMesh } from "../mesh/build.ts";
import { BRIEF } from "./briefs.ts";
import { parseText } from "./names.ts";
import { offlineResources } from "./offline-mesh.ts";
import { clean } from "./output.ts";
import { Coverage } from "./test-coverage.ts";
import { readTestFiles, type TestFile } from "./test-file.ts";
import { junit } from "./test-junit.ts";
import { runTest, type TestResult } from "./test-run.ts";
import { type Cli, UsageError, verb } from "./verb.ts";

interface Flags {
  readonly file?: readonly string[];
  readonly junit?: string;
}

export const testCommand = buildCommand({
  docs: {
    brief: BRIEF.test,
    fullDescription:
      "Reads tests (*.test.yaml in a directory), each a request and what must become of it, and says which routes and rules none of them reached.\n" +
      "Exit 0 where all pass, 1 where one fails, 2 where they cannot be run.",
  },
  parameters: {
    flags: {
      file: {
        kind: "parsed",
        parse: parseText,
        optional: true,
        variadic: true,
        brief: "Resources for all tests, besides those that the tests name; may be repeated",
        placeholder: "FILE|DIR",
      },
      junit: { kind: "parsed", parse: parseText, optional: true, brief: "Write the results here, as JUnit XML", placeholder: "FILE" },
    },
    aliases: { f: "file" },
    positional: {
      kind: "array",
      parameter: { parse: parseText, placeholder: "FILE|DIR", brief: "Test files, or directories with files *.test.yaml" },
      minimum: 1,
    },
  },
  func: verb<Flags, string[]>(async (cli, flags, ...names) => {
    const files = await readTestFiles(names);
    const coverage = new Coverage();
    const results: (TestResult & { readonly file: string })[] = [];
    for (const file of files) {
      for (const result of await runFile(cli, file, flags.file ?? [], coverage)) {
        results.push({ ...result, file: file.file });
        print(cli, file.file, result);
      }
    }
    const unreached = coverage.unreached();
    if (unreached.length > 0)
      cli.print(["", "no test reached", ...unreached.map((one) => `  ${one.what}  ${formatProvenance(one.source)}`)].map(clean).join("\n"));
    const failed = results.filter(({ differences }) => differences.length > 0).length;
    if (flags.junit !== undefined) await save(flags.junit, junit(results));
    cli.print(`${results.length - failed} passed, ${failed} failed`);
    return failed > 0 ? 1 : 0;
  }),
});

async function runFile(cli: Cli, file: TestFile, more: readonly string[], coverage: Coverage): Promise<TestResult[]> {
  const resources = await offlineResources(cli, [...new Set([...more, ...file.resources])]);
  const mesh = buildMesh(resources, { revision: 0, trustDomain: file.trustDomain });
  coverage.add(resources, mesh);
  return file.tests.map((test) => runTest(mesh, test, { now: cli.io.clock.now(), coverage, monotonic: () => cli.io.clock.monotonic() }));
}

function print(cli: Cli, file: string, { name, line, differences, summary }: TestResult): void {
  if (differences.length === 0) cli.print(clean(`ok    ${name}`));
  else
    cli.print([`FAIL  ${name} (${file}:${line})`, ...differences.map((one) => `      ${one}`), `      ${summary}`].map(clean).join("\n"));
}

async function save(path: string, text: string): Promise<void> {
  await writeFile(path, text).catch((reason: unknown) => {
    throw new UsageError(`${path} cannot be written: ${reason instanceof Error ? reason.message : String(reason)}`);
  });
}
