import { describe, expect, test } from "bun:test";
import { CODES, decodeUtf8, MAX_INPUT_BYTES, parseDocuments } from "../../src/model/index.ts";
import { provenanceOf } from "../../src/model/resource.ts";
import { ORDERS, problemsOf } from "./support.ts";

/** code, line and column of each problem. */
const placesOf = (text: string) => parseDocuments(text, "mesh.yaml").problems.map(({ code, line, column }) => [code, line, column]);

describe("positions", () => {
  test("a file with five mistakes reports five problems, each at its line and column", () => {
    const text = `apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: Orders}
spec:
  host: [orders]
  hosts: [orders]
  http:
    - timeout: 5
      retries: {attempts: 2, retryOn: 5xy}
      route:
        - destination: {host: orders}
          weight: -1
`;
    expect(placesOf(text)).toEqual([
      [CODES.badName.code, 3, 18],
      [CODES.unknownField.code, 5, 3],
      [CODES.wrongType.code, 8, 16],
      [CODES.badValue.code, 9, 39],
      [CODES.outOfRange.code, 12, 19],
    ]);
  });

  test("the mistakes of every document of a file are reported, and the good documents are read", () => {
    const { resources, problems } = parseDocuments(
      `${ORDERS}---\nkind: WasmPlugin\napiVersion: extensions.istio.io/v1alpha1\n---\nnonsense\n`,
      "f",
    );
    expect(resources.map((resource) => resource.metadata.name)).toEqual(["orders"]);
    expect(problems.map(({ code, line, column }) => [code, line, column])).toEqual([
      [CODES.notYet.code, 18, 7],
      [CODES.notAResource.code, 21, 1],
    ]);
  });

  test("JSON has positions too", () => {
    const text =
      '{"apiVersion": "security.istio.io/v1", "kind": "PeerAuthentication",\n\t"metadata": {"name": "x"},\n\t"spec": {"mtls": {"mode": "LOOSE"}}}';
    expect(placesOf(text)).toEqual([[CODES.notOneOf.code, 3, 28]]);
  });

  test("a problem of a missing field is shown at the mapping that lacks it", () => {
    expect(placesOf("apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: x}\nspec:\n  subsets: []\n")).toEqual([
      [CODES.missing.code, 4, 1],
    ]);
  });

  test("every part of a resource knows its line, and a rule's provenance names it", () => {
    const [resource] = parseDocuments(`# a comment\n---\n${ORDERS}`, "mesh.yaml").resources;
    expect(resource?.source.lines).toMatchObject({
      "": 3,
      "metadata.name": 6,
      spec: 7,
      "spec.http": 9,
      "spec.http.0": 10,
      "spec.http.1.route.0.weight": 18,
    });
    if (!resource) throw new Error("no resource");
    expect(provenanceOf(resource, "spec", "http", 0, "route", 0, "weight")).toEqual({
      kind: "VirtualService",
      namespace: "default",
      name: "orders",
      file: "mesh.yaml",
      line: 13,
    });
  });

  test("the items of a List are resources with lines of their own", () => {
    const list = `apiVersion: v1\nkind: List\nitems:\n- apiVersion: security.istio.io/v1\n  kind: PeerAuthentication\n  metadata: {name: a}\n- apiVersion: security.istio.io/v1\n  kind: PeerAuthentication\n  metadata: {name: b}\n  spec: {mtls: {mode: BAD}}\n`;
    const { resources, problems } = parseDocuments(list, "f");
    expect(resources.map(({ metadata, source }) => [metadata.name, source.lines[""], source.lines["metadata.name"]])).toEqual([
      ["a", 4, 6],
    ]);
    expect(problems.map(({ line, column }) => [line, column])).toEqual([[10, 23]]);
  });
});

const INDENT = "look at the indentation: keys of one mapping start in one column; a value with a colon in it needs quotes";
const QUOTE = "put a value in quotes that has one of [ ] { } , : # in it, or close what is open";

