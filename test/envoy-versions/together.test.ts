/** A mesh whose sidecars are of several Envoy versions at once: those of $WEFT_ENVOYS ("PATH:PATH:..."), which scripts/test-envoys sets. */
import { expect, test } from "bun:test";
import { startSidecar, untilLive } from "../../scripts/lib/lab/workload.ts";
import { callFrom, describeMesh, expectStatus, type Member, peerOf, serviceEntryYaml } from "../envoy/harness.ts";

const envoys = (process.env.WEFT_ENVOYS ?? "").split(":").filter(Boolean);
const CANARY = `apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: app-0}
spec:
  hosts: [app-0]
  http:
    - match: [{headers: {x-fail: {exact: "yes"}}}]
      fault: {abort: {httpStatus: 418, percentage: {value: 100}}}
      route: [{destination: {host: app-0}}]
    - route: [{destination: {host: app-0}}]
      retries: {attempts: 3, retryOn: 5xx}
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: readers}
spec: {rules: [{to: [{operation: {methods: [GET]}}]}]}
---
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: default}
spec: {mtls: {mode: STRICT}}
`;

if (envoys.length === 0) console.error('SKIPPED "sidecars of several Envoy versions": scripts/test-envoys sets WEFT_ENVOYS');

if (envoys.length > 0) {
  describeMesh("sidecars of several Envoy versions", (lab) => {
    test("call each other over mutual TLS, obey the same policies, and accept all that they are sent", async () => {
      const members: Member[] = [];
      for (const index of envoys.keys()) members.push(await lab().workload({ name: `app-${index}`, service: `app-${index}` }));
      const services = members.map((_, index) => serviceEntryYaml({ name: `app-${index}` }));
      await lab().weft.apply([...services, ...members.map(({ yaml }) => yaml)].join("---\n"));
      const sidecars = members.map((member, index) =>
        startSidecar({ weft: lab().weft, processes: lab().processes, envoy: envoys[index] ?? "" }, member.place),
      );
      await Promise.all(sidecars.map((sidecar) => untilLive(sidecar)));
      // apply waits until every Envoy has taken it, and fails on a NACK.
      await lab().weft.apply(CANARY);

      for (const [index, from] of members.entries()) {
        for (const to of members.keys()) {
          const answer = expectStatus(await callFrom(from, `app-${to}:8080`), 200);
          expect(peerOf(answer)).toBe(`spiffe://mesh.local/ns/default/sa/app-${index}`);
        }
        expectStatus(await callFrom(from, "app-0:8080", { method: "POST" }), 403);
        expectStatus(await callFrom(from, "app-0:8080", { headers: { "x-fail": "yes" } }), 418);
      }
    }, 120_000);
  });
}
