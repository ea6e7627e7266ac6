import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { existsSync, mkdirSync, renameSync, rmdirSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { startWeft } from "../../src/control/start.ts";
import { systemClock } from "../../src/lib/clock.ts";
import { caKeyFile } from "../ca/key-file.ts";
import { eventually, openTestWeft, type TestWeft } from "./weft.ts";

const ORDERS = `apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: orders}
spec:
  hosts: [orders]
  location: MESH_INTERNAL
  resolution: STATIC
  ports: [{number: 8080, name: http, protocol: HTTP}]
  workloadSelector: {labels: {app: orders}}
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: orders-1, labels: {app: orders}}
spec: {address: 127.10.0.1, labels: {app: orders}, serviceAccount: orders, ports: {http: 8080}}
`;
const STRICT = `apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: default}
spec:
  mtls: {mode: STRICT}
`;

describe("a weft on a data directory", () => {
  let weft: TestWeft;
  beforeAll(async () => {
    weft = await openTestWeft();
    await weft.ask("POST", "/v1/apply?file=orders.yaml", ORDERS);
  });
  afterAll(() => weft.close());

  test("answers for the effective mTLS mode, and for the line that decided it, as soon as an apply returns", async () => {
    expect((await weft.ask("GET", "/v1/services/orders/mtls")).json).toMatchObject({
      service: "orders",
      mtls_mode: "PERMISSIVE",
      workloads: ["orders-1"],
    });
    await weft.ask("POST", "/v1/apply?file=strict.yaml", STRICT);
    const { json } = await weft.ask("GET", "/v1/services/orders/mtls");
    expect(json).toMatchObject({
      mtls_mode: "STRICT",
      details: [
        {
          workload: "orders-1",
          port: 8080,
          mode: "STRICT",
          proxy: "disconnected",
          in_force: false,
          source: { file: "strict.yaml", line: 5 },
        },
      ],
    });
  });

  test("follows a resource that moved in its file, without a new revision", async () => {
    const before = await weft.ask("POST", "/v1/apply?file=strict.yaml", STRICT);
    const after = await weft.ask("POST", "/v1/apply?file=strict.yaml", `# a comment\n\n${STRICT}`);
    expect(after.json.revision).toBe(before.json.revision as number);
    expect(after.json.applied).toMatchObject([{ action: "unchanged" }]);
    await eventually(async () => {
      const { json } = await weft.ask("GET", "/v1/services/orders/mtls");
      expect(json.details).toMatchObject([{ source: { file: "strict.yaml", line: 7 } }]);
    });
  });

  test("a dry run says what an apply would do, and does nothing", async () => {
    const { json: before } = await weft.ask("GET", "/v1/resources");
    const dry = await weft.ask(
      "POST",
      "/v1/apply?dryRun=true",
      `${STRICT.replace("STRICT", "DISABLE")}---\n${STRICT.replace("name: default", "name: other")}`,
    );
    expect(dry.json.applied).toMatchObject([{ action: "updated" }, { action: "created" }]);
    expect((await weft.ask("GET", "/v1/resources")).json).toEqual(before);
  });

  test("an apply with one wrong document changes nothing, and names every problem with its place", async () => {
    const { json: before } = await weft.ask("GET", "/v1/resources");
    const wrong = `${STRICT.replace("STRICT", "PERMISSIVE")}---\n${STRICT.replace("STRICT", "STRICTT").replace("spec", "specs")}`;
    const refused = await weft.ask("POST", "/v1/apply?file=wrong.yaml", wrong);
    expect(refused.status).toBe(422);
    const problems = refused.json.problems as { file: string; line: number; column: number }[];
    expect(problems.length).toBeGreaterThanOrEqual(1);
    for (const problem of problems) {
      expect(problem).toMatchObject({ file: "wrong.yaml" });
      expect(problem.line).toBeGreaterThan(6);
    }
    expect((await weft.ask("GET", "/v1/resources")).json).toEqual(before);
  });

  test("is well, and says which part is not while the CA's key or the ADS socket is gone, and is well again after", async () => {
    const well = async () => expect((await weft.ask("GET", "/healthz")).status).toBe(200);
    await eventually(well);
    for (const [file, part] of [
      [caKeyFile(weft.data), "ca"],
      [join(weft.data, "ads.sock"), "xds"],
    ] as const) {
      renameSync(file, `${file}.away`);
      await eventually(async () => {
        const { status, text } = await weft.ask("GET", "/healthz");
        expect(status).toBe(503);
        expect(text).toContain(part);
      });
      renameSync(`${file}.away`, file);
      await eventually(well);
    }
  });

  test("keeps what is secret to its owner", () => {
    for (const name of ["admin.token", "admin.sock", "weft.db", "ca"]) expect(statSync(join(weft.data, name)).mode & 0o077).toBe(0);
    expect(statSync(weft.data).mode & 0o077).toBe(0);
  });

  test("is the only one on its data directory: a second is told who holds it, and disturbs nothing", async () => {
    const second = startWeft({
      data: weft.data,
      ads: { host: "127.0.0.1", port: 0 },
      admin: { host: "127.0.0.1", port: 0 },
      trustDomain: "mesh.local",
      store: "sqlite",
      adminHosts: () => [],
      version: "test",
      clock: systemClock,
      env: {},
    });
    await expect(second).rejects.toThrow(`process ${process.pid}`);
    expect(existsSync(join(weft.data, "listening.json"))).toBe(true);
    expect((await weft.ask("GET", "/healthz")).status).toBe(200);
  });

  test("a port that is taken is refused with the flag to change", async () => {
    const other = await openTestWeft();
    const start = startWeft({
      data: join(other.data, "second"),
      ads: other.ads,
      admin: { host: "127.0.0.1", port: 0 },
      trustDomain: "mesh.local",
      store: "memory:",
      adminHosts: () => [],
      version: "test",
      clock: systemClock,
      env: {},
    });
    await expect(start).rejects.toMatchObject({ help: expect.stringContaining("--ads") });
    await other.close();
  });

  test("serves ADS on this machine only: it carries private keys without TLS", async () => {
    const start = startWeft({
      data: `${weft.data}-3`,
      ads: { host: "0.0.0.0", port: 0 },
      admin: { host: "127.0.0.1", port: 0 },
      trustDomain: "mesh.local",
      store: "memory:",
      adminHosts: () => [],
      version: "test",
      clock: systemClock,
      env: {},
    });
    await expect(start).rejects.toThrow("0.0.0.0");
    expect(existsSync(`${weft.data}-3`)).toBe(false);
  });
});

test("a part that does not end well keeps no other from ending: what it held is free again", async () => {
  const weft = await openTestWeft();
  const listening = join(weft.data, "listening.json");
  rmSync(listening);
  mkdirSync(listening);
  await weft.stop();
  expect(existsSync(join(weft.data, "admin.sock"))).toBe(false);
  rmdirSync(listening);
  await (await openTestWeft({}, weft.data)).close();
});
