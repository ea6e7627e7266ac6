/** Traffic of running Envoys while weft is away, or has lost the key of its CA. */
import { beforeAll, expect, test } from "bun:test";
import { readdirSync, renameSync } from "node:fs";
import { join } from "node:path";
import { callMany, countBy } from "../../scripts/lib/lab/call.ts";
import { waitFor } from "../../scripts/lib/lab/wait.ts";
import { type Sidecar, sidecarSerials } from "../../scripts/lib/lab/workload.ts";
import { callFrom, describeMesh, type Member } from "./harness.ts";

/** Its SVIDs end 90 seconds after they were signed. */
const LATE = [process.execPath, join(import.meta.dir, "late-weft.ts")];

/** A handshake for every call: what stands on an open connection says nothing about certificates. */
const POLICY = `apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: default, namespace: default}
spec: {mtls: {mode: STRICT}}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: orders, namespace: default}
spec:
  host: orders
  trafficPolicy: {connectionPool: {http: {maxRequestsPerConnection: 1}}}
`;

describeMesh(
  "without its control plane",
  (lab) => {
    let web: Member;
    let orders: Member;
    let sidecars: Sidecar[];
    beforeAll(async () => {
      [web, orders] = await Promise.all([
        lab().workload({ name: "web-1", service: "web" }),
        lab().workload({ name: "orders-1", service: "orders" }),
      ]);
      sidecars = await lab().join([{ name: "web" }, { name: "orders" }], [web, orders]);
      await lab().weft.apply(POLICY);
      await waitFor(
        "the first call",
        () => callFrom(web, "orders"),
        ({ status }) => status === 200,
      );
    });

    /** When the first of the SVIDs in use ends, milliseconds since the epoch. */
    const firstEnd = async () => {
      const certificates = await Promise.all(sidecars.map(async ({ admin }) => JSON.parse(await admin("/certs")) as Certificates));
      return Math.min(
        ...certificates.flatMap(({ certificates: all }) =>
          all.flatMap(({ cert_chain = [] }) => cert_chain.slice(0, 1).map(({ expiration_time }) => Date.parse(expiration_time))),
        ),
      );
    };
    const statuses = async (count: number) =>
      countBy(await callMany(count, 4, () => ({ to: web.place.outbound, host: "orders" })), ({ status }) => String(status));

    test("Envoys serve on until their SVIDs end, and with weft back before that no request fails", async () => {
      const serials = async () => (await Promise.all(sidecars.map(sidecarSerials))).flat();
      const before = new Set(await serials());
      await lab().weft.process().stop();
      expect(await statuses(100)).toEqual({ "200": 100 });
      let loading = true;
      const failures: string[] = [];
      const load = (async () => {
        while (loading) {
          const answer = await callFrom(web, "orders");
          if (answer.status !== 200) failures.push(JSON.stringify(answer));
        }
      })();
      await lab().weft.start();
      await waitFor("new SVIDs in use", serials, (now) => now.length > 0 && now.every((serial) => !before.has(serial)), {
        limitMs: 40_000,
      });
      loading = false;
      await load;
      expect(Date.now()).toBeLessThan(await firstEnd());
      expect(failures).toEqual([]);
    }, 120_000);

    test("no new connection is believed when the SVIDs have ended, and all are again when weft is back", async () => {
      await lab().weft.process().stop();
      const end = await firstEnd();
      let calls = 0;
      while (Date.now() < end - 3_000) {
        expect((await callFrom(web, "orders")).status).toBe(200);
        calls += 1;
      }
      expect(calls).toBeGreaterThan(20);
      await waitFor(
        "the end of the SVIDs to show",
        () => callFrom(web, "orders"),
        ({ status }) => status === 503,
        { limitMs: 30_000 },
      );
      expect(Date.now()).toBeGreaterThanOrEqual(end);
      await lab().weft.start();
      await waitFor(
        "calls to succeed again",
        () => callFrom(web, "orders"),
        ({ status }) => status === 200,
        { limitMs: 40_000 },
      );
    }, 180_000);

    test("with the CA's key lost /healthz names ca, and traffic goes on", async () => {
      const directory = join(lab().weft.data, "ca");
      // Of all its authorities: which of them signs is nothing that an operator who deletes files looks at.
      const keys = readdirSync(directory).filter((name) => name.endsWith(".key"));
      expect(keys.length).toBeGreaterThan(0);
      for (const key of keys) renameSync(join(directory, key), join(directory, `${key}.away`));
      const health = await waitFor(
        "/healthz to say so",
        () => lab().weft.api("GET", "/healthz"),
        ({ status }) => status === 503,
      );
      expect(health.text).toContain("[-]ca failed: ");
      expect(health.text).not.toMatch(/\[-\](?!ca )/);
      expect(await statuses(100)).toEqual({ "200": 100 });
      for (const key of keys) renameSync(join(directory, `${key}.away`), join(directory, key));
      await waitFor(
        "/healthz to be well",
        () => lab().weft.api("GET", "/healthz"),
        ({ status }) => status === 200,
      );
    });
  },
  { runCommand: LATE },
);

interface Certificates {
  readonly certificates: readonly { readonly cert_chain?: readonly { readonly expiration_time: string }[] }[];
}
