import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { documents, MTLS, newDirectory, run, SERVICE, startWeft, useBinary, type Weft } from "./harness.ts";

useBinary();

let weft: Weft;
beforeAll(async () => {
  weft = await startWeft();
});
afterAll(() => weft.stop());

const MEBIBYTE = 1024 * 1024;
/** Measured: 120 MiB before, and under 400 after all of this file. */
const MOST_MEMORY = 700 * MEBIBYTE;

const entry = (spec: string) => `apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {name: bad}\nspec: ${spec}\n`;
const mtls = (metadata: string, spec = "{}") =>
  `{"apiVersion": "security.istio.io/v1", "kind": "PeerAuthentication", "metadata": ${metadata}, "spec": ${spec}}`;

/** Each alias stands for ten of the one before: 10^12 values in 1 kB. */
const BOMB = [
  "a0: &a0 [x,x,x,x,x,x,x,x,x,x]",
  ...Array.from({ length: 12 }, (_, i) => `a${i + 1}: &a${i + 1} [${Array(10).fill(`*a${i}`)}]`),
].join("\n");

/** What is wrong, the input, and the place that must be named: code, line and column of the first problem. */
const REFUSED: readonly (readonly [name: string, input: string | Uint8Array, code: string, line: number, column: number])[] = [
  ["a billion laughs", BOMB, "WF0006", 2, 10],
  ["a billion laughs in a spec", entry(`\n${BOMB.replace(/^/gm, "  ")}`), "WF0006", 6, 12],
  ["an alias of what contains it", entry("&a {hosts: [*a]}"), "WF0006", 4, 19],
  ["an alias of nothing", entry("{hosts: [*nope]}"), "WF0003", 4, 16],
  ["a key that stands twice", entry("{hosts: [a], hosts: [b]}"), "WF0004", 4, 20],
  ["10,000 open brackets", entry("[".repeat(10_000)), "WF0005", 4, 72],
  ["10,000 nested lists", "- ".repeat(10_000), "WF0005", 1, 132],
  ["10,000 nested mappings", entry(`${'{"a":'.repeat(10_000)}1${"}".repeat(10_000)}`), "WF0005", 4, 328],
  ["bytes that are no UTF-8", Uint8Array.from([...Buffer.from("apiVersion: v1\nkind: x"), 0xff, 0xfe]), "WF0001", 2, 8],
  ["a character cut off at the end", Buffer.from("kind: é").subarray(0, -1), "WF0001", 1, 7],
  ["UTF-16", Buffer.from("\ufeffkind: x\n", "utf16le"), "WF0001", 1, 1],
  ["a NUL byte in YAML", "apiVersion: networking.istio.io/v1\nkind: Service\0Entry\n", "WF0012", 2, 7],
  ["a NUL byte in a name", mtls('{"name": "a\\u0000b"}'), "WF0014", 1, 91],
  ["tabs as indentation", "apiVersion: security.istio.io/v1\nmetadata:\n\tname: x\n", "WF0003", 3, 1],
  ["a number too large for JSON", entry("{ports: [{number: 1e400}]}"), "WF0007", 4, 25],
  ["no number", entry("{ports: [{number: .nan}]}"), "WF0007", 4, 25],
  ["a tag of a programming language", entry("!!js/function 'x'"), "WF0007", 4, 7],
  ["a mapping as a key", entry("{[a]: b}"), "WF0003", 4, 8],
  ["__proto__ as a field", mtls('{"name": "p"}', '{"__proto__": {"mtls": {"mode": "STRICT"}}}'), "WF0101", 1, 106],
  ["__proto__ as a kind", '{"apiVersion": "security.istio.io/v1", "kind": "__proto__", "metadata": {"name": "p"}}', "WF0012", 1, 48],
  ["constructor as a kind", "apiVersion: constructor\nkind: constructor\nmetadata: {name: p}\n", "WF0012", 2, 7],
  ["constructor as a field", mtls('{"name": "p"}', '{"constructor": {}}'), "WF0101", 1, 106],
  ["a name of 300 letters", MTLS("STRICT", "n".repeat(300)), "WF0014", 3, 18],
  ["a name that leads elsewhere", MTLS("STRICT", "../../etc/passwd"), "WF0014", 3, 18],
  ["a kind that there is not", "apiVersion: networking.istio.io/v1\nkind: Gatewey\nmetadata: {name: x}\n", "WF0012", 2, 7],
  ["a version that there is not", "apiVersion: security.istio.io/v9\nkind: PeerAuthentication\nmetadata: {name: x}\n", "WF0011", 1, 13],
  ["a list", "- a\n- b\n", "WF0010", 1, 1],
  ["a text", "hello\n", "WF0010", 1, 1],
  ["a number", "42", "WF0010", 1, 1],
  ["a list as spec", entry("[a, b]"), "WF0103", 4, 1],
  ["texts for lists", entry("{resolution: STATIC, hosts: a}"), "WF0103", 4, 35],
  ["a list as name", mtls('{"name": ["a"]}'), "WF0103", 1, 83],
  ["a spec without its end", entry("{hosts: [a"), "WF0003", 5, 1],
];

