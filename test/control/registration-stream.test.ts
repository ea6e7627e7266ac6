/** Registration and health on streams of a whole weft: who is on a stream, and what its coming and going sends to others. */
import { afterEach, beforeEach, expect, setDefaultTimeout, test } from "bun:test";
import { fromBinary } from "@bufbuild/protobuf";
import { ClusterLoadAssignmentSchema } from "../../src/gen/envoy/config/endpoint/v3/endpoint_pb.ts";
import { TYPE, type TypeUrl } from "../../src/lib/encoded.ts";
import { authorizationOf } from "../../src/proxy/bootstrap.ts";
import { DeltaClient } from "../feature/ads-client.ts";
import { eventually, openTestWeft, type TestWeft } from "./weft.ts";

setDefaultTimeout(60_000);

const service = (name: string) => `apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: ${name}}
spec:
  hosts: [${name}.default.mesh.local]
  location: MESH_INTERNAL
  resolution: STATIC
  ports: [{number: 8080, name: http, protocol: HTTP}]
  workloadSelector: {labels: {app: ${name}}}
`;
const MESH = `${service("web")}---
${service("other")}---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: client}
spec: {address: 10.0.0.1, labels: {app: other}, serviceAccount: client}
---
apiVersion: networking.istio.io/v1
kind: WorkloadGroup
metadata: {name: web}
spec:
  metadata: {labels: {app: web}}
  template: {ports: {http: 8080}, serviceAccount: web}
  probe: {tcpSocket: {port: 8080}}
`;
const ASSIGNMENT = "outbound|8080||web.default.mesh.local";
const WANTED: readonly (readonly [TypeUrl, readonly string[]])[] = [
  [TYPE.cluster, []],
  [TYPE.endpoint, [ASSIGNMENT, "outbound|8080||other.default.mesh.local"]],
  [TYPE.listener, []],
  [TYPE.route, ["http_proxy"]],
  [TYPE.secret, ["default", "ROOTCA"]],
];

let weft: TestWeft;
const clients: DeltaClient[] = [];
beforeEach(async () => {
  weft = await openTestWeft();
  expect((await weft.ask("POST", "/v1/apply", MESH)).status).toBe(200);
});
afterEach(async () => {
  for (const client of clients.splice(0)) client.close();
  await weft.close();
});

function connect(token: string, node?: string): DeltaClient {
  const client = new DeltaClient({ address: weft.ads.host, port: weft.ads.port }, { token, node });
  clients.push(client);
  for (const [typeUrl, names] of WANTED) client.send(typeUrl, { resourceNamesSubscribe: [...names] });
  return client;
}

/** Takes and ACKs all that comes; tells the types, and of endpoint assignments the addresses. */
function follow(client: DeltaClient): string[] {
  const sent: string[] = [];
  void (async () => {
    for (let index = 0; ; index++) {
      const response = await client.until(() => client.responses[index] ?? (client.ended === undefined ? undefined : null), "it", 600_000);
      if (!response) return;
      client.ack(response);
      if (response.typeUrl !== TYPE.endpoint) sent.push(response.typeUrl.slice(response.typeUrl.lastIndexOf(".") + 1));
      for (const body of response.typeUrl === TYPE.endpoint ? response.bodies : []) {
        const { clusterName, endpoints } = fromBinary(ClusterLoadAssignmentSchema, body);
        const addresses = endpoints.flatMap(({ lbEndpoints }) =>
          lbEndpoints.map(({ hostIdentifier: host }) => {
            const address = host.case === "endpoint" ? host.value.address?.address : undefined;
            return address?.case === "socketAddress" ? address.value.address : "?";
          }),
        );
        sent.push(`${clusterName}: ${addresses}`);
      }
    }
  })();
  return sent;
}

const register = (address: string, instance: string) =>
  weft.ask("POST", "/v1/registrations", JSON.stringify({ group: "web", address, instance: instance.padEnd(16, "-") }));
const tokenOf = ({ bootstrap }: Record<string, unknown>) =>
  (authorizationOf(bootstrap as Record<string, unknown>) ?? "").replace("Bearer ", "");
const health = (address: string, body: object) => weft.ask("PUT", `/v1/proxies/default/web-${address}/health`, JSON.stringify(body));
const workloads = async () =>
  ((await weft.ask("GET", "/v1/resources?kind=WorkloadEntry")).json.items as { metadata: { name: string } }[]).map(
    ({ metadata }) => metadata.name,
  );

