import { describe, expect, test } from "bun:test";
import { meshOf, resource, workload } from "./harness.ts";

function telemetry(
  name: string,
  accessLogging: readonly object[],
  { namespace = "default", created = "2024-01-01T00:00:00Z", app = "" } = {},
): string {
  return JSON.stringify({
    apiVersion: "telemetry.istio.io/v1",
    kind: "Telemetry",
    metadata: { name, namespace, creationTimestamp: created },
    spec: { ...(app ? { selector: { matchLabels: { app } } } : {}), accessLogging },
  });
}

const PROVIDERS = `extensionProviders: [{name: one, envoyFileAccessLog: {path: /1}}, {name: Two, envoyFileAccessLog: {path: /2}}]`;
const to = (...names: string[]) => ({ providers: names.map((name) => ({ name })) });

/** The paths to which the proxy of default/orders-1 logs; undefined where MeshConfig decides. */
function pathsOf(side: "client" | "server", documents: readonly string[], more = "") {
  const config = resource("MeshConfig", "mesh", `{${PROVIDERS}${more}}`, "namespace: weft-system");
  const mesh = meshOf(config, workload("orders-1", "orders", "10.0.0.1"), ...documents);
  return mesh.accessLogs.get("default/orders-1")?.[side]?.map(({ path }) => path);
}

describe("The access logs of a workload", () => {
  test("are MeshConfig's accessLogFile where no Telemetry and no default provider is", () => {
    expect(pathsOf("client", [])).toBeUndefined();
  });
  test("are the default providers' where no Telemetry speaks", () => {
    expect(pathsOf("client", [], ", defaultProviders: {accessLogging: [two]}")).toEqual(["/2"]);
  });
  test("know Istio's provider envoy, which nobody has to write down", () => {
    expect(pathsOf("client", [telemetry("a", [to("envoy")])])).toEqual(["/dev/stdout"]);
  });
  test("are those of the narrowest scope that names providers", () => {
    const root = telemetry("root", [to("one")], { namespace: "weft-system" });
    expect(pathsOf("client", [root])).toEqual(["/1"]);
    expect(pathsOf("client", [root, telemetry("ns", [to("two")])])).toEqual(["/2"]);
    expect(pathsOf("client", [root, telemetry("ns", [to("two")]), telemetry("own", [to("one")], { app: "orders" })])).toEqual(["/1"]);
    expect(pathsOf("client", [root, telemetry("other", [to("two")], { app: "web" })])).toEqual(["/1"]);
  });
  test("of one scope are the oldest Telemetry's", () => {
    const young = telemetry("a", [to("one")], { created: "2025-01-01T00:00:00Z" });
    expect(pathsOf("client", [young, telemetry("b", [to("two")])])).toEqual(["/2"]);
  });
  test("a selector in the root namespace selects in that namespace only", () => {
    expect(pathsOf("client", [telemetry("root", [to("one")], { namespace: "weft-system", app: "orders" })])).toBeUndefined();
  });
  test("are told apart by side", () => {
    const filters = [
      telemetry("a", [
        { ...to("one"), match: { mode: "CLIENT" } },
        { ...to("two"), match: { mode: "SERVER" } },
      ]),
    ];
    expect(pathsOf("client", filters)).toEqual(["/1"]);
    expect(pathsOf("server", filters)).toEqual(["/2"]);
  });
  test("are turned off by disabled, which speaks of the providers last named", () => {
    const root = telemetry("root", [to("one")], { namespace: "weft-system" });
    expect(pathsOf("client", [root, telemetry("off", [{ disabled: true }])])).toEqual([]);
    // With no provider named, by Telemetry or by default, there is nothing to turn off: accessLogFile stays, as in Istio.
    expect(pathsOf("client", [telemetry("off", [{ disabled: true }])])).toBeUndefined();
  });
});