describe("a wrong input is refused with code, line and column, and nothing of it is applied:", () => {
  test.each(REFUSED.map((row) => [...row] as const))("%s", async (_name, input, code, line, column) => {
    const good = Buffer.from(documents(SERVICE("good"), ""));
    const shift = good.toString().split("\n").length - 1;
    // Behind a good document, which must not be applied either. JSON and byte order marks stand at the start only.
    const body = Buffer.concat([good, Buffer.from(input)]);
    const answer = await weft.ask("POST", "/v1/apply?file=bad.yaml", body);
    expect(answer).toMatchObject({ status: 422, json: { code: "invalid" } });
    expect(answer.headers.get("content-type")).toBe("application/problem+json");
    expect(answer.json.problems[0]).toMatchObject({ code, severity: "error", file: "bad.yaml", line: line + shift, column });
    expect(answer.json.problems[0].message).toMatch(/\w/);
    expect((await weft.ask("GET", "/v1/resources")).json).toEqual({ revision: 0, items: [] });
  });

  test("the same words come from weft validate, offline, with exit 1", async () => {
    const directory = newDirectory();
    const files = REFUSED.map(([, input], index) => {
      const file = join(directory, `${index}.yaml`);
      writeFileSync(file, input);
      return file;
    });
    const { code, out, err } = await run(["validate", "-o", "json", ...files.flatMap((file) => ["-f", file])]);
    expect({ code, err }).toEqual({ code: 1, err: "" });
    const problems: { file: string; code: string; line: number; column: number }[] = JSON.parse(out).problems;
    const first = files.map((file) => problems.find((problem) => problem.file === file));
    expect(first.map((problem) => [problem?.code, problem?.line, problem?.column])).toEqual(
      REFUSED.map(([, , code, line, column]) => [code, line, column]),
    );
  });
});

describe("a body that is", () => {
  test("larger than 4 MiB is refused with 413 and what to do, whether or not it tells its length", async () => {
    const large = "a".repeat(10 * MEBIBYTE);
    const told = await weft.ask("POST", "/v1/apply", large);
    expect(told).toMatchObject({ status: 413, json: { code: "too_large", help: expect.stringContaining("split") } });
    const chunked = await fetch("http://weft/v1/apply", {
      method: "POST",
      unix: weft.listening.admin_socket,
      body: new ReadableStream({
        start(controller) {
          for (let part = 0; part < 10; part++) controller.enqueue(Buffer.alloc(MEBIBYTE, "a"));
          controller.close();
        },
      }),
    });
    expect(chunked.status).toBe(413);
    const file = join(newDirectory(), "large.yaml");
    writeFileSync(file, large);
    const validated = await run(["validate", "-f", file]);
    expect(validated.code).toBe(1);
    expect(validated.out).toContain(`${file}:1:1: error WF0002`);
    expect(await weft.cli(["apply", "-f", file])).toMatchObject({ code: 1, out: "", err: expect.stringContaining("4 MiB") });
  });

  test("empty, or holds comments only, is refused: a mistake of the caller must not look like success", async () => {
    for (const body of ["", " \n", "# nothing\n", "---\n---\n...\n", "null\n"]) {
      expect(await weft.ask("POST", "/v1/apply", body)).toMatchObject({ status: 400, json: { detail: "the input holds no resource" } });
    }
  });

  test("compressed, or of a type that is no text, is refused", async () => {
    const gzip = { "content-encoding": "gzip" };
    expect((await weft.ask("POST", "/v1/apply", Bun.gzipSync(Buffer.from(SERVICE("zip"))), gzip)).json).toMatchObject({ code: "invalid" });
    expect((await weft.ask("POST", "/v1/apply", SERVICE("png"), { "content-type": "image/png" })).status).toBe(400);
    expect((await weft.ask("POST", "/v1/apply?dryrun=true", SERVICE("typo"))).json.detail).toContain('did you mean "dryRun"');
  });

  test("many megabytes of documents is read while probes are answered", async () => {
    const body = `${MTLS("STRICT")}---\n`.repeat(6_000);
    const order: string[] = [];
    const apply = weft.ask("POST", "/v1/apply", body).then((answer) => {
      order.push("apply");
      return answer;
    });
    for (let probe = 0; probe < 5; probe++) {
      expect((await weft.ask("GET", "/healthz")).status).toBe(200);
      order.push("probe");
    }
    const { status, json } = await apply;
    expect(status).toBe(422);
    // The last of them says how many more there were.
    expect(json.problems).toHaveLength(1001);
    expect(order.indexOf("apply")).toBe(5);
  });
});

