/**
 * Runs a page of docs: every command in turn, in a directory of its own, against dist/weft and real Envoys; each must print what the page shows.
 * The page's ports (its table) are exchanged for free ones, and back in what is printed. WEFT_TOUR_RECORD=1 uses the page's own ports
 * and writes what was printed into the page.
 */
import { expect, test } from "bun:test";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { delimiter, dirname, join } from "node:path";
import { cleanEnvironment } from "../../scripts/lib/lab/processes.ts";
import { describeWhere, envoyFor } from "../skip.ts";
import { type Command, portsOf, readPage, writePage } from "./page.ts";
import { type Shell, startShell } from "./shell.ts";

const DIST = process.env.WEFT_BINARY ? dirname(process.env.WEFT_BINARY) : join(import.meta.dir, "../../dist");
if (!existsSync(join(DIST, "weft"))) throw new Error(`${join(DIST, "weft")} is missing: run scripts/build`);
const RECORD = process.env.WEFT_TOUR_RECORD === "1";
const PAGE_LIMIT_MS = 120_000;
/** The page tells its reader to ask again while things start; nothing else is repeated. */
const ASKS = /^(curl|weft proxies|weft check|for i in|grep|head)/;
const ASK_LIMIT_MS = 20_000;
/** What is recorded is read before it is committed; time for things to start is all it needs. */
const RECORD_AFTER_MS = 2_500;

const missing = ["bash", "python3", "openssl", "curl"].filter((tool) => Bun.which(tool) === null);

/** Each of `ports` with one that the system chose, free on all addresses; all are held until all are chosen. */
async function chooseFree(ports: readonly number[]): Promise<ReadonlyMap<string, string>> {
  const servers = await Promise.all(
    ports.map(async (port) => {
      const server = createServer();
      await new Promise<void>((resolve) => server.listen(0, "0.0.0.0", resolve));
      const address = server.address();
      return { server, port: String(port), free: String(address !== null && typeof address === "object" ? address.port : 0) };
    }),
  );
  await Promise.all(servers.map(({ server }) => new Promise((resolve) => server.close(resolve))));
  return new Map(servers.map(({ port, free }) => [port, free]));
}

const exchange = (text: string, ports: ReadonlyMap<string, string>) => text.replace(/\b\d{4,5}\b/g, (word) => ports.get(word) ?? word);

/** Columns are as wide as their ports; a proxy is connected since some time; Envoy may be another. */
const normalise = (text: string) =>
  text
    .replace(/\b\d+(s|m\d+s)$/gm, "TIME")
    .replace(/\b\d{4}-\d\d-\d\dT[\d:.]+Z/g, "TIME")
    .replace(/(?<![\d.])\d+\.\d+\.\d+(?![\d.])/g, "VERSION")
    .replace(/[^\S\n]+/g, " ")
    .trim();

/** `page`: below docs. A page that is not understood has fewer commands than `atLeast`, and would pass. */
export function describePage(page: string, atLeast: number): void {
  const envoy = envoyFor(`docs/${page}`);
  describeWhere(envoy !== undefined && missing.length === 0, `an Envoy, ${missing.join(", ") || "bash"}`, `docs/${page}`, () => {
    test(
      "every command prints what the page shows",
      () => runPage(join(import.meta.dir, "../../docs", page), atLeast, envoy ?? ""),
      PAGE_LIMIT_MS,
    );
  });
}

async function runPage(path: string, atLeast: number, envoy: string): Promise<void> {
  const page = readFileSync(path, "utf8");
  const parts = readPage(page);
  expect(parts.filter((part) => typeof part !== "string").length).toBeGreaterThanOrEqual(atLeast);
  const directory = mkdtempSync(join(tmpdir(), "weft-tour-"));
  const ports = RECORD ? new Map<string, string>() : await chooseFree(portsOf(page));
  const back = new Map(Array.from(ports, ([port, free]) => [free, port]));
  const at = (port: string) => `127.0.0.1:${ports.get(port) ?? port}`;
  const env = {
    ...cleanEnvironment(),
    PATH: [DIST, dirname(envoy), process.env.PATH].join(delimiter),
    WEFT_CONFIG: "/dev/null",
    WEFT_ENVOY: envoy,
    WEFT_ADS: at("15010"),
    WEFT_ADMIN: at("15014"),
  };
  const done: (string | Command)[] = [];
  try {
    await using shell = startShell({ cwd: directory, env });
    for (const part of parts) {
      if (typeof part === "string") {
        done.push(part);
        continue;
      }
      const printed = exchange(await ask(shell, exchange(part.text, ports), (out) => agrees(exchange(out, back), part)), back);
      if (!RECORD) expect(`line ${part.line}: ${normalise(printed)}`).toBe(`line ${part.line}: ${normalise(part.shown)}`);
      done.push({ ...part, shown: printed });
    }
    if (RECORD) writeFileSync(path, writePage(done));
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

const agrees = (printed: string, { shown }: Command) => normalise(printed) === normalise(shown);

/** What the command prints; a question that things still starting answer otherwise is asked again for a while. */
async function ask(shell: Shell, command: string, expected: (printed: string) => boolean): Promise<string> {
  const until = performance.now() + ASK_LIMIT_MS;
  if (RECORD && ASKS.test(command)) await Bun.sleep(RECORD_AFTER_MS);
  for (;;) {
    const printed = await shell.run(command);
    if (RECORD || expected(printed) || !ASKS.test(command) || performance.now() > until) return printed;
    await Bun.sleep(100);
  }
}
