import { beforeAll, expect, test } from "bun:test";
import { join } from "node:path";
import { waitFor } from "../../scripts/lib/lab/wait.ts";
import { type Sidecar, sidecarSerials } from "../../scripts/lib/lab/workload.ts";
import { callFrom, describeMesh, type Member } from "./harness.ts";

/** Its CA is due for replacement within a minute of its clock, which runs fast after SIGUSR2. */
const AGED = [process.execPath, join(import.meta.dir, "aged-weft.ts")];

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

interface Ca {
  readonly x509: readonly { readonly id: string; readonly state: string }[];
  readonly rotations: readonly { readonly type: string; readonly reason: string }[];
  readonly svids: Readonly<Record<string, { readonly authority: string }>>;
}

describeMesh(
  "a CA that grows old",
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
      await lab().weft.apply(SHORT_CONNECTIONS);
      await waitFor(
        "the first call",
        () => callFrom(web, "orders"),
        ({ status }) => status === 200,
      );
    });

    const ca = async () => (await lab().weft.api("GET", "/v1/ca")).json as Ca;
    const idOf = ({ x509 }: Ca, state: string) => x509.find((one) => one.state === state)?.id;
    const serials = () => Promise.all(sidecars.map(sidecarSerials));

    test("is replaced on schedule, under load, and then the certificates in their own time, without a failed request", async () => {
      const [before, held] = [await ca(), await serials()];
      const [old, next] = [idOf(before, "active"), idOf(before, "prepared")];
      expect(before.rotations).toContainEqual(expect.objectContaining({ type: "x509", reason: "scheduled" }));
      expect(new Set(Object.values(before.svids).map(({ authority }) => authority))).toEqual(new Set([old ?? ""]));
      let loading = true;
      let calls = 0;
      const failures: string[] = [];
      const load = Array.from({ length: 3 }, async () => {
        while (loading) {
          const answer = await callFrom(web, "orders");
          calls += 1;
          if (answer.status !== 200) failures.push(JSON.stringify(answer));
        }
      });
      try {
        process.kill(lab().weft.process().pid, "SIGUSR2");
        await waitFor(
          "the next authority",
          async () => idOf(await ca(), "active"),
          (id) => id === next,
          { limitMs: 40_000, everyMs: 100 },
        );
        await waitFor(
          "new certificates in both Envoys",
          serials,
          (now) => now.every((own, index) => own.length > 0 && own.every((serial) => held[index]?.includes(serial) === false)),
          { limitMs: 40_000, everyMs: 100 },
        );
        const until = calls + 500;
        await waitFor(
          "calls with the new ones",
          () => calls,
          (now) => now >= until,
          { limitMs: 60_000 },
        );
      } finally {
        loading = false;
        await Promise.all(load);
      }
      expect(failures).toEqual([]);
      const after = await ca();
      expect([idOf(after, "active"), idOf(after, "retiring")]).toEqual([next, old]);
      expect(new Set(Object.values(after.svids).map(({ authority }) => authority))).toEqual(new Set([next ?? ""]));
      expect(await lab().weft.metric("weft_ca_rotations_total", { authority: "x509", reason: "scheduled" })).toBe(1);
    });
  },
  { runCommand: AGED },
);
