/** The CA in a whole weft: what an operator sees of it, and what follows from a rotation. */
import { afterAll, expect, setDefaultTimeout, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { CaAnswer } from "../../src/admin/ca-schemas.ts";
import { DEFAULT_LIFETIMES } from "../../src/ca/lifetimes.ts";
import type { CaSettings } from "../../src/control/identity.ts";
import { startWeft } from "../../src/control/start.ts";
import { systemClock } from "../../src/lib/clock.ts";
import { makePki, openssl } from "../ca/pki.ts";
import { failureOf } from "../ca/temporary.ts";
import { describeWhere } from "../skip.ts";
import { eventually } from "./weft.ts";

setDefaultTimeout(60_000);

const DAY = 86_400_000;
const root = mkdtempSync(join(tmpdir(), "weft-ca-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));

async function open(data: string, ca: CaSettings) {
  const anywhere = { host: "127.0.0.1", port: 0 };
  const common = { ads: anywhere, admin: anywhere, trustDomain: "mesh.local", store: "memory:", adminHosts: () => [] };
  const weft = await startWeft({ ...common, data, version: "test", clock: systemClock, env: {}, ca });
  const ask = async (method: string, path: string, body?: string) => {
    const response = await fetch(`http://weft${path}`, { method, body, unix: weft.listening.admin_socket });
    return { status: response.status, text: await response.text() };
  };
  const ca_ = async () => JSON.parse((await ask("GET", "/v1/ca")).text) as CaAnswer;
  return { ask, ca: ca_, [Symbol.asyncDispose]: () => weft.close() };
}

describeWhere(openssl !== null, "openssl", "An upstream authority that ends soon", () => {
  test("is told in /readyz?verbose, /v1/ca and the metrics, long before anything fails; its root is the bundle", async () => {
    const now = systemClock.now();
    const upstream = makePki({ dir: join(root, "pki"), notBefore: now - 100 * DAY, notAfter: now + 10 * DAY });
    await using weft = await open(join(root, "soon"), { upstream });
    const ready = await weft.ask("GET", "/readyz?verbose");
    expect(ready.status).toBe(200);
    expect(ready.text).toMatch(/^\[\+\]ca ok, warning: .*corp.* of the upstream authority, expires at /m);
    expect((await weft.ca()).warnings).toMatchObject([{ code: "upstream-expires" }]);
    const metrics = (await weft.ask("GET", "/metrics")).text;
    expect(metrics).toContain('weft_ca_warnings{code="upstream-expires"} 1');
    const end = Number(/weft_certificate_expiry_timestamp_seconds\{certificate="upstream"\} (\d+)/.exec(metrics)?.[1]);
    expect(Math.abs(end * 1000 - (now + 10 * DAY))).toBeLessThan(2_000);
    expect((await weft.ca()).x509[0]?.issuers?.map(({ subject }) => subject)).toEqual(["O=corp, CN=corp mesh CA", "O=corp, CN=corp root"]);
  });
});

test("A forced rotation by the API publishes, activates and is on the audit; the bundle's sequence grows", async () => {
  await using weft = await open(join(root, "rotate"), {});
  const bundle = async () => JSON.parse((await weft.ask("GET", "/v1/bundle")).text) as { keys: unknown[]; spiffe_sequence: number };
  const [before, first] = [await bundle(), await weft.ca()];
  const answer = await weft.ask("POST", "/v1/ca/rotate", '{"authority":"x509"}');
  expect(answer.status).toBe(200);
  expect((JSON.parse(answer.text) as CaAnswer).x509.map(({ state }) => state)).toEqual(["active", "prepared"]);
  await eventually(async () => {
    const { x509 } = await weft.ca();
    expect(x509.find(({ state }) => state === "active")?.id).not.toBe(first.x509[0]?.id);
  }, 20_000);
  const after = await bundle();
  expect(after.keys.length).toBe(before.keys.length + 1);
  expect(after.spiffe_sequence).toBeGreaterThan(before.spiffe_sequence);
  expect((await weft.ask("GET", "/v1/audit")).text).toContain('"action":"rotate-ca"');
  // Counted once the rotation is over, which is a moment after the new authority is seen.
  await eventually(async () => {
    expect((await weft.ask("GET", "/metrics")).text).toContain('weft_ca_rotations_total{authority="x509",reason="forced"} 1');
  });
});

test("Lifetimes outside their bounds keep weft from starting, and it says which and why", async () => {
  const lifetimes = { ...DEFAULT_LIFETIMES, x509SvidMs: 12 * 3_600_000 };
  const failure = await failureOf(() => open(join(root, "bounds"), { lifetimes }));
  expect(failure).toMatchObject({ code: "invalid", message: expect.stringContaining("caLifetime is 24h, and must be at least 72h") });
});
