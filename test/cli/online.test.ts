import { describe, expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { waitFor } from "../../scripts/lib/lab/wait.ts";
import { peerAuthentication, startAdmin } from "../admin/harness.ts";
import { FakeClock } from "../fakes/clock.ts";
import { fakeProxy } from "../fakes/control-plane.ts";
import { files, type RunOptions, useFiles, weft } from "./harness.ts";

useFiles();

/** A weft behind a real socket, and the command line that talks to it. */
async function start() {
  const admin = await startAdmin();
  return {
    ...admin,
    weft: (argv: readonly string[], options?: RunOptions) => weft([...argv, "--data", admin.data], options),
  };
}

const strict = () => join(files({ "mesh.yaml": peerAuthentication("STRICT") }), "mesh.yaml");

describe("weft apply", () => {
  test("applies files, directories and stdin in one transaction, under the names that the user gave", async () => {
    await using here = await start();
    const directory = files({ "a.yaml": peerAuthentication("STRICT", "a"), "sub/b.yaml": peerAuthentication("STRICT", "b") });
    const { code, out } = await here.weft(["apply", "-f", directory, "-f", "-"], { stdin: peerAuthentication("STRICT", "c") });
    expect(code).toBe(0);
    expect(out).toBe(
      "PeerAuthentication default/a created\nPeerAuthentication default/b created\nPeerAuthentication default/c created\nrevision 1\n",
    );
    expect(here.control.requests[0]?.files.map((one) => one.file)).toEqual([
      join(directory, "a.yaml"),
      join(directory, "sub/b.yaml"),
      "<stdin>",
    ]);
  });

  test("shows what it would do with --dry-run, and does it not", async () => {
    await using here = await start();
    expect((await here.weft(["apply", "-f", strict(), "--dry-run"])).out).toBe("PeerAuthentication default/default created (dry run)\n");
    expect(here.control.revision).toBe(0);
  });

  test("prints the server's problems with the user's file, line and column, and exits 1", async () => {
    await using here = await start();
    const file = join(files({ "bad.yaml": "kind: X\nmetadata: {name: x}\nspec: {bad: 1}\n" }), "bad.yaml");
    const { code, err } = await here.weft(["apply", "-f", file]);
    expect(code).toBe(1);
    expect(err).toStartWith(`${file}:1:3: error WF0199: spec.bad is bad\n    help: leave it out\n`);
  });

  test("--wait waits for the last ACK and reports who gave it", async () => {
    await using here = await start();
    let asked = 0;
    here.control.convergence = () => {
      const done = ++asked >= 3;
      return { acked: done ? ["default/orders"] : [], nacked: [], pending: done ? [] : ["default/orders"], still_nacked: [] };
    };
    const { code, out } = await here.weft(["apply", "-f", strict(), "--wait", "30s"]);
    expect([code, asked]).toEqual([0, 3]);
    expect(out).toEndWith("revision 1\nACK      default/orders\n");
  });

  test("--wait exits 1 on a NACK, with Envoy's words and the YAML line", async () => {
    await using here = await start();
    here.control.answers = { acked: ["default/web"], nacked: [fakeProxy("default/orders", "unknown filter \x1b[31mfoo")] };
    const { code, out } = await here.weft(["apply", "-f", strict(), "--wait"]);
    expect(code).toBe(1);
    expect(out).toContain("ACK      default/web\n");
    expect(out).toContain("NACK     default/orders refused LDS of revision 1");
    expect(out).toContain("    unknown filter [31mfoo\n    inbound from VirtualService default/orders (mesh.yaml:31)\n");
  });

  test("--wait takes a refusal from before for a note, not for an answer to this change", async () => {
    await using here = await start();
    here.control.answers = { acked: ["default/orders"], still_nacked: [fakeProxy("default/orders", "old trouble")] };
    const { code, out } = await here.weft(["apply", "-f", strict(), "--wait"]);
    expect(code).toBe(0);
    expect(out).toContain("ACK      default/orders\n");
    expect(out).toContain("note     still refused, from before this change: default/orders refused LDS of revision 1");
    expect(out).toContain("    old trouble\n");
  });

  test("--wait exits 1 where a proxy does not answer in time", async () => {
    await using here = await start();
    here.control.answers = { pending: ["default/slow"] };
    expect(await here.weft(["apply", "-f", strict(), "--wait", "50ms"])).toMatchObject({
      code: 1,
      out: expect.stringContaining("PENDING  default/slow (no answer within 0.05 s)"),
    });
  });
});

describe("weft get, delete and diff", () => {
  test("show resources as tables, JSON, YAML and names", async () => {
    await using here = await start();
    await here.weft(["apply", "-f", strict()]);
    const get = async (...argv: string[]) => (await here.weft(["get", "pa", ...argv])).out;
    expect(await get()).toMatch(/^NAMESPACE +NAME +SUMMARY +REVISION +AGE\ndefault +default +STRICT +1 +\d+[smhd]\n$/);
    expect(await get("-o", "wide")).toContain("UID");
    expect(await get("-o", "name")).toBe("PeerAuthentication/default/default\n");
    expect(JSON.parse(await get("-o", "json"))).toMatchObject({ kind: "List", items: [{ kind: "PeerAuthentication" }] });
    expect(JSON.parse(await get("default", "-o", "json"))).toMatchObject({
      kind: "PeerAuthentication",
      metadata: { resourceVersion: "1" },
    });
    expect(await get("-o", "yaml")).toContain("spec:\n  mtls:\n    mode: STRICT\n");
    expect(await here.weft(["get", "pa", "nobody"])).toMatchObject({
      code: 1,
      err: expect.stringContaining("There is no PeerAuthentication default/nobody"),
    });
    expect(await here.weft(["get", "pa", "-n", "shop"])).toMatchObject({
      code: 0,
      out: "",
      err: expect.stringContaining("no PeerAuthentication in namespace shop"),
    });
  });

  test("what get prints as YAML can be applied again, unchanged", async () => {
    await using here = await start();
    await here.weft(["apply", "-f", strict()]);
    const { out } = await here.weft(["get", "pa", "-o", "yaml"]);
    expect((await here.weft(["apply", "-f", "-"], { stdin: out })).out).toContain("default/default unchanged\nrevision 1");
    expect((await weft(["validate", "-f", "-"], { stdin: out })).code).toBe(0);
  });

  test("delete one by name or all of a file, and exit 1 for what is not there", async () => {
    await using here = await start();
    const file = strict();
    await here.weft(["apply", "-f", file]);
    expect(await here.weft(["delete", "peerauthentication", "default"])).toMatchObject({
      code: 0,
      out: "PeerAuthentication default/default deleted\nrevision 2\n",
    });
    expect(await here.weft(["delete", "-f", file])).toMatchObject({
      code: 1,
      err: "weft: PeerAuthentication default/default is not there\n",
    });
    expect((await here.weft(["delete"])).code).toBe(2);
    expect((await here.weft(["delete", "pa", "x", "-f", file])).code).toBe(2);
  });

  test("diff what would change, exit 1 where something does", async () => {
    await using here = await start();
    await here.weft(["apply", "-f", strict()]);
    expect(await here.weft(["diff", "-f", strict()])).toEqual({ code: 0, out: "", err: "" });
    const { code, out } = await here.weft(["diff", "-f", "-"], {
      stdin: `${peerAuthentication("PERMISSIVE")}---\n${peerAuthentication("STRICT", "new")}`,
    });
    expect(code).toBe(1);
    expect(out).toContain("--- stored/PeerAuthentication/default/default\n+++ <stdin> PeerAuthentication/default/default\n");
    expect(out).toContain("-    mode: STRICT\n+    mode: PERMISSIVE");
    expect(out).toContain("--- /dev/null\n+++ <stdin> PeerAuthentication/default/new");
    expect(here.control.revision).toBe(1);
  });
});

describe("Reports", () => {
  test("list services and tell a service's mTLS mode with the policy that decides", async () => {
    await using here = await start();
    expect((await here.weft(["services"])).out).toContain("default    orders   orders.default.mesh.local  8080/HTTP  STRICT");
    const { out } = await here.weft(["mtls", "orders"]);
    expect(out).toStartWith("orders.default.mesh.local: STRICT\n");
    expect(out).toContain("default/orders-v1-7f8d  8080  STRICT  yes       PeerAuthentication default/default (mesh.yaml:12)");
    expect(JSON.parse((await here.weft(["mtls", "orders", "-o", "json"])).out)).toMatchObject({ mtls_mode: "STRICT" });
    expect(await here.weft(["mtls", "ordrs"])).toMatchObject({ code: 1, err: expect.stringContaining("there are: orders") });
  });

  test("show a refused listener with Envoy's message and the YAML line", async () => {
    await using here = await start();
    here.control.proxyList = [fakeProxy("default/orders", "bad listener"), fakeProxy("default/web")];
    const { code, out } = await here.weft(["proxies"]);
    expect(code).toBe(0);
    expect(out).toMatch(/default\/orders +1\.40\.0 +NACKED +SYNCED +- +NACKED/);
    expect(out).toContain("default/orders refused LDS of revision 1");
    expect(out).toContain("    bad listener\n    inbound from VirtualService default/orders (mesh.yaml:31)\n");
    expect((await here.weft(["proxies", "web"])).out).not.toContain("orders");
    expect((await here.weft(["proxies", "nobody"])).code).toBe(1);
    expect(JSON.parse((await here.weft(["proxies", "web", "--config"])).out)).toMatchObject({ id: "default/web" });
    expect((await here.weft(["proxies", "--config"])).code).toBe(2);
  });

  test("show of a long refusal its reason, and the whole as JSON", async () => {
    await using here = await start();
    const debug = Array.from({ length: 80 }, (_, index) => `filter_chains { number: ${index} }`);
    const reason = "Error adding/updating listener(s) inbound: Proto constraint validation failed (field: name): stat_prefix: x";
    const message = ["about:", "what was sent", reason, ...debug, "y".repeat(5_000)].join("\n");
    here.control.proxyList = [fakeProxy("default/orders", message)];
    const { out } = await here.weft(["proxies", "orders"]);
    expect(out).toContain(`    ${reason}\n    filter_chains { number: 0 }\n`);
    expect(out).not.toContain("what was sent");
    expect(out).not.toContain("number: 9 }");
    expect(out).toContain("    ... 74 more lines: weft proxies default/orders -o json\n");
    expect(out).toContain("    inbound from VirtualService default/orders (mesh.yaml:31)\n");
    expect(JSON.parse((await here.weft(["proxies", "orders", "-o", "json"])).out).types[1].nack.message).toBe(message);

    here.control.proxyList = [fakeProxy("default/orders", "y".repeat(5_000))];
    expect((await here.weft(["proxies"])).out).toContain(
      `    ${"y".repeat(400)}... 4600 more characters: weft proxies default/orders -o json\n`,
    );
    const found = JSON.parse((await here.weft(["check", "-o", "json"])).out).findings;
    expect(found.find(({ check }: { check: string }) => check === "proxy default/orders").message).toContain("y".repeat(5_000));
  });

  test("check says what is wrong and what to do, exit 1", async () => {
    await using here = await start();
    expect(await here.weft(["check"])).toMatchObject({ code: 0, out: expect.stringContaining("ok    store: ok") });
    const [store, ...rest] = here.control.healthNow.parts;
    here.control.healthNow = { ok: false, parts: [...(store ? [{ ...store, ok: false, message: "disk is full" }] : []), ...rest] };
    here.control.proxyList = [
      fakeProxy("default/orders", "bad listener"),
      { ...fakeProxy("default/gone"), connected: false, disconnected_at: "2026-01-01T00:00:00Z" },
    ];
    const warning = { code: "upstream-expires", message: "CN=corp expires at 2020", help: "have a new one signed" };
    here.control.caReport = { ...here.control.caReport, warnings: [warning] };
    const { code, out } = await here.weft(["check"]);
    expect(code).toBe(1);
    expect(out).toContain("FAIL  store: disk is full\n      help: free space");
    expect(out).toContain("FAIL  proxy default/orders: default/orders refused LDS");
    expect(out).toContain("warn  proxy default/gone: not connected since 2026-01-01T00:00:00Z\n      help: ");
    expect(out).toContain("FAIL  proxies: 0 of 2 well\n");
    expect(out).toContain("FAIL  ca authorities: CN=corp expires at 2020\n      help: have a new one signed");
    expect(JSON.parse((await here.weft(["check", "-o", "json"])).out)).toMatchObject({ ok: false });
  });

  test("check tells what does not fit together across resources, which is no failure", async () => {
    await using here = await start();
    const resource = { kind: "VirtualService", namespace: "default", name: "orders" };
    here.control.findings = [
      { code: "WF0501", severity: "warning", message: "there is no service", file: "a.yaml", line: 7, column: 1, help: "add it", resource },
    ];
    const { code, out } = await here.weft(["check"]);
    expect(code).toBe(0);
    expect(out).toContain("warn  VirtualService default/orders: there is no service (WF0501, a.yaml:7)\n      help: add it\n");
    expect(out).toContain("resources: 1 finding; weft explain CODE tells more");
  });

  test("check warns of a registered workload's proxy that is away, and exits 0: it may have been stopped on purpose", async () => {
    await using here = await start();
    here.control.proxyList = [
      fakeProxy("default/web"),
      { ...fakeProxy("default/gone"), connected: false, disconnected_at: "2026-01-01T00:00:00Z" },
    ];
    const { code, out } = await here.weft(["check"]);
    expect(code).toBe(0);
    expect(out).toContain("warn  proxy default/gone: not connected since 2026-01-01T00:00:00Z\n");
    expect(out).toContain("weft proxy run default/gone\n");
    expect(out).toContain("warn  proxies: 1 of 2 well\n");
    expect(JSON.parse((await here.weft(["check", "-o", "json"])).out)).toMatchObject({ ok: true });
  });

  test("show the CA as a tree, with what is next and who has what; exit 1 where something must be looked at", async () => {
    await using here = await start();
    const { code, out } = await here.weft(["ca", "show"]);
    expect(code).toBe(0);
    expect(out).toContain(
      "trust domain mesh.local, bundle 1\n\nX.509 authority\n└─ active    CN=weft CA, serial 0a, until 2036-01-01T00:00:00Z (",
    );
    expect(out).toContain("; the next one is made 2031-01-01T00:00:00Z (");
    expect(out).toContain("   └─ spiffe://mesh.local/ns/default/sa/web, until 2026-01-01T01:00:00Z (");
    expect(out).toContain("JWT authority\n└─ active    kid kid-1, until ");
    const warning = { code: "upstream-expires", message: "CN=corp expires", help: "have a new one signed" };
    const rotation = { type: "x509" as const, reason: "forced", since: "2026-01-01T00:00:00Z", waitingFor: ["default/web"] };
    here.control.caReport = { ...here.control.caReport, warnings: [warning], rotations: [rotation] };
    const warned = await here.weft(["ca", "show"]);
    expect(warned.code).toBe(1);
    expect(warned.out).toContain("rotation of the X.509 authority (forced) since 2026-01-01T00:00:00Z, waits for default/web\n");
    expect(warned.out).toContain("warning: CN=corp expires\n    help: have a new one signed");
  });

  test("ca rotate tells how far it is, and with --wait goes on until every SVID is the new authority's", async () => {
    await using here = await start();
    const before = here.control.caReport;
    const [old] = before.x509;
    if (!old) throw new Error("the fake has no authority");
    const next = { ...old, id: "bb".repeat(20), state: "prepared" as const };
    const waiting = { type: "x509" as const, reason: "forced", since: "2026-01-01T00:00:00Z", waitingFor: ["default/web"] };
    const svid = (authority: string) => ({ "spiffe://mesh.local/ns/default/sa/web": { expires: "2026-01-01T01:00:00Z", authority } });
    // Each call of GET /v1/ca sees the next stage.
    const stages = [
      before,
      { ...before, x509: [old, next], rotations: [waiting] },
      {
        ...before,
        x509: [
          { ...old, state: "retiring" as const },
          { ...next, state: "active" as const },
        ],
      },
      {
        ...before,
        x509: [
          { ...old, state: "retiring" as const },
          { ...next, state: "active" as const },
        ],
        svids: svid(next.id),
      },
    ];
    let asked = 0;
    here.control.ca = () => stages[Math.min(asked++, stages.length - 1)] ?? before;
    here.control.caReport = stages[1] ?? before;
    const { code, out } = await here.weft(["ca", "rotate", "--wait", "10s"]);
    expect(here.control.rotated).toEqual(["x509"]);
    expect(code).toBe(0);
    expect(out).toStartWith(`x509: ${next.id} is in the bundle, and waits for default/web\n`);
    expect(out).toContain(`x509: ${next.id} signs; 1 SVIDs are still of the one before\n`);
    expect(out).toEndWith(`x509: ${next.id} signs\n`);

    here.control.ca = () => stages[1] ?? before;
    const late = await here.weft(["ca", "rotate", "--wait", "100ms"]);
    expect(late).toMatchObject({ code: 1, err: expect.stringContaining("it goes on by itself") });
    expect(late.out).toStartWith("x509: joins the rotation that was asked for at 2026-01-01T00:00:00Z\n");
    expect(out).not.toContain("joins");
  });

  test("ca rotate of the JWT authority says from when on the new one may sign", async () => {
    await using here = await start();
    const before = here.control.caReport;
    const rotation = { type: "jwt" as const, reason: "forced", since: "2026-01-01T00:00:00Z", notBefore: "2026-01-01T00:05:00Z" };
    here.control.caReport = {
      ...before,
      jwt: [...before.jwt, { id: "next", state: "prepared", notBefore: "2026-01-01T00:00:00Z", notAfter: "2026-01-02T00:00:00Z" }],
      rotations: [{ ...rotation, waitingFor: ["who reads the bundle"] }],
    };
    here.control.ca = () => before;
    expect((await here.weft(["ca", "rotate", "--authority", "jwt"])).out).toBe(
      "jwt: next is in the bundle, signs not before 2026-01-01T00:05:00Z, and waits for who reads the bundle\n",
    );
    expect((await here.weft(["ca", "rotate", "--help"])).out).toContain("A JWT authority signs after five minutes at the earliest");
  });
});

describe("Identity", () => {
  test("weft token prints the admin token of the data directory, or a new one of a workload", async () => {
    await using here = await start();
    expect(await here.weft(["token"])).toMatchObject({ code: 2, err: expect.stringContaining("There is no admin token") });
    writeFileSync(join(here.data, "admin.token"), `${here.token}\n`);
    expect(await here.weft(["token"])).toEqual({ code: 0, out: `${here.token}\n`, err: "" });
    expect((await here.weft(["token", "--workload", "orders", "--ttl", "2h"])).out).toBe("token-for-orders-7200\n");
    expect((await here.weft(["token", "--ttl", "2h"])).code).toBe(2);
  });

  test("weft token --workload-group prints one for the instances of a group", async () => {
    await using here = await start();
    const { out, err } = await here.weft(["token", "--workload-group", "shop/web", "--ttl", "1h"]);
    expect(out).toBe("token-for-group-web-3600\n");
    expect(err).toContain("token of WorkloadGroup shop/web");
    expect((await here.weft(["token", "--workload-group", "web", "--workload", "web-1"])).code).toBe(2);
  });

  test("weft proxy run refuses what goes with --group without it, and the other way round", async () => {
    await using here = await start();
    const run = (...argv: string[]) => here.weft(["proxy", "run", ...argv], { env: { WEFT_ENVOY: "/bin/true" } });
    expect(await run()).toMatchObject({ code: 2, err: expect.stringContaining("Name a WORKLOAD") });
    expect(await run("orders", "--address", "10.0.0.5")).toMatchObject({ code: 2, err: expect.stringContaining("go with --group") });
    expect(await run("--group", "web")).toMatchObject({ code: 2, err: expect.stringContaining("--group and --address go together") });
    const labels = ["--group", "web", "--address", "10.0.0.5", "--label", "version"];
    expect(await run(...labels)).toMatchObject({ code: 2, err: expect.stringContaining("write KEY=VALUE") });
  });

  test("weft proxies, services and check tell of an application that is not ready", async () => {
    await using here = await start();
    here.control.proxyList = [{ ...fakeProxy("default/web-10.0.0.5"), unready: "connection refused" }];
    expect((await here.weft(["proxies"])).out).toContain("default/web-10.0.0.5 gets no calls: connection refused");
    expect((await here.weft(["check"])).out).toContain("proxy default/web-10.0.0.5: it gets no calls: connection refused");
  });

  test("weft proxy bootstrap prints JSON, which Envoy takes from a pipe", async () => {
    await using here = await start();
    const { code, out } = await here.weft(["proxy", "bootstrap", "shop/cart"]);
    expect(code).toBe(0);
    expect(JSON.parse(out)).toMatchObject({ node: { id: "shop/cart", cluster: "yes" } });
    expect(await here.weft(["proxy", "bootstrap", "nobody"])).toMatchObject({ code: 1, err: expect.stringContaining("no WorkloadEntry") });
  });

  test("weft proxy run says what to do where there is no Envoy", async () => {
    await using here = await start();
    const { code, err } = await here.weft(["proxy", "run", "orders"], { env: { PATH: "/nowhere" } });
    expect(code).toBe(2);
    expect(err).toContain("no Envoy was found");
  });
});

describe("--server", () => {
  test("talks over TCP with a token from the flag or WEFT_TOKEN", async () => {
    await using here = await start();
    const services = (argv: readonly string[], env: Record<string, string> = {}) =>
      weft(["services", "--server", here.url, ...argv], { env });
    expect((await services(["--token", here.token])).code).toBe(0);
    expect((await services([], { WEFT_TOKEN: here.token })).code).toBe(0);
    expect(await services([], { WEFT_DATA: "/nowhere" })).toMatchObject({ code: 2, err: expect.stringContaining("weft token") });
    expect(await services(["--token", "wrong"])).toMatchObject({ code: 2, err: expect.stringContaining("none of this weft's") });
  });

  test("finds the token of the weft in the data directory, and gives it to no other server", async () => {
    await using here = await start();
    const seen: (string | null)[] = [];
    await using other = Bun.serve({
      hostname: "127.0.0.1",
      port: 0,
      fetch(request) {
        seen.push(request.headers.get("authorization"));
        return new Response("no weft");
      },
    });
    writeFileSync(join(here.data, "admin.token"), `${here.token}\n`);
    writeFileSync(join(here.data, "listening.json"), JSON.stringify({ admin: new URL(here.url).host }));
    expect((await here.weft(["services", "--server", here.url])).code).toBe(0);
    expect(await here.weft(["services", "--server", `http://127.0.0.1:${other.port}`])).toMatchObject({
      code: 2,
      err: expect.stringContaining("is no weft"),
    });
    expect(seen).toEqual([null]);
  });

  test("goes through no proxy of the environment", async () => {
    await using here = await start();
    const before = process.env.HTTP_PROXY;
    process.env.HTTP_PROXY = "http://127.0.0.1:1";
    try {
      expect((await weft(["services", "--server", here.url, "--token", here.token])).code).toBe(0);
      expect((await here.weft(["services"])).code).toBe(0);
    } finally {
      if (before === undefined) delete process.env.HTTP_PROXY;
      else process.env.HTTP_PROXY = before;
    }
  });

  test("gives up on a weft that does not answer: a read after 10 seconds, an apply after 60, and says what to check", async () => {
    let asked = 0;
    await using hangs = Bun.serve({
      hostname: "127.0.0.1",
      port: 0,
      fetch() {
        asked++;
        return new Promise<Response>(() => {});
      },
    });
    for (const [index, [argv, seconds]] of ([[["get", "vs"], 10] as const, [["apply", "-f", strict()], 60] as const] as const).entries()) {
      const clock = new FakeClock();
      const outcome = weft([...argv, "--server", `http://127.0.0.1:${hangs.port}`, "--token", "x"], { clock });
      await waitFor("the request", () => asked === index + 1);
      await clock.advance(seconds * 1000 - 1);
      expect(await Promise.race([outcome, Bun.sleep(1).then(() => "waits")])).toBe("waits");
      await clock.advance(1);
      const { code, err } = await outcome;
      expect(code).toBe(2);
      expect(err).toContain(`no answer within ${seconds} s`);
      expect(err).toContain("help: something listens there, but does not answer: look at weft's log");
    }
    await hangs.stop(true);
  });

  test("refuses what is no URL, and a token for the socket", async () => {
    expect((await weft(["services", "--server", "ftp://x"])).code).toBe(2);
    expect((await weft(["services", "--token", "x"])).code).toBe(2);
    expect(await weft(["services", "--server", "http://127.0.0.1:1"])).toMatchObject({
      code: 2,
      err: expect.stringContaining("nothing listens there"),
    });
  });
});
