/** Results as JUnit XML, as CI systems read it. */
import type { TestResult } from "./test-run.ts";

export function junit(results: readonly (TestResult & { readonly file: string })[]): string {
  const suites = [...Map.groupBy(results, ({ file }) => file)].map(([file, tests]) => {
    const cases = tests.map(
      (test) =>
        `    <testcase${attributes({ classname: file, name: test.name, file, line: test.line, time: seconds([test]) })}${body(test)}`,
    );
    return `  <testsuite${counts(tests, { name: file })}>\n${cases.join("\n")}\n  </testsuite>`;
  });
  return `<?xml version="1.0" encoding="UTF-8"?>\n<testsuites${counts(results, { name: "weft test" })}>\n${suites.join("\n")}\n</testsuites>\n`;
}

function body({ differences, summary }: TestResult): string {
  if (differences.length === 0) return "/>";
  return `>\n      <failure${attributes({ message: differences.join("; ") })}>${escaped(summary)}</failure>\n    </testcase>`;
}

function counts(tests: readonly TestResult[], more: Readonly<Record<string, string>>): string {
  const failures = tests.filter(({ differences }) => differences.length > 0).length;
  return attributes({ ...more, tests: tests.length, failures, errors: 0, time: seconds(tests) });
}

function seconds(tests: readonly TestResult[]): string {
  return (tests.reduce((sum, { milliseconds }) => sum + milliseconds, 0) / 1000).toFixed(3);
}

function attributes(values: Readonly<Record<string, string | number>>): string {
  return Object.entries(values)
    .map(([name, value]) => ` ${name}="${escaped(String(value))}"`)
    .join("");
}

const ENTITIES: Readonly<Record<string, string>> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "\n": "&#10;" };

/** XML 1.0 has no place for other control characters, not even escaped. */
function escaped(text: string): string {
  return text.replace(/(?![\n\t])\p{Cc}/gu, "\ufffd").replace(/[&<>"\n]/g, (character) => ENTITIES[character] ?? character);
}
