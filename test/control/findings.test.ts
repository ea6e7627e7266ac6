import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { openTestWeft, type TestWeft } from "./weft.ts";

const ORDERS = `apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: orders}
spec:
  hosts: [orders]
  location: MESH_INTERNAL
  resolution: STATIC
  ports: [{number: 8080, name: http, protocol: HTTP}]
  endpoints: [{address: 10.0.0.1, serviceAccount: orders}]
`;
const routeTo = (host: string) => `apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: routes}
spec:
  hosts: [shop.example.com]
  http:
    - route: [{destination: {host: ${host}}}]
`;
const OTHER = `apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: other}
spec: {host: elsewhere.example.com}
`;

interface Answer {
  readonly revision: number;
  readonly problems: readonly {
    readonly code: string;
    readonly file: string;
    readonly line: number;
    readonly resource: { readonly name: string };
  }[];
}

describe("Findings across resources on a running weft", () => {
  let weft: TestWeft;
  beforeAll(async () => {
    weft = await openTestWeft();
  });
  afterAll(() => weft.close());
  const codes = async (method: string, path: string, body?: string) => {
    const { status, json } = await weft.ask(method, path, body);
    expect(status).toBeLessThan(300);
    return (json as unknown as Answer).problems.map(({ code, resource }) => `${code} ${resource.name}`);
  };

  test("come with an apply as warnings: those about what it touches", async () => {
    expect(await codes("POST", "/v1/apply?file=other.yaml", OTHER)).toEqual(["WF0501 other"]);
    expect(await codes("POST", "/v1/apply?file=orders.yaml", ORDERS)).toEqual([]);
    expect(await codes("POST", "/v1/apply?file=routes.yaml", routeTo("orders"))).toEqual([]);
  });

  test("are told by a dry run too, which changes nothing", async () => {
    expect(await codes("POST", "/v1/apply?file=routes.yaml&dryRun=true", routeTo("order"))).toEqual(["WF0501 routes"]);
    expect(await codes("GET", "/v1/check")).toEqual(["WF0501 other"]);
  });

  test("are told by a deletion where it causes them elsewhere", async () => {
    const path = "/v1/resources/ServiceEntry/default/orders";
    expect(await codes("DELETE", `${path}?dryRun=true`)).toEqual(["WF0501 routes"]);
    expect(await codes("DELETE", path)).toEqual(["WF0501 routes"]);
  });

  test("are all in /v1/check, with their places", async () => {
    const { json } = await weft.ask("GET", "/v1/check");
    expect(json).toMatchObject({
      revision: 4,
      problems: [
        { code: "WF0501", file: "other.yaml", line: 4 },
        { code: "WF0501", file: "routes.yaml", line: 7 },
      ],
    });
  });
});
