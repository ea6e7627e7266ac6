/** The Workload API of a whole weft, judged by clients that others wrote: go-spiffe, the PyPI package spiffe, and openssl. */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { configureLogging } from "../../src/telemetry/log.ts";
import { eventually, openTestWeft, type TestWeft } from "../control/weft.ts";
import { describeWhere } from "../skip.ts";
import { folder, installClients, type Line, type RefereeClient, type Running } from "./clients.ts";

setDefaultTimeout(180_000);

const clients = installClients();
const id = (name: string) => `spiffe://mesh.local/ns/default/sa/${name}`;
const UID = process.getuid?.() ?? -1;

const registration = (name: string, unix: object, more: object = {}) =>
  JSON.stringify({
    apiVersion: "weft.dev/v1",
    kind: "WorkloadRegistration",
    metadata: { name, namespace: "default" },
    spec: { serviceAccount: name, selectors: { unix }, ...more },
  });

describeWhere(clients !== undefined, "Go, Python, and their registries once", "The Workload API", () => {
  if (!clients) return;
  const { go, python } = clients;
  let weft: TestWeft;
  const running: Running[] = [];
  const log: string[] = [];
  const start = (client: RefereeClient, ...args: readonly string[]) => {
    const one = client.start(join(weft.data, "workload.sock"), ...args);
    running.push(one);
    return one;
  };
  const apply = async (...documents: readonly string[]) => {
    const { status, text } = await weft.ask("POST", "/v1/apply", documents.join("\n---\n"));
    expect([status, text]).toEqual([200, text]);
  };

  beforeAll(async () => {
    configureLogging({ level: "trace", stream: { write: (text) => log.push(text) } });
    weft = await openTestWeft();
  });
  afterAll(async () => {
    for (const one of running) await one.kill();
    await weft.close();
    configureLogging({ level: "error", stream: process.stderr });
  });

  for (const client of [go, python]) {
    test(`${client.name} is refused with PermissionDenied before a registration`, async () => {
      const [codes] = await start(client, "refused").end();
      const denied = "PermissionDenied";
      expect(codes).toEqual({
        part: "refused",
        FetchX509SVID: denied,
        FetchX509Bundles: denied,
        FetchJWTSVID: denied,
        FetchJWTBundles: denied,
      });
    });
  }

  test("a registration by path and hash is one program's, one by user every program's", async () => {
    const sha256 = createHash("sha256").update(readFileSync(go.executable)).digest("hex");
    await apply(registration("go", { uid: UID, path: go.executable, sha256 }, { hint: "internal" }));
    await apply(registration("python", { uid: UID, path: python.executable }));
    await apply(registration("shared", { uid: UID }));
  });

  for (const [client, own] of [
    [go, "go"],
    [python, "python"],
  ] as const) {
    describe(client.name, () => {
      test("fetches, verifies and validates X.509-SVIDs, JWT-SVIDs and bundles", async () => {
        using files = folder();
        const lines = await start(client, "fetch", "audience", files.path).end();
        const ids = (part: string) => lines.filter((line) => line.part === part).map((line) => line.id);
        expect(ids("x509")).toEqual([id(own), id("shared")]);
        expect(ids("jwt").sort()).toEqual([id(own), id("shared")].sort());
        expect(lines.filter(({ part }) => part === "jwt").every(({ elsewhere }) => elsewhere === "InvalidArgument")).toBe(true);
        expect(lines.find(({ part }) => part === "jwt-of-another")?.code).toBe("PermissionDenied");
        for (const part of ["x509-bundle", "jwt-bundle"]) {
          expect(lines.filter((line) => line.part === part).map(({ trustDomain }) => trustDomain)).toEqual(["mesh.local"]);
        }
        if (client === go) expect(lines.filter(({ part }) => part === "x509").map(({ hint }) => hint)).toEqual(["internal", ""]);
        for (const index of [0, 1]) judgeWithOpenssl(files.path, index);
        keepsOut(readFileSync(join(files.path, "key-0.pem"), "utf8"));
      });
    });
  }

  // Both in one rotation: a second one would join it, for a JWT authority is published for minutes before it signs.
  test("clients watch through a forced rotation: the new roots first, then SVIDs under them, verified at each step", async () => {
    const watches = await Promise.all(
      [go, python].map(async (client) => {
        const watch = start(client, "watch");
        const before = await watch.find(`the first SVIDs of ${client.name}`, ({ part }) => part === "x509");
        return { watch, before, keys: await watch.find("the first JWT bundle", ({ part }) => part === "jwt-bundle") };
      }),
    );
    for (const authority of ["x509", "jwt"]) {
      const { status } = await weft.ask("POST", "/v1/ca/rotate", JSON.stringify({ authority }));
      expect(status).toBe(200);
    }
    const isOf = (line: Line, other: Line, field: string) => JSON.stringify(line[field]) === JSON.stringify(other[field]);
    for (const { watch, before, keys } of watches) {
      const rooted = await watch.find("the new root", (line) => line.part === "x509" && !isOf(line, before, "roots"));
      const both = rooted.roots as string[];
      expect(both.length).toBeGreaterThan((before.roots as string[]).length);
      const after = await watch.find("SVIDs under it", (line) => {
        const serials = (line.serials ?? []) as string[];
        return line.part === "x509" && serials.every((serial) => !(before.serials as string[]).includes(serial));
      });
      expect(watch.lines.indexOf(after)).toBeGreaterThanOrEqual(watch.lines.indexOf(rooted));
      expect(after.ids).toEqual(before.ids);
      await watch.find("the new JWT key", (line) => line.part === "jwt-bundle" && !isOf(line, keys, "keys"));
      expect(watch.lines.filter(({ part }) => String(part).endsWith("-error"))).toEqual([]);
      await watch.end();
    }
  });

  test("two programs call each other over mTLS, before a rotation and after it, by sources that follow it", async () => {
    const server = start(go, "serve");
    const { address } = await server.find("the server", ({ part }) => part === "serving");
    const call = async () => (await start(go, "call", String(address), id("go")).end()).at(-1)?.text;
    expect(await call()).toBe(`${id("go")}, said hello\n`);
    const serials = await active(weft);
    await weft.ask("POST", "/v1/ca/rotate", JSON.stringify({ authority: "x509" }));
    await eventually(async () => expect(await active(weft)).not.toBe(serials), 60_000);
    expect(await call()).toBe(`${id("go")}, said hello\n`);
    await server.end();
  });

  test("a program with as many identities as it may have gets change after change: its client raises its window, and nothing is stuck", async () => {
    // With the two that it has already, 32.
    const names = Array.from({ length: 30 }, (_, index) => `many-${String(index).padStart(2, "0")}`);
    const unix = { uid: UID, path: go.executable };
    await apply(...names.map((name) => registration(name, unix)));
    const watch = start(go, "watch");
    for (let round = 0; round < 15; round += 1) {
      await apply(registration("many-00", unix, { hint: `round ${round}` }));
      await watch.find(`round ${round}`, ({ hints }) => ((hints ?? []) as string[]).includes(`round ${round}`));
    }
    expect(watch.lines.findLast(({ part }) => part === "x509")?.ids).toEqual([id("go"), id("shared"), ...names.map(id)]);
    expect(watch.lines.filter(({ part }) => String(part).endsWith("-error"))).toEqual([]);
    await watch.end();
    for (const name of names) await weft.ask("DELETE", `/v1/resources/WorkloadRegistration/default/${name}`);
  });

  test("a registration that is deleted is gone from the next message, and the last one ends the stream with PermissionDenied", async () => {
    const watch = start(go, "watch");
    await watch.find("both", ({ ids }) => JSON.stringify(ids) === JSON.stringify([id("go"), id("shared")]));
    await weft.ask("DELETE", "/v1/resources/WorkloadRegistration/default/go");
    await watch.find("the other", ({ ids }) => JSON.stringify(ids) === JSON.stringify([id("shared")]));
    await weft.ask("DELETE", "/v1/resources/WorkloadRegistration/default/shared");
    await watch.find("the refusal", ({ part, code }) => part === "x509-error" && code === "PermissionDenied");
    await watch.kill();
  });

  test("each issue and each refusal stands in the audit, with who it was; metrics count them, and readiness names the part", async () => {
    const { json } = await weft.ask("GET", "/v1/audit?last=500");
    const records = json.records as { action: string; outcome: string; who: string; targets: string[]; reason?: string }[];
    const of = (action: string, outcome: string) => records.filter((record) => record.action === action && record.outcome === outcome);
    expect(
      of("issue-x509-svid", "done").some(({ who, targets }) => who === `uid ${UID} (${go.executable})` && targets[0]?.includes(id("go"))),
    ).toBe(true);
    expect(of("issue-jwt-svid", "done").some(({ who }) => who === `uid ${UID} (${python.executable})`)).toBe(true);
    expect(of("issue-x509-svid", "refused").some(({ reason }) => reason?.startsWith("PERMISSION_DENIED"))).toBe(true);
    const { text } = await weft.ask("GET", "/metrics");
    expect(text).toMatch(/weft_workload_api_calls_total\{method="FetchX509SVID",code="OK"\} [1-9]/);
    expect((await weft.ask("GET", "/readyz?verbose")).text).toContain("[+]workload-api ok");
  });

  /** No line of the log, at its most talkative, holds any line of the key. */
  function keepsOut(pem: string): void {
    const text = log.join("");
    expect(text).toContain("issued an X.509-SVID");
    for (const line of pem.split("\n").filter((one) => one.length > 40)) expect(text).not.toContain(line);
  }
});

/** The serial of the authority that signs. */
async function active(weft: TestWeft): Promise<string | undefined> {
  const { json } = await weft.ask("GET", "/v1/ca");
  return (json.x509 as { state: string; id: string }[]).find(({ state }) => state === "active")?.id;
}

function judgeWithOpenssl(directory: string, index: number): void {
  const file = (name: string) => join(directory, `${name}-${index}.pem`);
  const openssl = (...args: string[]) => {
    const { exitCode, stdout, stderr } = Bun.spawnSync(["openssl", ...args]);
    expect([exitCode, stderr.toString()]).toEqual([0, ""]);
    return stdout.toString();
  };
  for (const purpose of ["sslserver", "sslclient"]) {
    expect(
      openssl("verify", "-x509_strict", "-purpose", purpose, "-CAfile", file("bundle"), "-untrusted", file("chain"), file("chain")),
    ).toContain(": OK");
  }
  expect(openssl("pkey", "-in", file("key"), "-pubout")).toBe(openssl("x509", "-in", file("chain"), "-noout", "-pubkey"));
}
