/** The admin API over TLS: whom it serves, who may do what there, and whom the command line takes for weft. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { SvidPrincipal } from "../../src/admin/index.ts";
import { type OpenedAuthority, openAuthority } from "../../src/ca/index.ts";
import { type RunningWeft, startWeft } from "../../src/control/start.ts";
import { systemClock } from "../../src/lib/clock.ts";
import { weft as run } from "../cli/harness.ts";

const DEPLOYER = "spiffe://mesh.local/ns/ops/sa/deployer";
const WEB = "spiffe://mesh.local/ns/default/sa/web";
const entry = (namespace: string) =>
  `apiVersion: networking.istio.io/v1\nkind: WorkloadEntry\nmetadata: {name: web-1, namespace: ${namespace}}\nspec: {address: 127.9.0.1, serviceAccount: web}\n`;

describe("The admin API over TLS", () => {
  const data = mkdtempSync(join(tmpdir(), "weft-admin-tls-"));
  const anywhere = { host: "127.0.0.1", port: 0 };
  let weft: RunningWeft;
  let authority: OpenedAuthority;
  let principals: readonly SvidPrincipal[] = [{ spiffeId: DEPLOYER, role: "editor", namespaces: ["shop"] }];
  let roots = "";

  const start = () =>
    startWeft({
      data,
      ads: anywhere,
      admin: anywhere,
      adminTls: anywhere,
      adminPrincipals: () => principals,
      trustDomain: "mesh.local",
      store: "sqlite",
      adminHosts: () => ["weft.example"],
      version: "test",
      clock: systemClock,
      env: {},
    });

  beforeAll(async () => {
    // Of the same data directory, before weft has it: its SVIDs are of the CA that weft then has.
    authority = await openAuthority({ dir: data, trustDomain: "mesh.local", clock: systemClock });
    roots = authority.bundle().x509Pem;
    writeFileSync(join(data, "roots.pem"), roots);
    for (const [name, id] of [
      ["deployer", DEPLOYER],
      ["web", WEB],
    ] as const) {
      const { chainPem, privateKeyPem } = await authority.issueX509(id);
      writeFileSync(join(data, `${name}.pem`), chainPem);
      writeFileSync(join(data, `${name}.key`), privateKeyPem);
    }
    authority.close();
    weft = await start();
  });
  afterAll(async () => {
    await weft.close();
    rmSync(data, { recursive: true, force: true });
  });

  const as = (name: string) => ({
    cert: readFileSync(join(data, `${name}.pem`), "utf8"),
    key: readFileSync(join(data, `${name}.key`), "utf8"),
  });
  const call = async (path: string, { tls = {}, ...init }: RequestInit & { tls?: object } = {}) => {
    const whom = { ca: roots, checkServerIdentity: () => undefined };
    const response = await fetch(`https://${weft.listening.admin_tls}${path}`, {
      ...init,
      tls: { ...whom, ...tls },
      keepalive: false,
    } as RequestInit);
    const body = await response.text();
    return { status: response.status, body, json: () => JSON.parse(body) };
  };
  const url = () => `https://${weft.listening.admin_tls}`;
  const flags = (...more: string[]) => ["--server", url(), ...more];
  const token = () => readFileSync(join(data, "admin.token"), "utf8").trim();

  test("takes tokens as the plain port does, and shows strangers probes and the bundle only", async () => {
    expect((await call("/healthz")).status).toBe(200);
    expect((await call("/v1/bundle")).json().keys.length).toBeGreaterThan(0);
    expect((await call("/v1/services")).status).toBe(401);
    expect((await call("/v1/services", { headers: { authorization: "Bearer nonsense" } })).status).toBe(401);
    expect((await call("/v1/services", { headers: { authorization: `Bearer ${token()}` } })).status).toBe(200);
  });

  test("gives a principal of the configuration its role by X.509-SVID, names it in the audit, and follows a reload", async () => {
    const tls = as("deployer");
    expect((await call("/v1/services", { tls })).status).toBe(200);
    expect((await call("/v1/apply", { method: "POST", body: entry("shop"), tls })).status).toBe(200);
    const outside = await call("/v1/apply", { method: "POST", body: entry("pay"), tls });
    expect([outside.status, outside.json().detail]).toEqual([403, expect.stringContaining(`${DEPLOYER} may change namespace shop only`)]);
    expect((await call("/v1/audit?last=5", { tls })).status).toBe(403);
    const audit = (await call("/v1/audit?last=10", { headers: { authorization: `Bearer ${token()}` } })).json() as {
      records: { who: string; from: string; action: string; outcome: string }[];
    };
    const own = audit.records.filter(({ who }) => who === DEPLOYER).map(({ action, outcome, from }) => ({ action, outcome, from }));
    expect(own).toContainEqual({ action: "apply", outcome: "done", from: "admin (TLS) 127.0.0.1" });
    expect(own).toContainEqual({ action: "apply", outcome: "refused", from: "admin (TLS) 127.0.0.1" });
    principals = [{ spiffeId: DEPLOYER, role: "viewer", namespaces: [] }];
    expect((await call("/v1/apply", { method: "POST", body: entry("shop"), tls })).status).toBe(403);
    principals = [];
    expect((await call("/v1/services", { tls })).status).toBe(401);
    principals = [{ spiffeId: DEPLOYER, role: "editor", namespaces: ["shop"] }];
  });

  test("is closed to workloads that the configuration does not name, and to certificates of other authorities", async () => {
    const unnamed = await call("/v1/services", { tls: as("web") });
    expect([unnamed.status, unnamed.json().detail]).toEqual([401, `${WEB} is no principal of the admin API`]);
    const other = mkdtempSync(join(tmpdir(), "weft-other-"));
    try {
      const stranger = await openAuthority({ dir: other, trustDomain: "mesh.local", clock: systemClock });
      const { chainPem, privateKeyPem } = await stranger.issueX509(DEPLOYER);
      stranger.close();
      const forged = await call("/v1/services", { tls: { cert: chainPem, key: privateKeyPem } });
      expect([forged.status, forged.json().detail]).toEqual([401, expect.stringContaining("no authority in the trust bundle")]);
    } finally {
      rmSync(other, { recursive: true, force: true });
    }
  });

  test("checks Host and Origin as on TCP", async () => {
    const headers = { authorization: `Bearer ${token()}` };
    expect((await call("/v1/services", { headers: { ...headers, host: "evil.example" } })).status).toBe(403);
    expect((await call("/v1/services", { headers: { ...headers, host: "weft.example" } })).status).toBe(200);
    expect((await call("/v1/services", { headers: { ...headers, origin: "https://evil.example" } })).status).toBe(403);
  });

  test("is known to the command line by root and SPIFFE ID: from a file, or by fingerprint", async () => {
    const env = { WEFT_TOKEN: token() };
    const printed = await run(["ca", "roots", "--data", data]);
    const [, fingerprint = ""] = /^# ([0-9a-f]{64}) until /m.exec(printed.out) ?? [];
    expect(fingerprint).not.toBe("");
    for (const known of [
      ["--ca", join(data, "roots.pem")],
      ["--ca-fingerprint", fingerprint],
    ]) {
      const result = await run(["services", ...flags(...known)], { env });
      expect(result.code).toBe(0);
    }
    const bySvid = ["--ca", join(data, "roots.pem"), "--cert", join(data, "deployer.pem"), "--key", join(data, "deployer.key")];
    expect((await run(["get", "workloadentries", "-n", "shop", ...flags(...bySvid)])).code).toBe(0);
  });

  test("is not called by the command line where nothing says whom to trust, nor where another answers", async () => {
    const env = { WEFT_TOKEN: token() };
    const blind = await run(["services", ...flags()], { env });
    expect([blind.code, blind.err]).toEqual([2, expect.stringContaining("--ca-fingerprint")]);
    const wrong = await run(["services", ...flags("--ca-fingerprint", "0".repeat(64))], { env });
    expect([wrong.code, wrong.err]).toEqual([2, expect.stringContaining("does not have a root of that fingerprint")]);
    // Under the same root, and not weft: it must not see the token.
    const seen: string[] = [];
    const impostor = Bun.serve({
      hostname: "127.0.0.1",
      port: 0,
      tls: as("web"),
      fetch(request) {
        seen.push(request.headers.get("authorization") ?? "");
        return Response.json({ items: [] });
      },
    });
    try {
      const result = await run(["services", "--server", `https://127.0.0.1:${impostor.port}`, "--ca", join(data, "roots.pem")], { env });
      expect([result.code, result.err]).toEqual([2, expect.stringContaining("it is not weft")]);
      expect(seen).toEqual([]);
    } finally {
      await impostor.stop(true);
    }
  });

  test("serves no certificate from before the revocation of a workload with that SPIFFE ID, also after a restart", async () => {
    const admin = { headers: { authorization: `Bearer ${token()}` } };
    const holder = entry("ops").replace("serviceAccount: web", "serviceAccount: deployer");
    expect((await call("/v1/apply", { ...admin, method: "POST", body: holder })).status).toBe(200);
    const tls = as("deployer");
    expect((await call("/v1/services", { tls })).status).toBe(200);
    expect((await call("/v1/tokens/revoke", { ...admin, method: "POST", body: JSON.stringify({ workload: "ops/web-1" }) })).status).toBe(
      200,
    );
    const refused = await call("/v1/services", { tls });
    expect([refused.status, refused.json().detail]).toEqual([401, expect.stringContaining("was revoked, and opens nothing any more")]);
    await weft.close();
    weft = await start();
    expect((await call("/v1/services", { tls })).status).toBe(401);
  });
});
