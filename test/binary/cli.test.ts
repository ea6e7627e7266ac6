import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { join } from "node:path";

useBinary();

import {
  documents,
  expectRefusal,
  MTLS,
  newDirectory,
  type Outcome,
  run,
  SERVICE,
  startWeft,
  useBinary,
  WEFT,
  type Weft,
  WORKLOAD,
} from "./harness.ts";

let weft: Weft;
beforeAll(async () => {
  weft = await startWeft();
  await weft.apply(documents(SERVICE("orders"), WORKLOAD("orders-1", "orders"), MTLS("STRICT")));
});
afterAll(() => weft.stop());

const words = (line: string) => line.split(" ").filter(Boolean);
const VERBS = [
  ...["run", "apply", "get", "delete", "validate", "diff", "services", "mtls", "proxies", "token", "check", "version", "completion"],
  ...["proxy bootstrap", "proxy run", "ca show", "ca rotate"],
];

describe("help", () => {
  test.each(VERBS)("weft %s --help says what it does and exits 0", async (verb) => {
    const { code, out, err } = await run([...words(verb), "--help"]);
    expect({ code, err }).toEqual({ code: 0, err: "" });
    expect(out).toStartWith(`USAGE\n  weft ${verb}`);
    expect(out).toMatch(/-h +--help/);
  });

  test("weft --help lists every verb, weft help VERB is VERB's, and weft --version is weft version", async () => {
    const { out } = await run(["--help"]);
    const shown = (verb: string) => verb.replace(/^proxy .*/, "proxy bootstrap|run").replace(/^ca .*/, "ca show|rotate|roots");
    for (const verb of VERBS) expect(out).toContain(`weft ${shown(verb)}`);
    expect(await run(["help", "apply"])).toEqual(await run(["apply", "--help"]));
    expect(await run(["--version"])).toEqual(await run(["version"]));
  });
});

describe("a mistake in the command line ends with exit 2, and says what was meant:", () => {
  const cases: [string, RegExp][] = [
    ["aply", /no verb "aply": did you mean `apply`/],
    ["proxy rum x", /no verb "rum": did you mean `run`/],
    ["get vss", /no kind "vss": did you mean VirtualService/],
    ["get", /KIND/],
    ["get vs --ouput json", /no flag --ouput: did you mean --output/],
    ["get vs -o xml", /table\|wide\|json\|yaml\|name/],
    ["apply -f x --dryrun", /no flag --dryrun: did you mean --dry-run/],
    ["apply -f x --wait=soon", /duration such as 30s/],
    ["apply", /--file/],
    ["apply -f nowhere.yaml", /no file nowhere\.yaml/],
    ["validate -f nowhere.yaml", /no file nowhere\.yaml/],
    ["delete PeerAuthentication", /KIND NAME, or -f FILE/],
    ["mtls", /SERVICE/],
    ["run --adss 1:1", /no flag --adss: did you mean --ads/],
    ["services extra", /extra/],
    ["completion tcsh", /bash, zsh, fish/],
    ["token --ttl 1h", /--workload/],
    ["services --token x", /--server/],
    ["services --server ftp://x", /URL such as http:/],
  ];
  test.each(cases)("weft %s", async (line, hint) => {
    expectRefusal(await run(words(line)), /^weft: /, hint);
  });
});

describe("exit codes", () => {
  test("0 where the answer is yes", async () => {
    const lines = [
      "get PeerAuthentication",
      "get pa default -o yaml",
      "services",
      "mtls orders",
      "proxies",
      "ca show",
      "token",
      "check",
      "token --workload orders-1",
    ];
    for (const line of lines) {
      const { code, out } = await weft.cli(words(line));
      expect([line, code, out !== "" || line === "proxies"]).toEqual([line, 0, true]);
    }
  });

  test("1 where the answer is no", async () => {
    for (const line of ["get pa nowhere", "delete pa nowhere", "mtls nowhere", "proxies nowhere", "proxy bootstrap nowhere"]) {
      const { code, out, err } = await weft.cli(words(line));
      expect([line, code, out]).toEqual([line, 1, ""]);
      expect(err).toMatch(/^weft: .*nowhere/);
    }
  });

  test("2 where there is no weft, with the command that starts one", async () => {
    const data = join(newDirectory(), "none");
    const lines = [
      "get pa",
      "apply -f -",
      "services",
      "mtls orders",
      "proxies",
      "proxy bootstrap x",
      "ca show",
      "token",
      "check",
      "diff -f -",
    ];
    for (const line of lines) {
      const { code, err } = await run([...words(line), "--data", data], { input: MTLS("STRICT") });
      expect([line, code]).toEqual([line, 2]);
      expect(err).toContain(`weft run --data ${data}`);
    }
  });
});

