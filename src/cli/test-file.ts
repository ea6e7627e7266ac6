/** Files of policy tests: read, checked, each test with its line. docs/why.md describes the format. */
import { readFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import * as v from "valibot";
import { isNode, LineCounter, parseDocument } from "yaml";
import { pathsOf, read, TEST_FILE } from "./files.ts";
import { UsageError } from "./verb.ts";

const text = v.pipe(v.string(), v.nonEmpty());

const TestSchema = v.strictObject({
  name: text,
  request: v.strictObject({
    from: v.optional(text, "plaintext"),
    to: text,
    via: v.optional(text),
    method: v.optional(text),
    path: v.optional(text),
    headers: v.optional(v.record(v.string(), v.pipe(v.union([v.string(), v.number(), v.boolean()]), v.transform(String)))),
    claims: v.optional(v.record(v.string(), v.unknown())),
    clientCertificate: v.optional(v.array(text)),
    sourceIp: v.optional(text),
  }),
  expect: v.pipe(
    v.strictObject({
      verdict: v.optional(v.picklist(["allow", "deny", "no_route", "refused", "redirect", "direct_response", "fault"])),
      status: v.optional(v.pipe(v.number(), v.integer())),
      route: v.optional(v.string()),
      host: v.optional(text),
      subset: v.optional(v.union([text, v.array(text)])),
      location: v.optional(text),
      policy: v.optional(text),
      rule: v.optional(v.pipe(v.number(), v.integer(), v.minValue(0))),
      mtls: v.optional(v.picklist(["mutual_tls", "tls", "plaintext", "refused"])),
    }),
    v.check((expect) => Object.keys(expect).length > 0, "expects nothing"),
  ),
});

const FileSchema = v.strictObject({
  trustDomain: v.optional(text, "mesh.local"),
  resources: v.optional(v.array(text), []),
  tests: v.pipe(v.array(TestSchema), v.nonEmpty("holds no test")),
});

export type Test = v.InferOutput<typeof TestSchema> & { readonly line: number };

export interface TestFile {
  /** As the user named it. */
  readonly file: string;
  readonly trustDomain: string;
  /** Paths; what the file names, globs resolved, beside the file. */
  readonly resources: readonly string[];
  readonly tests: readonly Test[];
}

/** @throws UsageError where one is missing, or is no test file. */
export async function readTestFiles(names: readonly string[]): Promise<readonly TestFile[]> {
  const files: TestFile[] = [];
  for (const name of names) {
    for (const path of await pathsOf(name, (file) => TEST_FILE.test(file))) files.push(await parse(path));
  }
  return files;
}

async function parse(file: string): Promise<TestFile> {
  const counter = new LineCounter();
  const document = parseDocument(await read(file, () => readFile(file, "utf8")), { lineCounter: counter, uniqueKeys: true });
  const [broken] = document.errors;
  if (broken) throw new UsageError(`${file}: ${broken.message}`);
  /** Of a part, or where it is missing of what it is missing in. */
  const lineAt = (path: readonly unknown[]): number => {
    const node = path.length === 0 ? document.contents : document.getIn(path, true);
    if (isNode(node) && node.range) return counter.linePos(node.range[0]).line;
    return path.length === 0 ? 1 : lineAt(path.slice(0, -1));
  };
  const parsed = v.safeParse(FileSchema, document.toJS({ maxAliasCount: 0 }));
  if (!parsed.success) {
    const findings = parsed.issues.map((issue) => {
      const path = (issue.path ?? []).map(({ key }) => key);
      return `${file}:${lineAt(path)}: ${v.getDotPath(issue) ?? "the file"}: ${wordsFor(issue)}`;
    });
    throw new UsageError(findings.join("\n"), "docs/why.md describes the format");
  }
  const { trustDomain, resources, tests } = parsed.output;
  return {
    file,
    trustDomain,
    resources: await resolved(file, resources),
    tests: tests.map((test, index) => ({ ...test, line: lineAt(["tests", index]) })),
  };
}

function wordsFor({ type, expected, message }: v.BaseIssue<unknown>): string {
  if (type !== "strict_object") return message;
  return expected === "never" ? "is no known field" : expected === "Object" ? "must be a mapping" : "is missing";
}

/** A path or a glob, relative to the test file; a glob that matches nothing is a mistake. */
async function resolved(file: string, patterns: readonly string[]): Promise<readonly string[]> {
  const paths: string[] = [];
  for (const pattern of patterns) {
    if (!/[*?[{]/.test(pattern)) {
      paths.push(...(await pathsOf(join(dirname(file), pattern))));
      continue;
    }
    const found = await Array.fromAsync(new Bun.Glob(pattern).scan({ cwd: dirname(file) }));
    const own = found.filter((path) => !TEST_FILE.test(path)).sort();
    if (own.length === 0) throw new UsageError(`${file}: resources: no file matches ${pattern}`);
    paths.push(...own.map((path) => join(dirname(file), path)));
  }
  return paths;
}
