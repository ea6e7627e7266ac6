import { afterAll, beforeAll, expect, test } from "bun:test";
import { startHttpApp } from "../../scripts/lib/lab/apps.ts";
import { waitFor } from "../../scripts/lib/lab/wait.ts";
import { choosePlace, type Place, type Sidecar, startSidecar, untilLive, workloadEntryYaml } from "../../scripts/lib/lab/workload.ts";
import { callFrom, describeMesh, expectStatus, type Member, serviceEntryYaml } from "./harness.ts";

const API = "api.example.com";
const api = startHttpApp({ service: "api", instance: "api-1" });

describeMesh("an egress gateway", (lab) => {
  let web: Member;
  let out: Place;
  let gateway: Sidecar;

  beforeAll(async () => {
    const { network, weft, processes, envoy } = lab();
    web = await lab().workload({ name: "web-1", service: "web" });
    out = await choosePlace(network, { name: "out-1", ports: ["https"] });
    const entry = workloadEntryYaml({ place: out, labels: { app: "out" }, serviceAccount: "out", apps: {} });
    await weft.apply(
      [
        serviceEntryYaml({ name: "web" }),
        web.yaml,
        serviceEntryYaml({ name: "out", ports: [{ number: 443, name: "https", protocol: "HTTP" }] }),
        entry.replace('"annotations":{', '"annotations":{"weft.dev/type":"gateway",'),
        `apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: api, namespace: default}
spec:
  hosts: [${API}]
  resolution: STATIC
  ports: [{number: 80, name: http, protocol: HTTP}]
  endpoints: [{address: ${api.address}, ports: {http: ${api.port}}}]
`,
        `apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: out, namespace: default}
spec:
  selector: {app: out}
  servers: [{port: {number: 443, name: https, protocol: HTTPS}, hosts: [${API}], tls: {mode: ISTIO_MUTUAL}}]
`,
        `apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: out, namespace: default}
spec: {host: out, trafficPolicy: {tls: {mode: ISTIO_MUTUAL, sni: ${API}}}}
`,
        `apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: api, namespace: default}
spec:
  hosts: [${API}]
  gateways: [mesh, out]
  http:
    - match: [{gateways: [mesh]}]
      route: [{destination: {host: out, port: {number: 443}}}]
    - match: [{gateways: [out]}]
      headers: {request: {set: {x-left-by: out}}}
      route: [{destination: {host: ${API}, port: {number: 80}}}]
`,
      ].join("---\n"),
    );
    const sidecar = startSidecar({ weft, processes, envoy }, web.place);
    gateway = startSidecar({ weft, processes, envoy }, out);
    await Promise.all([untilLive(sidecar), untilLive(gateway)]);
    await waitFor(
      "the first call",
      () => callFrom(web, API),
      ({ status }) => status === 200,
    );
  });
  afterAll(() => api.stop());

  test("takes the mesh's calls out under mutual TLS, and knows who called", async () => {
    const { echo } = expectStatus(await callFrom(web, API), 200);
    expect(echo).toMatchObject({ service: "api", headers: { "x-left-by": "out" } });
    expect(echo?.headers["x-forwarded-client-cert"]).toContain("URI=spiffe://mesh.local/ns/default/sa/web");
    const handshakes = await gateway.stats(/^listener\..*\.ssl\.handshake$/);
    expect(Object.values(handshakes).reduce((sum, count) => sum + count, 0)).toBeGreaterThan(0);
  });

  test("lets out whom its AuthorizationPolicy allows, by the caller's identity", async () => {
    const policy = (principal: string) => `apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: out, namespace: default}
spec:
  selector: {matchLabels: {app: out}}
  rules: [{from: [{source: {principals: [${principal}]}}]}]
`;
    await lab().weft.apply(policy("mesh.local/ns/default/sa/batch"));
    await waitFor(
      "the refusal",
      () => callFrom(web, API),
      ({ status }) => status === 403,
    );
    await lab().weft.apply(policy("mesh.local/ns/default/sa/web"));
    await waitFor(
      "the permission",
      () => callFrom(web, API),
      ({ status }) => status === 200,
    );
  });
});
