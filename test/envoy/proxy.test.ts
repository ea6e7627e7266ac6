import { beforeAll, expect, test } from "bun:test";
import { createServer } from "node:net";
import { descendantsOf } from "../../scripts/lib/lab/processes.ts";
import { waitFor } from "../../scripts/lib/lab/wait.ts";
import { type Sidecar, sidecarOf, untilLive } from "../../scripts/lib/lab/workload.ts";
import { callFrom, describeMesh, expectStatus, type Member, peerOf } from "./harness.ts";

describeMesh("a workload's proxy", (lab) => {
  let web: Member;
  let orders: Member;
  let sidecars: Sidecar[];

  beforeAll(async () => {
    [web, orders] = await Promise.all([
      lab().workload({ name: "web-1", service: "web" }),
      lab().workload({ name: "orders-1", service: "orders" }),
    ]);
    sidecars = await lab().join([{ name: "web" }, { name: "orders" }], [web, orders]);
    await waitFor(
      "the first call",
      () => callFrom(web, "orders"),
      ({ status }) => status === 200,
    );
  });

  test("an Envoy started by hand from `weft proxy bootstrap` alone works", async () => {
    const hand = await lab().workload({ name: "hand-1", service: "hand" });
    await lab().weft.apply(hand.yaml);
    const { weft, envoy } = lab();
    // A shell with process substitution, as a user types it; the environment names nothing of weft's.
    const command = `exec "$0" -c <("$1" proxy bootstrap hand-1 --data "$2") --concurrency 1 --use-dynamic-base-id`;
    const process = lab().processes.start("envoy-by-hand", ["bash", "-c", command, envoy, weft.binary, weft.data]);
    await untilLive(sidecarOf(hand.place, process));
    const answer = await waitFor(
      "a call",
      () => callFrom(hand, "orders"),
      ({ status }) => status === 200,
    );
    expect(peerOf(answer)).toBe("spiffe://mesh.local/ns/default/sa/hand");
    await process.stop(5_000);
  });

  test("a listener that Envoy refuses is shown with Envoy's words and the line it comes from, and the rest stays in force", async () => {
    const taken = createServer();
    const address = orders.place.address;
    await new Promise<void>((resolve) => taken.listen(0, address, resolve));
    const bound = taken.address();
    const port = bound !== null && typeof bound === "object" ? bound.port : expect.unreachable();
    const file = `${lab().directory}/refused.yaml`;
    await Bun.write(
      file,
      `# A port that another process has.
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: taken, namespace: default}
spec:
  hosts: [taken.default.mesh.local]
  location: MESH_INTERNAL
  resolution: STATIC
  ports: [{number: 7070, name: http-taken, protocol: HTTP, targetPort: ${port}}]
  workloadSelector: {labels: {app: orders}}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: still, namespace: default}
spec: {hosts: [still.example], http: [{redirect: {uri: /in-force}}]}
`,
    );
    const { weft } = lab();
    const applied = await weft.cli(["apply", "-f", file, "--wait", "10s"]);
    expect(applied.code).toBe(1);
    expect(applied.stdout + applied.stderr).toContain("NACK");

    const shown = await waitFor(
      "the refusal in `weft proxies`",
      async () => (await weft.cli(["proxies", "orders-1"])).stdout,
      (text) => /NACK/.test(text),
    );
    expect(shown).toMatch(/cannot bind|Address already in use/i);
    expect(shown).toContain(`${address}:${port}`);
    expect(shown).toContain("refused.yaml:");
    // The other proxy took the same change, and the refusing one serves what it had.
    await waitFor(
      "the rest of the change",
      () => callFrom(web, "still.example"),
      ({ status }) => status === 301,
    );
    expectStatus(await callFrom(web, "orders"), 200);

    await new Promise((resolve) => taken.close(resolve));
    await weft.cli(["delete", "ServiceEntry", "taken"]);
    await waitFor(
      "the proxy to be in sync again",
      async () => (await weft.cli(["proxies", "orders-1"])).stdout,
      (text) => /SYNCED/.test(text) && !/NACK/.test(text),
    );
  });

  test("a crashed Envoy is started again", async () => {
    const [, sidecar = expect.unreachable()] = sidecars;
    const envoys = () => descendantsOf(sidecar.process.pid);
    const [first = 0] = await waitFor("Envoy's process", envoys, (pids) => pids.length > 0);
    process.kill(first, "SIGKILL");
    await waitFor("another process", envoys, (pids) => pids.length > 0 && !pids.includes(first));
    await untilLive(sidecar);
    await waitFor(
      "calls to work again",
      () => callFrom(web, "orders"),
      ({ status }) => status === 200,
    );
  });

  test("SIGTERM of `weft proxy run` lets requests in flight finish", async () => {
    const [, sidecar = expect.unreachable()] = sidecars;
    orders.app.delayMs = 1_500;
    const inFlight = callFrom(web, "orders");
    await waitFor(
      "the request in flight",
      () => orders.app.inFlight,
      (count) => count === 1,
    );
    sidecar.process.signal("SIGTERM");
    expectStatus(await inFlight, 200);
    expect(await sidecar.process.exited).toBe(0);
    expect(descendantsOf(sidecar.process.pid)).toEqual([]);
  });
});
