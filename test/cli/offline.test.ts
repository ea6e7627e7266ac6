import { describe, expect, test } from "bun:test";
import { join } from "node:path";
import { parse } from "yaml";
import { lineDiff } from "../../src/cli/line-diff.ts";
import { clean, json, table, yaml } from "../../src/cli/output.ts";
import { peerAuthentication } from "../admin/harness.ts";
import { files, useFiles, weft } from "./harness.ts";

useFiles();

describe("weft validate", () => {
  test("says yes to good files, in directories with subdirectories too", async () => {
    const directory = files({
      "a.yaml": peerAuthentication("STRICT", "a"),
      "sub/b.yml": peerAuthentication("STRICT", "b"),
      "sub/c.json": JSON.stringify({ apiVersion: "security.istio.io/v1", kind: "PeerAuthentication", metadata: { name: "c" }, spec: {} }),
      "notes.txt": "not: [read",
    });
    const { code, out, err } = await weft(["validate", "-f", directory]);
    expect([code, err]).toEqual([0, ""]);
    // Each policy after the oldest of its scope gets a warning.
    expect(out).toEndWith("3 valid resources, 0 errors, 2 warnings in 3 files\n");
  });

  test("leaves out weft's data directories and hidden directories", async () => {
    const listening = JSON.stringify({ pid: 1, ads: "127.0.0.1:15010" });
    const directory = files({
      "mesh.yaml": peerAuthentication("STRICT", "a"),
      "d/listening.json": listening,
      "d/lock.db": "",
      "d/ca/x.json": listening,
      ".git/config.yaml": "not: ours",
      "sub/.cache/x.yml": "not: ours",
      "sub/b.yaml": peerAuthentication("STRICT", "b"),
    });
    expect(await weft(["validate", "-f", directory])).toMatchObject({ code: 0, out: expect.stringContaining("in 2 files\n") });
    expect(await weft(["validate", "-f", join(directory, "d")])).toMatchObject({ code: 2, err: expect.stringContaining("holds no .yaml") });
    // By its name it is read all the same.
    expect((await weft(["validate", "-f", join(directory, "d/listening.json")])).code).toBe(1);
    expect((await weft(["validate", "--help"])).out).toContain("hidden ones and weft's data");
  });

  test("prints every problem of every file as file:line:column, and exits 1", async () => {
    const directory = files({ "a.yaml": peerAuthentication("STRIKT"), "b.yaml": peerAuthentication("OPEN", "b").replace("mtls", "mtlss") });
    const { code, out } = await weft(["validate", "-f", directory]);
    expect(code).toBe(1);
    expect(out).toMatch(/a\.yaml:7:\d+: error WF\d{4}: .*\n/);
    expect(out).toMatch(/b\.yaml:6:\d+: error WF\d{4}: .*mtlss/);
    expect(out).toContain("2 errors");
  });

  test("tells scripts the same as JSON", async () => {
    const { code, out } = await weft(["validate", "-f", "-", "-o", "json"], { stdin: peerAuthentication("STRIKT") });
    expect(code).toBe(1);
    expect(JSON.parse(out)).toMatchObject({ valid: false, resources: 0, problems: [{ file: "<stdin>", line: 7, severity: "error" }] });
  });

  test("finds the same resource in two files", async () => {
    const directory = files({ "a.yaml": peerAuthentication("STRICT"), "b.yaml": peerAuthentication("PERMISSIVE") });
    const { code, out } = await weft(["validate", "-f", directory]);
    expect(code).toBe(1);
    expect(out).toContain(`${join(directory, "b.yaml")}:1:1: error WF0013:`);
    expect(out).toContain(`${join(directory, "a.yaml")}:1 already`);
  });

  test("names the byte that is no UTF-8", async () => {
    const directory = files({ "latin1.yaml": new Uint8Array([0x61, 0x3a, 0x20, 0xff, 0x0a]) });
    const { code, out } = await weft(["validate", "-f", join(directory, "latin1.yaml")]);
    expect(code).toBe(1);
    expect(out).toContain("latin1.yaml:1:4: error WF0001");
  });

  test("exits 2 where there is nothing to read", async () => {
    const directory = files({ "readme.md": "" });
    expect(await weft(["validate", "-f", join(directory, "missing.yaml")])).toMatchObject({
      code: 2,
      err: expect.stringContaining("There is no file"),
    });
    expect(await weft(["validate", "-f", directory])).toMatchObject({ code: 2, err: expect.stringContaining("holds no .yaml") });
    expect((await weft(["validate", "-f", "-", "-f", "-"])).code).toBe(2);
  });
});

