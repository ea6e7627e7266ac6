/** What a `bun test` run's JUnit report says, in one line. */
import { readFileSync } from "node:fs";

export interface Counts {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
}

/** `code` is the run's exit code: a run that ended badly, or ran nothing, is a failure whatever its report says. */
export function countTests(report: string, code: number): Counts {
  let xml = "";
  try {
    xml = readFileSync(report, "utf8");
  } catch {
    return { passed: 0, failed: 1, skipped: 0 };
  }
  const attribute = (name: string) => Number(new RegExp(`<testsuites[^>]*\\b${name}="(\\d+)"`).exec(xml)?.[1] ?? 0);
  const [total, failures, skipped] = [attribute("tests"), attribute("failures") + attribute("errors"), attribute("skipped")];
  // A run that ended badly without a failed test (a crash, no test found) is a failure all the same.
  const failed = failures === 0 && (code !== 0 || total === 0) ? 1 : failures;
  return { passed: Math.max(0, total - failures - skipped), failed, skipped };
}

export interface Failure {
  /** "file:line outer > inner > test", as far as the report says. */
  readonly test: string;
  readonly message: string;
}

/** The failed tests of a report, with what each said. */
export function failuresOf(report: string): Failure[] {
  let xml = "";
  try {
    xml = readFileSync(report, "utf8");
  } catch {
    return [];
  }
  return [...xml.matchAll(/<testcase\b([^>]*[^/])>\s*<(?:failure|error)\b([^>]*)>/g)].map(([, test = "", failure = ""]) => {
    const of = (attributes: string, name: string) => unescaped(new RegExp(`\\b${name}="([^"]*)"`).exec(attributes)?.[1] ?? "");
    const name = [of(test, "classname"), of(test, "name")].filter(Boolean).join(" > ");
    return { test: `${of(test, "file")}:${of(test, "line")} ${name}`, message: of(failure, "message") };
  });
}

const ENTITIES: Readonly<Record<string, string>> = { lt: "<", gt: ">", amp: "&", quot: '"', apos: "'" };

function unescaped(text: string): string {
  return text.replace(/&(?:#(\d+)|(\w+));/g, (whole, code, name) =>
    code ? String.fromCodePoint(Number(code)) : (ENTITIES[name] ?? whole),
  );
}
