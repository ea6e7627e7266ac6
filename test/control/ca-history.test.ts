/** A day of a whole weft, by an injected clock, as an operator sees it afterwards on the command line. */
import { expect, setDefaultTimeout, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { CaAnswer } from "../../src/admin/ca-schemas.ts";
import { startWeft } from "../../src/control/start.ts";
import { weft as command } from "../cli/harness.ts";
import { FakeClock } from "../fakes/clock.ts";
import { eventually } from "./weft.ts";

setDefaultTimeout(60_000);

const HOUR = 3_600_000;
const marker = (hour: number) => `apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: hour-${hour}}
spec: {hosts: [hour-${hour}.example], ports: [{number: 80, name: http, protocol: HTTP}], resolution: DNS}
`;

test("After a day with changes, a scheduled and a forced rotation, weft ca show tells the tree and weft audit --verify finds the record whole", async () => {
  const data = mkdtempSync(join(tmpdir(), "weft-day-"));
  const clock = new FakeClock("2026-03-01T00:00:00Z");
  const anywhere = { host: "127.0.0.1", port: 0 };
  const common = { ads: anywhere, admin: anywhere, trustDomain: "mesh.local", store: "sqlite", adminHosts: () => [] };
  const weft = await startWeft({ ...common, data, version: "test", clock, env: {} });
  try {
    const ask = async (method: string, path: string, body?: string) => {
      const headers = body?.startsWith("{") ? { "content-type": "application/json" } : { "content-type": "application/yaml" };
      const response = await fetch(`http://weft${path}`, { method, body, headers, unix: weft.listening.admin_socket });
      expect([path, response.status]).toEqual([path, 200]);
      return await response.text();
    };
    const ca = async () => JSON.parse(await ask("GET", "/v1/ca")) as CaAnswer;
    const show = async () => await command(["ca", "show", "--data", data], { clock });
    /** Lets the looks at the schedule that are due happen, until the states are these. */
    const untilStates = (...states: CaAnswer["x509"][number]["state"][]) =>
      eventually(async () => {
        await clock.advance(1_000);
        expect((await ca()).x509.map(({ state }) => state).sort()).toEqual(states);
      }, 20_000);
    const pass = async (hours: number) => {
      for (let hour = 0; hour < hours; hour++) {
        await clock.advance(HOUR);
        await ask("POST", "/v1/apply", marker(Math.round((clock.now() - Date.parse("2026-03-01")) / HOUR)));
      }
    };

    expect((await show()).out).toMatch(
      /└─ active {4}O=mesh.local, CN=weft CA \w{8}, serial \w+, until 2026-03-02T00:00:00.000Z \(in 24h\); the next one is made 2026-03-01T12:00/,
    );
    const [first] = (await ca()).x509;
    await pass(12);
    await untilStates("active", "prepared");
    expect((await show()).out).toMatch(/prepared {2}O=mesh.local, CN=weft CA \w{8}.*; signs from 2026-03-01T20:00:00.000Z \(in 8h\)/);
    await pass(8);
    await untilStates("active", "retiring");
    expect((await show()).out).toMatch(
      new RegExp(`retiring  O=mesh.local, CN=weft CA ${first?.id.slice(0, 8)}.*; leaves the bundle 2026-03-01T21:0`),
    );
    await pass(2);
    await untilStates("active");
    await ask("POST", "/v1/ca/rotate", '{"authority": "all"}');
    await untilStates("active", "retiring");
    await pass(2);

    const { code, out } = await show();
    expect(code).toBe(0);
    expect(out).not.toContain(first?.id.slice(0, 8));
    expect(out).toMatch(/^trust domain mesh.local, bundle \d+\n\nX.509 authority\n/);
    const verified = await command(["audit", "--verify", "--data", data], { clock });
    expect(verified.code).toBe(0);
    const log = await command(["audit", "--last", "100", "--data", data], { clock });
    expect(log.out).toContain("rotate-ca");
    expect(log.out.split("apply").length - 1).toBeGreaterThanOrEqual(24);
  } finally {
    await weft.close();
    rmSync(data, { recursive: true, force: true });
  }
});
