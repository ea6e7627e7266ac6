import { describe, expect, test } from "bun:test";
import { why } from "../../src/why/index.ts";
import { httpService, meshOf, resource, workload } from "../mesh/harness.ts";

const STRICT_FAR = resource("PeerAuthentication", "far", "{selector: {matchLabels: {app: orders}}, mtls: {mode: STRICT}}");
const at = (name: string, app: string, address: string, locality: string) => workload(name, app, address, "", `, locality: ${locality}`);

function ask(policy: string, from = "default/web-1", ...more: string[]) {
  const mesh = meshOf(
    httpService("orders"),
    at("web-1", "web", "10.0.0.1", "eu/north/a"),
    at("near", "orders", "10.0.0.2", "eu/north/a"),
    // Without an identity, so that it ends otherwise than the near one where mutual TLS is asked for.
    at("far", "orders", "10.0.0.3", "us/east/a").replace("serviceAccount: orders", 'serviceAccount: ""'),
    resource("DestinationRule", "orders", `{host: orders, trafficPolicy: ${policy}}`),
    ...more,
  );
  return why(mesh, { from, to: "orders" }, { now: 0 });
}

const endpoints = (answer: ReturnType<typeof ask>) =>
  answer.destinations.flatMap((destination) => destination.endpoints.map(({ workload: name, priority }) => `${name} ${priority}`));

describe("weft why", () => {
  test("counts the endpoints that are asked first, and tells of those that are asked when they are in bad health", () => {
    const answer = ask("{outlierDetection: {consecutive5xxErrors: 5}}", "default/web-1", STRICT_FAR);
    expect(answer).toMatchObject({ verdict: "allow", status: 200, mixed: false });
    expect(endpoints(answer)).toEqual(["default/near 0", "default/far 1"]);
    expect(answer.steps).toContainEqual(
      expect.objectContaining({ stage: "destination", result: "failover", source: expect.objectContaining({ kind: "DestinationRule" }) }),
    );
    expect(ask("{loadBalancer: {simple: RANDOM}}", "default/web-1", STRICT_FAR)).toMatchObject({ mixed: true });
  });

  test("leaves out the endpoints to which distribute gives no share, and answers 503 where it gives none to any", () => {
    const distribute = (to: string) => `{loadBalancer: {localityLbSetting: {distribute: [{from: "eu/*", to: {"${to}": 100}}]}}}`;
    expect(endpoints(ask(distribute("us/*")))).toEqual(["default/far 0"]);
    expect(ask(distribute("asia"))).toMatchObject({ verdict: "no_route", status: 503 });
    expect(endpoints(ask(distribute("asia"), "default/far"))).toEqual(["default/near 0", "default/far 0"]);
  });
});
