/** A day of a mesh in seconds, on a real data directory: what was done, what was refused, and what the CA went through, can all be read afterwards. */
import { Database } from "bun:sqlite";
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { RunningWeft } from "../../src/control/start.ts";
import { startWeft } from "../../src/control/start.ts";
import { weft as cli } from "../cli/harness.ts";
import { FakeClock } from "../fakes/clock.ts";
import { eventually } from "./weft.ts";

setDefaultTimeout(60_000);

const MINUTE = 60_000;
const START = "2026-01-01T00:00:00Z";
const ANYWHERE = { host: "127.0.0.1", port: 0 };

const WORKLOAD = (name: string, hour: number) => `apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: ${name}}
spec: {address: 127.0.0.${hour + 2}, serviceAccount: ${name}, labels: {hour: "${hour}"}}
`;

describe("A day of history, made with the injected clock:", () => {
  const data = mkdtempSync(join(tmpdir(), "weft-day-"));
  const clock = new FakeClock(START);
  let weft: RunningWeft;
  let rotations = 0;

  const start = async () => {
    weft = await startWeft({
      data,
      ads: ANYWHERE,
      admin: ANYWHERE,
      trustDomain: "mesh.local",
      store: "sqlite",
      adminHosts: () => [],
      version: "test",
      clock,
      env: {},
    });
  };
  // A connection each: the clock's jumps end those that wait for a next request.
  const ask = async (method: string, path: string, body?: string, tcp = false) => {
    const headers = { connection: "close", ...(tcp ? { authorization: "Bearer wrong" } : {}) };
    const target = tcp ? `http://${weft.listening.admin}${path}` : `http://weft${path}`;
    const response = await fetch(target, { method, body, headers, ...(tcp ? {} : { unix: weft.listening.admin_socket }) });
    await response.text();
    return response.status;
  };

  beforeAll(async () => {
    await start();
    for (let hour = 0; hour < 24; hour++) {
      expect(await ask("POST", "/v1/apply", WORKLOAD("orders", hour))).toBe(200);
      expect(await ask("POST", "/v1/apply", WORKLOAD("orders", hour).replace("kind", "knid"))).toBe(422);
      expect(await ask("GET", "/v1/resources", undefined, true)).toBe(401);
      expect(await ask("POST", "/v1/tokens", '{"workload": "default/orders"}')).toBe(201);
      if (hour % 6 === 5) expect(await ask("POST", "/v1/tokens/revoke", '{"workload": "default/orders"}')).toBe(200);
      if (hour % 8 === 3) {
        expect(await ask("POST", "/v1/ca/rotate", "{}")).toBeLessThan(300);
        rotations += 1;
      }
      // A restart at noon.
      if (hour === 12) {
        await weft.close();
        await start();
      }
      for (let part = 0; part < 12; part++) await clock.advance(5 * MINUTE);
    }
  });

  afterAll(async () => {
    await weft.close();
    rmSync(data, { recursive: true, force: true });
  });

  test("weft audit --verify finds it whole, and every hour's deeds and refusals are in it", async () => {
    const verified = await cli(["audit", "--verify", "--data", data]);
    expect({ code: verified.code, err: verified.err }).toEqual({ code: 0, err: "" });
    expect(verified.out).toMatch(
      /^(\d+) records, from 1 to \1, are whole\nrevisions 1 to 24 are in the store's history as they are on record\nhead \1:[0-9a-f]+\n$/,
    );
    const { out } = await cli(["audit", "--all", "-o", "json", "--data", data]);
    const records = JSON.parse(out) as { at: string; action: string; outcome: string; count?: number }[];
    const count = (action: string, outcome: string) => records.filter((one) => one.action === action && one.outcome === outcome).length;
    expect(count("apply", "done")).toBe(24);
    expect(count("apply", "refused")).toBe(24);
    expect(count("issue-token", "done")).toBe(24);
    expect(count("revoke-token", "done")).toBe(4);
    expect(records.filter(({ action, outcome }) => /resources/.test(action) && outcome === "refused")).toHaveLength(24);
    expect(records.filter(({ action }) => /rotate/.test(action)).length).toBeGreaterThanOrEqual(rotations);
    const times = records.map(({ at }) => Date.parse(at));
    expect(times).toEqual([...times].sort((a, b) => a - b));
    expect(Math.min(...times)).toBe(Date.parse(START));
    expect(Math.max(...times)).toBeGreaterThanOrEqual(Date.parse(START) + 23 * 60 * MINUTE);
  });

  test("weft ca show tells of the authorities as they are at its end: one that signs, good for longer than an SVID, and no warning", async () => {
    await eventually(async () => {
      const { code, out } = await cli(["ca", "show", "-o", "json", "--data", data], { clock });
      expect(code).toBe(0);
      const { x509, warnings } = JSON.parse(out) as { x509: { state: string; notBefore: string; notAfter: string }[]; warnings: unknown[] };
      const active = x509.filter(({ state }) => state === "active");
      expect(active).toHaveLength(1);
      expect(Date.parse(active[0]?.notAfter ?? "")).toBeGreaterThan(clock.now() + 60 * MINUTE);
      // The first of them is a day old, and three were asked for since.
      expect(Date.parse(active[0]?.notBefore ?? "")).toBeGreaterThan(Date.parse(START) + 12 * 60 * MINUTE);
      expect(warnings).toEqual([]);
    });
    const shown = await cli(["ca", "show", "--data", data], { clock });
    expect(shown).toMatchObject({ code: 0, err: "" });
    expect(shown.out).toContain("mesh.local");
  });

  test("weft audit --verify finds a change that somebody took out of the store's history behind weft's back, or slipped in", async () => {
    await weft.close();
    const database = new Database(join(data, "weft.db"));
    database.run("DELETE FROM history WHERE revision = 9");
    database.close();
    await start();
    expect(await cli(["audit", "--verify", "--data", data])).toMatchObject({
      code: 1,
      out: expect.stringMatching(/^the audit is broken: revision 9, of record \d+, is not in the store's history\n$/),
    });
    await weft.close();
    const again = new Database(join(data, "weft.db"));
    again.run("UPDATE history SET revision = 9 WHERE revision = 10");
    again.close();
    await start();
    expect((await cli(["audit", "--verify", "--data", data])).out).toMatch(/revision 10, of record \d+, is not in the store's history/);
  });
});