describe("weft validate, across documents", () => {
  const orders = `apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: orders}
spec:
  hosts: [shop.example.com]
  http:
    - route: [{destination: {host: order}}]
`;
  const service = `apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: orders}
spec:
  hosts: [orders]
  resolution: STATIC
  ports: [{number: 80, name: http, protocol: HTTP}]
  endpoints: [{address: 10.0.0.1}]
`;

  test("finds a name that leads nowhere, whatever file the service is in, and exits 0", async () => {
    const directory = files({ "routes.yaml": orders, "service.yaml": service });
    const { code, out } = await weft(["validate", "-f", directory]);
    expect(code).toBe(0);
    expect(out).toContain(
      `${join(directory, "routes.yaml")}:7:36: warning WF0501: spec.http[0].route[0].destination.host: there is no service "order"`,
    );
    expect(out).toContain("help: there are: orders.default.mesh.local");
  });

  test("does not miss services in files that hold none: they are a part of a mesh", async () => {
    expect((await weft(["validate", "-f", "-"], { stdin: orders })).out).toBe("1 valid resource, 0 errors, 0 warnings in 1 file\n");
  });

  test("waits with them until each document is well by itself", async () => {
    const { code, out } = await weft(["validate", "-f", "-"], { stdin: `${orders}---\n${service.replace("STATIC", "STATIK")}` });
    expect(code).toBe(1);
    expect(out).not.toContain("WF0501");
  });
});

describe("weft explain", () => {
  test("prints title, cause, example and mend of a code, whatever its case", async () => {
    const { code, out } = await weft(["explain", "wf0501"]);
    expect(code).toBe(0);
    expect(out).toStartWith("WF0501: No such service\n\nCause\n    A route or rule names a host");
    expect(out).toContain("\n\nExample\n    apiVersion: networking.istio.io/v1\n");
    expect(out).toContain("\n\nMend\n    Check the spelling");
    expect((await weft(["explain", "501"])).out).toBe(out);
    expect(JSON.parse((await weft(["explain", "WF0501", "-o", "json"])).out)).toMatchObject({ code: "WF0501", title: "No such service" });
  });

  test("lists all codes, in order", async () => {
    const { out } = await weft(["explain"]);
    const codes = [...out.matchAll(/^WF\d{4}/gm)].map(([code]) => code);
    expect(codes.length).toBeGreaterThan(40);
    expect(codes).toEqual([...codes].sort());
  });

  test("suggests a code for one that there is not, by its digits or by what it finds", async () => {
    expect(await weft(["explain", "WF9501"])).toMatchObject({ code: 2, err: expect.stringContaining("did you mean WF0501?") });
    expect(await weft(["explain", "unknown-host"])).toMatchObject({ code: 2, err: expect.stringContaining("did you mean WF0501?") });
    expect(await weft(["explain", "xyzzy"])).toMatchObject({ code: 2, err: expect.stringContaining("weft explain lists all") });
  });
});

