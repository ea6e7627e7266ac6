/** Which endpoints are asked first, for a caller in some region, zone and subzone. */
import { describe, expect, test } from "bun:test";
import { httpService, meshOf, resource, viewOf, workload } from "./harness.ts";

const at = (name: string, app: string, address: string, locality: string, label = "x") =>
  workload(name, app, address, "", `, locality: ${locality}`).replace(`{app: ${app}}`, `{app: ${app}, rack: ${label}}`);
const mesh = (policy: string, ...more: string[]) =>
  meshOf(
    httpService("orders"),
    at("web", "web", "10.0.1.1", "eu/north/a", "r1"),
    at("near", "orders", "10.0.0.1", "eu/north/a", "r2"),
    at("far", "orders", "10.0.0.2", "us/east/a", "r1"),
    at("farther", "orders", "10.0.0.3", "as/east/a", "r2"),
    resource("DestinationRule", "orders", `{host: orders, trafficPolicy: ${policy}}`),
    ...more,
  );
const OUTLIER = "outlierDetection: {consecutive5xxErrors: 5}";

/** "priority locality weight" */
const groups = (policy: string, caller = "default/web") =>
  viewOf(mesh(policy), caller).assignments.flatMap(({ localities }) =>
    localities.map(({ priority, locality, weight }) => `${priority} ${locality} ${weight}`),
  );

describe("Endpoints", () => {
  test("are all asked alike without outlier detection, which would never turn to farther ones", () => {
    expect(groups("{loadBalancer: {simple: RANDOM}}")).toEqual(["0 as/east/a 1", "0 eu/north/a 1", "0 us/east/a 1"]);
  });

  test("that are near are asked first with outlier detection, though no locality setting is written", () => {
    expect(groups(`{${OUTLIER}}`)).toEqual(["0 eu/north/a 1", "1 as/east/a 1", "1 us/east/a 1"]);
    expect(groups(`{${OUTLIER}}`, "default/far")).toEqual(["0 us/east/a 1", "1 as/east/a 1", "1 eu/north/a 1"]);
  });

  test("are all asked alike where locality is turned off", () => {
    const off = `{${OUTLIER}, loadBalancer: {localityLbSetting: {enabled: false}}}`;
    expect(groups(off)).toEqual(["0 as/east/a 1", "0 eu/north/a 1", "0 us/east/a 1"]);
  });

  test("of the region that failover names go before those of others", () => {
    const failover = `{${OUTLIER}, loadBalancer: {localityLbSetting: {failover: [{from: eu, to: us}]}}}`;
    expect(groups(failover)).toEqual(["0 eu/north/a 1", "1 us/east/a 1", "2 as/east/a 1"]);
  });

  test("get the shares that distribute gives the caller's locality, and nothing where it names none", () => {
    const shares = '{loadBalancer: {localityLbSetting: {distribute: [{from: "eu/*", to: {eu: 80, us: 20}}]}}}';
    expect(groups(shares)).toEqual(["0 eu/north/a 80", "0 us/east/a 20"]);
    expect(groups(shares, "default/far")).toEqual(["0 as/east/a 1", "0 eu/north/a 1", "0 us/east/a 1"]);
  });

  test("that share more labels with the caller, in the order of failoverPriority, go first", () => {
    const racks = `{${OUTLIER}, loadBalancer: {localityLbSetting: {failoverPriority: [rack, topology.kubernetes.io/region]}}}`;
    expect(groups(racks)).toEqual(["0 us/east/a 1", "1 as/east/a 1", "1 eu/north/a 1"]);
  });

  test("split the view by locality only where some rule looks at it", () => {
    const { outbound } = mesh("{loadBalancer: {simple: RANDOM}}");
    expect(outbound.get("default/web")).toBe(outbound.get("default/far"));
    const other = mesh(`{${OUTLIER}}`).outbound;
    expect(other.get("default/web")).not.toBe(other.get("default/far"));
    expect(other.get("default/web")?.clusters).toBe(other.get("default/far")?.clusters);
  });
});

describe("A connection pool", () => {
  test("of a service's rule holds for its own instances too, its subsets' and selected callers' do not", () => {
    const rule = resource(
      "DestinationRule",
      "o",
      "{host: orders, trafficPolicy: {connectionPool: {tcp: {maxConnections: 7}}}, subsets: [{name: a, trafficPolicy: {connectionPool: {tcp: {maxConnections: 9}}}}]}",
    );
    const selected = resource(
      "DestinationRule",
      "p",
      "{host: orders, workloadSelector: {matchLabels: {app: orders}}, trafficPolicy: {connectionPool: {tcp: {maxConnections: 8}}}}",
    );
    const { inbound } = meshOf(
      httpService("orders"),
      workload("orders-1", "orders", "10.0.0.1"),
      workload("web", "web", "10.0.0.2"),
      rule,
      selected,
    );
    expect(
      [...inbound].map(([key, ports]) => [
        key,
        ...[...ports].map(([port, { connectionPool }]) => [port, connectionPool?.tcp?.maxConnections]),
      ]),
    ).toEqual([["default/orders-1", [80, 7]], ["default/web"]]);
  });
});