test("line ends of any system, a byte order mark, JSON, and comments are all read", async () => {
  await using other = await startWeft();
  const json = JSON.stringify({ apiVersion: "security.istio.io/v1", kind: "PeerAuthentication", metadata: { name: "json" }, spec: {} });
  for (const body of [
    MTLS("STRICT", "crlf").replaceAll("\n", "\r\n"),
    `\ufeff${MTLS("STRICT", "bom")}`,
    json,
    `# first\n${MTLS("STRICT", "c")}`,
  ]) {
    expect((await other.ask("POST", "/v1/apply", body)).json).toMatchObject({ applied: [{ action: "created" }] });
  }
});

describe("weft validate", () => {
  const FIVE = documents(
    SERVICE("orders").replace("number: 8080", "number: 80800").replace("location: MESH", "locatoin: MESH"),
    MTLS("STRIKT"),
    "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {name: viewer}\nspec:\n  action: PERMIT\n  rules:\n  - to: [{operation: {methods: GET}}]\n",
  );

  test("reports all five mistakes of a file, each with line and column, and exits 1", async () => {
    const file = join(newDirectory(), "five.yaml");
    writeFileSync(file, FIVE);
    const table = await run(["validate", "-f", file]);
    expect(table).toMatchObject({ code: 1, err: "" });
    const found = table.out.matchAll(/^(\S+):(\d+):(\d+): error WF\d{4}: /gm);
    const places = Array.from(found, ([, where = "", line, column]): [string, number, number] => [where, Number(line), Number(column)]);
    expect(places).toEqual([
      [file, 6, 3],
      [file, 8, 20],
      [file, 15, 16],
      [file, 21, 11],
      [file, 23, 32],
    ]);
    expect(table.out).toContain("did you mean");
    expect(table.out).toContain("5 errors");

    const { code, out } = await run(["validate", "-f", "-", "-o", "json"], { input: FIVE });
    expect(code).toBe(1);
    const { valid, problems } = JSON.parse(out) as { valid: boolean; problems: { file: string; line: number; column: number }[] };
    expect(valid).toBe(false);
    expect(problems.map(({ line, column }) => [line, column])).toEqual(places.map(([, line, column]) => [line, column]));
    expect(new Set(problems.map(({ file: name }) => name))).toEqual(new Set(["<stdin>"]));

    const applied = await weft.cli(["apply", "-f", file]);
    expect(applied).toMatchObject({ code: 1, out: "" });
    for (const [, line, column] of places) expect(applied.err).toContain(`${file}:${line}:${column}: error WF`);
  });

  test("names no terminal's control characters, whatever a file holds", async () => {
    const { code, out } = await run(["validate", "-f", "-"], { input: MTLS('"\\e[31mred"') });
    expect(code).toBe(1);
    expect(out).toContain("red");
    expect(out).not.toContain("\u001b");
  });
});

test("after all of this weft answers as before, in bounded memory", async () => {
  const peak = Number(/VmHWM:\s+(\d+) kB/.exec(readFileSync(`/proc/${weft.pid}/status`, "utf8"))?.[1]) * 1024;
  expect(peak).toBeLessThan(MOST_MEMORY);
  expect((await weft.ask("GET", "/healthz")).status).toBe(200);
  expect((await weft.ask("GET", "/v1/resources")).json).toEqual({ revision: 0, items: [] });
  expect(weft.stderr()).not.toContain("defect");
  expect(await weft.apply(SERVICE("orders"))).toMatchObject({ revision: 1 });
});
