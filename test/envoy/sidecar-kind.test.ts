import { afterAll, beforeAll, expect, test } from "bun:test";
import { startHttpApp } from "../../scripts/lib/lab/apps.ts";
import type { Answer } from "../../scripts/lib/lab/call.ts";
import { waitFor } from "../../scripts/lib/lab/wait.ts";
import { callFrom, describeMesh, expectStatus, type Member } from "./harness.ts";

const other = startHttpApp({ service: "orders", instance: "behind-the-ingress" });

const sidecar = (name: string, app: string, spec: string) => `apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {name: ${name}, namespace: default}
spec: {workloadSelector: {labels: {app: ${app}}}, ${spec}}
`;

describeMesh("a Sidecar", (lab) => {
  let web: Member;
  let batch: Member;
  let orders: Member;

  beforeAll(async () => {
    const member = (service: string) => lab().workload({ name: `${service}-1`, service });
    [web, batch, orders] = [await member("web"), await member("batch"), await member("orders")];
    await lab().join([{ name: "web" }, { name: "batch" }, { name: "orders" }], [web, batch, orders]);
    for (const caller of [web, batch]) await until(() => callFrom(caller, "orders"), 200);
  });
  afterAll(() => other.stop());

  const until = (call: () => Promise<Answer>, wanted: number) => waitFor(`status ${wanted}`, call, ({ status }) => status === wanted);

  test("hides from its workloads what its egress does not import, and from nobody else", async () => {
    await lab().weft.apply(sidecar("web", "web", 'egress: [{hosts: ["./batch.default.svc.cluster.local"]}]'));
    await until(() => callFrom(web, "orders"), 404);
    expectStatus(await callFrom(web, "batch"), 200);
    expectStatus(await callFrom(batch, "orders"), 200);
    await lab().weft.apply(sidecar("web", "web", 'egress: [{hosts: ["*/*"]}]'));
    await until(() => callFrom(web, "orders"), 200);
  });

  test("says by its ingress where the application of a port is", async () => {
    const { echo: before } = expectStatus(await callFrom(web, "orders"), 200);
    expect(before?.instance).toBe("orders-1");
    const port = `{number: ${orders.place.ports.http}, protocol: HTTP}`;
    await lab().weft.apply(sidecar("orders", "orders", `ingress: [{port: ${port}, defaultEndpoint: "127.0.0.1:${other.port}"}]`));
    await waitFor(
      "the other application",
      () => callFrom(web, "orders"),
      ({ echo }) => echo?.instance === "behind-the-ingress",
    );
    const { echo } = expectStatus(await callFrom(web, "orders"), 200);
    expect(echo?.headers["x-forwarded-client-cert"]).toContain("URI=spiffe://mesh.local/ns/default/sa/web");
  });
});