test("An instance's readiness sends its callers one endpoint assignment, and nothing else; its proxy's flapping sends them nothing", async () => {
  const { json } = await weft.ask("POST", "/v1/tokens", '{"workload": "client"}');
  const sent = follow(connect(String(json.token)));
  const first = [
    "Cluster",
    "Listener",
    "RouteConfiguration",
    "Secret",
    `${ASSIGNMENT}: `,
    "outbound|8080||other.default.mesh.local: 10.0.0.1",
  ];
  await eventually(() => expect(sent).toEqual(expect.arrayContaining(first)));
  const news = () => sent.splice(0);
  news();
  const registration = await register("10.0.0.5", "one");
  const instance = connect(tokenOf(registration.json));
  await eventually(async () => expect(await workloads()).toEqual(["client", "web-10.0.0.5"]));
  // The first instance brings the identity that callers are to expect; after a CDS response its assignment is due.
  await eventually(() => expect(sent).toEqual(["Cluster", `${ASSIGNMENT}: `]));
  news();
  await eventually(async () => expect((await health("10.0.0.5", { ready: true })).status).toBe(200));
  await eventually(() => expect(sent.length).toBeGreaterThan(0));
  expect(news()).toEqual([`${ASSIGNMENT}: 10.0.0.5`]);
  await health("10.0.0.5", { ready: false, message: "refused" });
  await eventually(() => expect(sent.length).toBeGreaterThan(0));
  expect(news()).toEqual([`${ASSIGNMENT}: `]);
  await health("10.0.0.5", { ready: true });
  await eventually(() => expect(sent.length).toBeGreaterThan(0));
  expect(news()).toEqual([`${ASSIGNMENT}: 10.0.0.5`]);

  instance.close();
  const proxy = async () =>
    ((await weft.ask("GET", "/v1/proxies")).json.items as { id: string; connected: boolean }[]).find(({ id }) => id.includes("web-"));
  await eventually(async () => expect((await proxy())?.connected).toBe(false));
  connect(tokenOf(registration.json));
  await eventually(async () => expect((await proxy())?.connected).toBe(true));
  // A change of another service comes after all that there was: it alone has come.
  await weft.ask("POST", "/v1/apply", MESH.replace("10.0.0.1", "10.0.0.2"));
  await eventually(() => expect(sent).toContain("outbound|8080||other.default.mesh.local: 10.0.0.2"));
  expect(news().filter((line) => line.startsWith(ASSIGNMENT))).toEqual([]);
});

test("Who an instance is stands in its token: what its node says of itself decides on nothing", async () => {
  const { json } = await register("10.0.0.5", "one");
  connect(tokenOf(json), "sidecar~default/client");
  await eventually(async () => expect(await workloads()).toEqual(["client", "web-10.0.0.5"]));
  const { items } = (await weft.ask("GET", "/v1/proxies")).json as { items: { id: string; node: string }[] };
  expect(items).toMatchObject([{ id: "default/web-10.0.0.5", node: "sidecar~default/client" }]);
});

test("A stream is refused with the reason where its place is another's by now, where its group is gone, and with a group's token", async () => {
  const ended = async (token: string) => String(await connect(token).end());
  const [one, two] = [tokenOf((await register("10.0.0.5", "one")).json), tokenOf((await register("10.0.0.5", "two")).json)];
  connect(one);
  await eventually(async () => expect(await workloads()).toContain("web-10.0.0.5"));
  expect(await ended(two)).toContain("another instance is connected as default/web-10.0.0.5");
  const { json } = await weft.ask("POST", "/v1/tokens", '{"workload_group": "web"}');
  expect(await ended(String(json.token))).toContain('for audience "weft-registration"');
  const three = tokenOf((await register("10.0.0.7", "three")).json);
  await weft.ask("DELETE", "/v1/resources/WorkloadGroup/default/web");
  expect(await ended(three)).toContain("there is no WorkloadGroup default/web");
  await eventually(async () => expect(await workloads()).toEqual(["client"]));
});

test("An instance reports for itself only, and nobody for a workload that was written by hand", async () => {
  const { json } = await register("10.0.0.5", "one");
  connect(tokenOf(json));
  await eventually(async () => expect((await health("10.0.0.5", { ready: true })).status).toBe(200));
  expect((await health("10.0.0.6", { ready: true })).status).toBe(404);
  expect((await weft.ask("PUT", "/v1/proxies/default/client/health", '{"ready": false}')).status).toBe(404);
});

test("The bootstrap of a registration has the group's admin port and listener for Prometheus, at the instance's address", async () => {
  const annotations = '{weft.dev/envoy-admin: "$(ADDRESS):9901", weft.dev/prometheus: "$(ADDRESS):15090"}';
  const group = MESH.slice(MESH.lastIndexOf("---")).replace("{labels: {app: web}}", `{labels: {app: web}, annotations: ${annotations}}`);
  await weft.ask("POST", "/v1/apply", group);
  const at = (port_value: number) => ({ socket_address: { address: "10.0.0.5", port_value } });
  expect((await register("10.0.0.5", "one")).json.bootstrap).toMatchObject({
    admin: { address: at(9901) },
    static_resources: { listeners: [{ name: "prometheus", address: at(15090) }] },
  });
});
