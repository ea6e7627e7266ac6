import { expect, test } from "bun:test";
import { existsSync, readFileSync } from "node:fs";
import { waitFor } from "../../scripts/lib/lab/wait.ts";
import { callFrom, describeMesh, expectStatus } from "./harness.ts";

describeMesh("Telemetry", (lab) => {
  test("logs the calls that its filter is true for, in its format, at the side that it names", async () => {
    const { weft, directory } = lab();
    const [web, orders] = await Promise.all([
      lab().workload({ name: "web-1", service: "web" }),
      lab().workload({ name: "orders-1", service: "orders" }),
    ]);
    await lab().join([{ name: "web" }, { name: "orders" }], [web, orders]);
    const path = `${directory}/access.log`;
    await weft.apply(`apiVersion: weft.dev/v1
kind: MeshConfig
metadata: {name: mesh, namespace: weft-system}
spec: {extensionProviders: [{name: errors, envoyFileAccessLog: {path: "${path}", logFormat: {labels: {path: "%REQ(:PATH)%", status: "%RESPONSE_CODE%"}}}}]}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: orders, namespace: default}
spec:
  hosts: [orders]
  http:
    - {match: [{uri: {prefix: /gone}}], directResponse: {status: 410}}
    - {route: [{destination: {host: orders}}]}
---
apiVersion: telemetry.istio.io/v1
kind: Telemetry
metadata: {name: errors, namespace: default}
spec:
  accessLogging: [{match: {mode: CLIENT}, providers: [{name: errors}], filter: {expression: "response.code >= 400"}}]
`);
    await waitFor(
      "a line of the log",
      async () => {
        expectStatus(await callFrom(web, "orders", { path: "/fine" }), 200);
        await callFrom(web, "orders", { path: "/gone" });
        return existsSync(path) ? readFileSync(path, "utf8") : "";
      },
      (text) => text.includes("/gone"),
    );
    const lines = readFileSync(path, "utf8").trim().split("\n");
    expect(JSON.parse(lines[0] ?? "")).toEqual({ path: "/gone", status: 410 });
    expect(lines.filter((line) => line.includes("/fine"))).toEqual([]);
  });
});
