import { beforeAll, expect, test } from "bun:test";
import { X509Certificate } from "node:crypto";
import { rmSync } from "node:fs";
import { waitFor } from "../../scripts/lib/lab/wait.ts";
import { type Sidecar, sidecarSerials } from "../../scripts/lib/lab/workload.ts";
import { caKeyFile } from "../ca/key-file.ts";
import { callFrom, describeMesh, type Member } from "./harness.ts";

const REQUESTS = 10_000;
const CALLERS = 8;
/** A handshake for every twenty requests: a certificate that a peer does not trust would show at once. */
const SHORT_CONNECTIONS = `apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: orders}
spec:
  host: orders
  trafficPolicy: {connectionPool: {http: {maxRequestsPerConnection: 20}}}
---
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: default}
spec: {mtls: {mode: STRICT}}
`;
/** Ten thousand requests, on a machine that may be busy with other tests. */
const LIMIT_MS = 240_000;

interface Ca {
  readonly x509: readonly { readonly id: string; readonly state: string; readonly serial: string }[];
  readonly rotations: readonly unknown[];
  readonly svids: Readonly<Record<string, { readonly authority: string }>>;
}

describeMesh("a CA whose key is lost", (lab) => {
  test(
    "is named by /healthz, while traffic goes on; a weft that starts without it makes a new authority, and traffic goes on under that",
    async () => {
      const [web, orders] = await Promise.all([
        lab().workload({ name: "web-1", service: "web" }),
        lab().workload({ name: "orders-1", service: "orders" }),
      ]);
      await lab().join([{ name: "web" }, { name: "orders" }], [web, orders]);
      await lab().weft.apply(SHORT_CONNECTIONS);
      const answers = (count: number) => Promise.all(Array.from({ length: count }, () => callFrom(web, "orders")));
      const statuses = async (count: number) => new Set((await answers(count)).map(({ status }) => status));
      await waitFor(
        "the first call",
        () => callFrom(web, "orders"),
        ({ status }) => status === 200,
      );
      const ca = async () => (await lab().weft.api("GET", "/v1/ca")).json as Ca;
      const before = await ca();
      const key = caKeyFile(lab().weft.data);
      rmSync(key);
      const health = await waitFor(
        "/healthz to name the CA",
        () => lab().weft.api("GET", "/healthz"),
        ({ status }) => status === 503,
      );
      expect(health.text).toContain(`[-]ca failed: the CA's key ${key} is gone`);
      expect(await statuses(100)).toEqual(new Set([200]));

      lab().weft.process().signal("SIGKILL");
      await lab().weft.process().exited;
      // It is not ready while it has no key: the wait for that ends with an error, and weft goes on.
      const started = lab()
        .weft.start()
        .catch(() => undefined);
      const end = performance.now() + 150_000;
      let health2 = 503;
      while (health2 !== 200 && performance.now() < end) {
        expect(await statuses(20)).toEqual(new Set([200]));
        health2 = await lab()
          .weft.api("GET", "/healthz")
          .then(
            ({ status }) => status,
            () => 503,
          );
      }
      await started;
      expect(health2).toBe(200);
      const after = await ca();
      expect(after.x509.find(({ state }) => state === "active")?.id).not.toBe(before.x509[0]?.id);
      expect(after.x509.some(({ id }) => id === before.x509[0]?.id)).toBe(true);
      await waitFor("SVIDs under the new authority", async () => Object.keys((await ca()).svids).length === 2);
      expect(await statuses(100)).toEqual(new Set([200]));
    },
    LIMIT_MS,
  );
});

describeMesh("a forced rotation of the CA", (lab) => {
  let web: Member;
  let orders: Member;
  let sidecars: Sidecar[];

  beforeAll(async () => {
    [web, orders] = await Promise.all([
      lab().workload({ name: "web-1", service: "web" }),
      lab().workload({ name: "orders-1", service: "orders" }),
    ]);
    sidecars = await lab().join([{ name: "web" }, { name: "orders" }], [web, orders]);
    await lab().weft.apply(SHORT_CONNECTIONS);
    await waitFor(
      "the first call",
      () => callFrom(web, "orders"),
      ({ status }) => status === 200,
    );
  });

  const ca = async () => (await lab().weft.api("GET", "/v1/ca")).json as Ca;
  const activeOf = ({ x509 }: Ca) => x509.find(({ state }) => state === "active")?.id;
  const serials = () => Promise.all(sidecars.map(sidecarSerials));

  test(
    "and a restart of weft, under load, replace every certificate and fail none of 10,000 requests",
    async () => {
      const before = await ca();
      const held = await serials();
      let loading = true;
      let calls = 0;
      const failures: string[] = [];
      const load = Array.from({ length: CALLERS }, async () => {
        while (loading) {
          const answer = await callFrom(web, "orders");
          calls += 1;
          if (answer.status !== 200) failures.push(JSON.stringify(answer));
        }
      });
      try {
        await waitFor("load", () => calls > 200);
        const rotated = await lab().weft.cli(["ca", "rotate", "--wait", "50s"]);
        expect([rotated.code, rotated.stderr]).toEqual([0, ""]);
        const after = await ca();
        expect(after.rotations).toEqual([]);
        expect(after.x509.map(({ state }) => state).sort()).toEqual(["active", "retiring"]);
        expect(activeOf(after)).not.toBe(activeOf(before));
        expect(new Set(Object.values(after.svids).map(({ authority }) => authority))).toEqual(new Set([activeOf(after) ?? ""]));
        expect(Object.keys(after.svids).length).toBe(2);
        await waitFor(
          "new certificates in both Envoys",
          serials,
          (now) => now.every((own, index) => own.length > 0 && own.every((serial) => held[index]?.includes(serial) === false)),
          { limitMs: 30_000, everyMs: 200 },
        );
        const atRestart = calls;
        lab().weft.process().signal("SIGKILL");
        await lab().weft.process().exited;
        await waitFor("calls while weft is away", () => calls > atRestart + 200, Boolean, { limitMs: 60_000 });
        await lab().weft.start();
        expect(activeOf(await ca())).toBe(activeOf(after));
        await waitFor(`${REQUESTS} calls`, () => calls >= REQUESTS, Boolean, { limitMs: LIMIT_MS, everyMs: 100 });
      } finally {
        loading = false;
        await Promise.all(load);
      }
      expect(failures).toEqual([]);
      expect(calls).toBeGreaterThanOrEqual(REQUESTS);

      const shown = await lab().weft.cli(["ca", "show"]);
      expect(shown.code).toBe(0);
      expect(shown.stdout).toContain("X.509 authority");
      expect(shown.stdout).toMatch(/active\s+O=mesh.local, CN=weft CA/);
      expect(shown.stdout).toMatch(/retiring\s+O=mesh.local, CN=weft CA.*leaves the bundle/);
      const bundle = (await lab().weft.api("GET", "/v1/bundle")).json as { keys: { use: string; x5c?: string[] }[] };
      const roots = bundle.keys
        .filter(({ use }) => use === "x509-svid")
        .map(({ x5c = [] }) => new X509Certificate(Buffer.from(x5c[0] ?? "", "base64")));
      expect(roots.length).toBe(2);
    },
    LIMIT_MS + 60_000,
  );
});