describe("the admin API over TCP", () => {
  test("takes the token of weft token, which the command line finds by itself for its own weft", async () => {
    const token = (await weft.cli(["token"])).out.trim();
    const server = `http://${weft.listening.admin}`;
    expect((await weft.askTcp("GET", "/v1/services", undefined, { authorization: `Bearer ${token}` })).status).toBe(200);
    const own = await weft.cli(["services", "--server", server]);
    expect(own).toMatchObject({ code: 0, err: "" });
    const elsewhere = ["services", "--server", server, "--data", newDirectory()];
    expect(await run([...elsewhere, "--token", token])).toEqual(own);
    expect(await run(elsewhere, { env: { WEFT_TOKEN: token } })).toEqual(own);
    expectRefusal(await run(elsewhere), "needs a token", "weft token");
    expectRefusal(await run([...elsewhere, "--token", "wrong"]), "none of this weft's");
  });

  test("refuses a wrong token with 401, a foreign name and a foreign page with 403, and answers probes without a token", async () => {
    const token = (await weft.cli(["token"])).out.trim();
    const bearer = { authorization: `Bearer ${token}` };
    const ask = async (headers: Record<string, string>, path = "/v1/services") =>
      (await weft.askTcp("GET", path, undefined, headers)).status;
    expect(await ask({})).toBe(401);
    expect(await ask({ authorization: `Bearer ${token.slice(0, -1)}` })).toBe(401);
    expect(await ask({ authorization: `Basic ${token}` })).toBe(401);
    expect(await ask({ ...bearer, host: "weft.example" })).toBe(403);
    expect(await ask({ ...bearer, host: "localhost.evil.example" })).toBe(403);
    expect(await ask({ ...bearer, origin: "http://evil.example" })).toBe(403);
    expect(await ask({ ...bearer, origin: "null" })).toBe(403);
    for (const path of ["/healthz", "/livez", "/readyz", "/metrics", "/openapi.json"])
      expect([path, await ask({}, path)]).toEqual([path, 200]);
    expect((await weft.askTcp("GET", "/v1/services")).headers.get("www-authenticate")).toContain("Bearer");
    const preflight = await weft.askTcp("OPTIONS", "/v1/services", undefined, { origin: "http://evil.example" });
    expect(preflight.headers.get("access-control-allow-origin")).toBeNull();
  });
});

describe("completion", () => {
  const parses = (shell: string, script: string): Promise<Outcome> => run(["-n", "/dev/stdin"], { binary: shell, input: script });

  test.each(["bash", "zsh", "fish"])("the script for %s parses, where that shell is installed", async (shell) => {
    const { code, out, err } = await run(["completion", shell]);
    expect({ code, err }).toEqual({ code: 0, err: "" });
    expect(out).toContain("weft");
    const binary = Bun.which(shell);
    if (binary) expect(await parses(binary, out)).toEqual({ code: 0, out: "", err: "" });
    else console.error(`SKIPPED: ${shell} is not installed, its completion script is not parsed`);
  });

  test("proposes verbs, flags and kinds in bash", async () => {
    const complete = async (...line: string[]) => {
      const script = `weft() { :; }; source <("$0" completion bash); COMP_WORDS=("$0" "$@"); COMP_CWORD=$#; _weft; printf '%s\\n' "\${COMPREPLY[@]}"`;
      return (await run(["-c", script, WEFT, ...line], { binary: Bun.which("bash") ?? "bash" })).out.trim().split("\n");
    };
    expect(await complete("pro")).toEqual(["proxies", "proxy"]);
    expect(await complete("get", "peer")).toEqual(["peerauthentication"]);
    expect(await complete("apply", "--dry")).toEqual(["--dry-run"]);
  });
});
