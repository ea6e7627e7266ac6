import { afterEach } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

/** Directories that are gone after each test; call it once at the top of a test file. */
export function temporaryDirectories(): () => string {
  const made: string[] = [];
  afterEach(() => {
    for (const directory of made.splice(0)) rmSync(directory, { recursive: true, force: true });
  });
  return () => {
    const directory = mkdtempSync(join(tmpdir(), "weft-store-"));
    made.push(directory);
    return directory;
  };
}

/** Starts children.ts; `lines` gives what it prints. */
export function startChild(verb: string, path: string) {
  const child = Bun.spawn([process.execPath, fileURLToPath(import.meta.resolve("./children.ts")), verb, path], {
    stdout: "pipe",
    stderr: "inherit",
  });
  return { child, lines: linesOf(child.stdout) };
}

/** Whole lines only: what a killed process left unfinished is not a line. */
async function* linesOf(stream: ReadableStream<Uint8Array>): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  let rest = "";
  for await (const chunk of stream) {
    const parts = (rest + decoder.decode(chunk, { stream: true })).split("\n");
    rest = parts.pop() ?? "";
    yield* parts;
  }
}