describe("The command line", () => {
  test("shows help for every verb, on stdout with exit 0", async () => {
    for (const verb of [
      "run",
      "apply",
      "get",
      "delete",
      "validate",
      "diff",
      "services",
      "mtls",
      "proxies",
      "proxy",
      "ca",
      "token",
      "check",
      "explain",
      "version",
      "completion",
    ]) {
      const { code, out, err } = await weft([verb, "--help"]);
      expect([verb, code, err]).toEqual([verb, 0, ""]);
      expect(out).toContain(`weft ${verb}`);
    }
  });

  test("answers a wrong verb or flag with a suggestion and exit 2", async () => {
    expect(await weft(["aply"])).toMatchObject({ code: 2, err: expect.stringContaining("did you mean `apply`") });
    expect(await weft(["apply", "--dry-rum"])).toMatchObject({ code: 2, err: expect.stringContaining("--dry-run") });
    expect(await weft(["get", "virtualservise"])).toMatchObject({ code: 2, err: expect.stringContaining("did you mean VirtualService?") });
    expect(await weft(["get"])).toMatchObject({ code: 2, err: expect.stringMatching(/help: kinds: .*VirtualService \(vs\), /) });
    for (const kind of ["wasmplugins", "trafficextension", "wasmplugins.extensions.istio.io"]) {
      expect(await weft(["get", kind])).toMatchObject({
        code: 2,
        err: expect.stringMatching(/^weft: \w+ is a kind .* not translate yet\n/),
      });
    }
    expect((await weft(["apply", "-f", "x", "--wait", "soon"])).code).toBe(2);
    expect((await weft(["get", "vs", "-o", "xml"])).code).toBe(2);
  });

  test("says which socket it tried and how to start weft where none runs", async () => {
    const { code, err } = await weft(["services", "--data", "/nowhere"]);
    expect(code).toBe(2);
    expect(err).toContain("/nowhere/admin.sock: there is no such socket");
    expect(err).toContain("weft run --data /nowhere");
  });

  test("prints its version", async () => {
    expect((await weft(["version"])).out).toStartWith("weft 1.2.3 ");
  });

  test("completes verbs, flags and kinds, with scripts for three shells", async () => {
    expect((await weft(["__complete", "appl"])).out).toBe("apply\tApply resources, all in one transaction\n");
    expect((await weft(["__complete", "apply", "--dry"])).out).toStartWith("--dry-run\t");
    expect((await weft(["__complete", "get", "virt"])).out).toStartWith("virtualservice\t");
    for (const shell of ["bash", "zsh", "fish"]) expect((await weft(["completion", shell])).out).toContain("__complete");
    expect((await weft(["completion", "tcsh"])).code).toBe(2);
  });

  test("writes a bash completion that bash takes", async () => {
    const { out } = await weft(["completion", "bash"]);
    const check = Bun.spawnSync(["bash", "-n"], { stdin: Buffer.from(out) });
    expect(check.exitCode).toBe(0);
  });
});

describe("Output", () => {
  test("lets nothing of a server's steer the terminal", () => {
    expect(clean("a\x1b[2Jb\u0007\u009b31m\u202ec\r\nd\te")).toBe("a[2Jb31mc\nd\te");
    expect(
      table(
        ["A", "B"],
        [
          ["x\ny", ""],
          ["longer", "1"],
        ],
      ),
    ).toBe("A       B\nx y     -\nlonger  1");
  });

  test("as JSON and YAML loses nothing: what could steer the terminal is escaped", () => {
    const value = { "k\u202e": "x\x1b[2J\u009b31m\u202e\ty", long: `${"word ".repeat(60)}end`, answer: "yes", octal: "0o17", time: "1:30" };
    for (const text of [json(value), yaml(value)]) {
      expect(clean(text)).toBe(text);
      expect(parse(text)).toEqual(value);
    }
    expect(parse(yaml(value), { version: "1.1" })).toEqual(value);
  });

  test("diffs as diff -u does", () => {
    const before = ["a", "b", "c", "d", "e", "f", "g", "h", "i"].join("\n");
    const after = before.replace("b", "B").replace("i", "i\nj");
    expect(lineDiff(before, after, "old", "new")).toBe(
      ["--- old", "+++ new", "@@ -1,5 +1,5 @@", " a", "-b", "+B", " c", " d", " e", "@@ -7,3 +7,4 @@", " g", " h", " i", "+j"].join("\n"),
    );
    expect(lineDiff("", "a\n", "/dev/null", "new")).toContain("@@ -0,0 +1,1 @@\n+a");
    expect(lineDiff("a", "a", "", "")).toBe("");
  });
});