describe("hostile and broken text", () => {
  const expectOne = (text: string, code: string, line?: number, column?: number) => {
    const { resources, problems } = parseDocuments(text, "f");
    expect(resources).toEqual([]);
    expect(problems.map((found) => found.code)).toEqual([code]);
    if (line !== undefined) expect(problems.map((found) => [found.line, found.column])).toEqual([[line, column ?? 1]]);
  };

  test("a key that occurs twice is refused, naming the first one's line", () => {
    const text = ORDERS.replace("  hosts: [orders]\n", "  hosts: [orders]\n  hosts: [other]\n");
    expectOne(text, CODES.duplicateKey.code, 7, 3);
    expect(problemsOf(text)[0]).toContain("line 6");
  });

  test("aliases that multiply are refused", () => {
    const levels = "abcdefgh".split("").map(
      (name, i, all) =>
        `${name}: &${name} [${Array(9)
          .fill(i === 0 ? "x" : `*${all[i - 1]}`)
          .join(", ")}]`,
    );
    const { resources, problems } = parseDocuments(levels.join("\n"), "f");
    expect(resources).toEqual([]);
    expect(problems.map((found) => found.code)).toContain(CODES.aliasBomb.code);
  });

  test("an alias of what contains it is refused", () => expectOne("a: &a [*a]", CODES.aliasBomb.code, 1, 8));

  test("a few aliases and merge keys are read as Kubernetes' tools do", () => {
    const text = ORDERS.replace("{prefix: /v2}", "&p {prefix: /v2}").replace(
      "- route:",
      "- match: [{uri: *p}, {<<: {ignoreUriCase: true}, uri: {exact: /}}]\n      route:",
    );
    const { resources, problems } = parseDocuments(text, "f");
    expect(problems).toEqual([]);
    expect(resources[0]?.spec).toMatchObject({
      http: [{}, { match: [{ uri: { prefix: "/v2" } }, { ignoreUriCase: true, uri: { exact: "/" } }] }],
    });
  });

  test("deep nesting is refused where it gets too deep, without reading on", () => {
    expectOne("[".repeat(1_000_000), CODES.tooDeep.code);
    expectOne("- ".repeat(1000), CODES.tooDeep.code);
    expectOne(Array.from({ length: 300 }, (_, depth) => `${" ".repeat(depth)}a:`).join("\n"), CODES.tooDeep.code);
  });

  test("10 MB of text are refused unread", () => {
    const began = performance.now();
    expectOne("a: b\n".repeat(2_000_000), CODES.tooLarge.code);
    expect(performance.now() - began).toBeLessThan(1000);
  });

  test("the limit is on bytes, not characters", () => {
    expectOne(`# ${"é".repeat(MAX_INPUT_BYTES / 2)}`, CODES.tooLarge.code);
  });

  test("a flood of documents is refused", () => expectOne("---\n".repeat(60_000), CODES.tooLarge.code));

  test("one document of very many parts is refused before it takes the memory", () => {
    expectOne(`[${"0,".repeat(2_000_000)}]`, CODES.tooLarge.code);
  });

  test("broken YAML is a problem with its place", () => {
    expectOne("kind: [a, b\nx: y", CODES.syntax.code);
    expectOne("a: 'never closed", CODES.syntax.code);
    expectOne("a: *nowhere", CODES.syntax.code);
  });

  test("one slip in YAML is one problem, with its mend", () => {
    const helps = (text: string) => parseDocuments(text, "f").problems.map(({ line, help }) => `${line}: ${help}`);
    expect(helps("metadata:\n  name: a\n   namespace: b\n")).toEqual([`2: ${INDENT}`]);
    expect(helps("when: [{key: request.header[x], values: [a]}]\n")).toEqual([`1: ${QUOTE}`]);
    expect(helps("apiVersion: a\nkind: b\napiVersion: c\n")).toEqual(["3: where another resource begins, a line with --- goes before it"]);
  });

  test("a kind without its apiVersion is told which to write, and so is one with another's", () => {
    expect(parseDocuments("kind: Gateway", "f").problems[0]?.help).toBe("add apiVersion: networking.istio.io/v1");
    const wrong = "apiVersion: networking.istio.io/v1\nkind: MeshConfig\nmetadata: {name: mesh, namespace: weft-system}\nspec: {}\n";
    expect(parseDocuments(wrong, "f").problems[0]?.message).toStartWith("apiVersion: must be weft.dev/v1 for MeshConfig");
  });

  test("custom tags, infinite numbers, octal numbers and keys that are no strings are refused", () => {
    for (const text of ["a: !ruby/object {}", "a: .inf", "a: 0755", "{[1]: 2}", "a: !!binary aGk="]) {
      const codes = parseDocuments(text, "f").problems.map((found) => found.code);
      expect([text, codes[0] === CODES.unsupportedYaml.code || codes[0] === CODES.syntax.code]).toEqual([text, true]);
    }
  });

  test("names of JavaScript's own object parts are unknown fields like others", () => {
    for (const name of ["__proto__", "constructor", "toString", "hasOwnProperty"]) {
      const problems = problemsOf(
        `apiVersion: security.istio.io/v1\nkind: PeerAuthentication\nmetadata: {name: x}\nspec: {${name}: {mode: STRICT}}`,
      );
      expect(problems).toHaveLength(1);
      expect(problems[0]).toStartWith("unknownField");
    }
  });

  test("whatever the text is, parsing ends with problems and does not throw", () => {
    const signs = "[]{}:,-?*&!|>'\"%@` \n\tab~#\\0";
    let seed = 42;
    const next = () => {
      seed = (seed * 1_103_515_245 + 12_345) % 2 ** 31;
      return seed;
    };
    for (let run = 0; run < 300; run++) {
      const text = Array.from({ length: 200 }, () => signs[next() % signs.length]).join("");
      const { resources } = parseDocuments(text, "f");
      expect(resources).toEqual([]);
    }
  });

  test("a file of nonsense does not become a flood of problems", () => {
    const { problems } = parseDocuments("a: b\n---\n".repeat(5000), "f");
    expect(problems).toHaveLength(1001);
    expect(problems.at(-1)?.message).toContain("more problems");
  });

  test("a byte order mark is no character of the document", () => {
    expect(parseDocuments(`\uFEFF${ORDERS}`, "f").problems).toEqual([]);
  });

  test("bytes that are not UTF-8 are refused at their line and column", () => {
    const bytes = Buffer.concat([Buffer.from("kind: é\nname: "), Buffer.from([0xff, 0xfe]), Buffer.from("x\n")]);
    const decoded = decodeUtf8(bytes, "f.yaml");
    expect("problem" in decoded && [decoded.problem.code, decoded.problem.line, decoded.problem.column]).toEqual([
      CODES.notUtf8.code,
      2,
      7,
    ]);
    const cut = decodeUtf8(Buffer.from("a: é").subarray(0, 4), "f.yaml");
    expect("problem" in cut && [cut.problem.line, cut.problem.column]).toEqual([1, 4]);
    expect(decodeUtf8(Buffer.from("a: é"), "f.yaml")).toEqual({ text: "a: é" });
  });
});

test("a thousand resources are parsed and checked within seconds of processor time", () => {
  const text = Array.from({ length: 1000 }, (_, i) => ORDERS.replace("name: orders", `name: orders-${i}`)).join("---\n");
  const began = process.cpuUsage();
  const { resources, problems } = parseDocuments(text, "f");
  expect(problems).toEqual([]);
  expect(resources).toHaveLength(1000);
  // Not by the clock on the wall: the machine may be busy with other tests.
  expect(process.cpuUsage(began).user / 1000).toBeLessThan(5000);
});
