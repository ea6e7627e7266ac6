import { beforeAll, expect, test } from "bun:test";
import { waitFor } from "../../scripts/lib/lab/wait.ts";
import { callFrom, describeMesh, expectStatus, type Member } from "./harness.ts";

const filter = (name: string, spec: object) =>
  JSON.stringify({ apiVersion: "networking.istio.io/v1alpha3", kind: "EnvoyFilter", metadata: { name, namespace: "default" }, spec });

const MANAGER = "envoy.filters.network.http_connection_manager";

describeMesh("an EnvoyFilter", (lab) => {
  let web: Member;
  let orders: Member;

  beforeAll(async () => {
    [web, orders] = await Promise.all([
      lab().workload({ name: "web-1", service: "web" }),
      lab().workload({ name: "orders-1", service: "orders" }),
    ]);
    await lab().join([{ name: "web" }, { name: "orders" }], [web, orders]);
    await waitFor(
      "the first call",
      () => callFrom(web, "orders"),
      ({ status }) => status === 200,
    );
  });

  test("that merges into a route table adds its header to the answers that its proxies give, and goes with it", async () => {
    const { weft } = lab();
    const patch = {
      applyTo: "ROUTE_CONFIGURATION",
      match: { context: "SIDECAR_OUTBOUND" },
      patch: { operation: "MERGE", value: { response_headers_to_add: [{ header: { key: "x-patched", value: "by-route" } }] } },
    };
    await weft.apply(filter("route-header", { workloadSelector: { labels: { app: "web" } }, configPatches: [patch] }));
    await waitFor(
      "the header",
      () => callFrom(web, "orders"),
      ({ headers }) => headers["x-patched"] === "by-route",
    );
    // The other proxy is not selected: what it calls for the same service has no such header.
    expect(expectStatus(await callFrom(orders, "orders"), 200).headers["x-patched"]).toBeUndefined();
    await weft.cli(["delete", "EnvoyFilter", "route-header"]);
    await waitFor(
      "the header to go",
      () => callFrom(web, "orders"),
      ({ headers }) => headers["x-patched"] === undefined,
    );
  });

  test("that inserts a Lua filter before the router of virtualInbound sees every request that comes in", async () => {
    const { weft } = lab();
    const code = 'function envoy_on_response(handle) handle:headers():add("x-lua", "inbound") end';
    const patch = {
      applyTo: "HTTP_FILTER",
      match: {
        context: "SIDECAR_INBOUND",
        listener: { name: "virtualInbound", filterChain: { filter: { name: MANAGER, subFilter: { name: "envoy.filters.http.router" } } } },
      },
      patch: {
        operation: "INSERT_BEFORE",
        value: {
          name: "envoy.filters.http.lua",
          typed_config: {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua",
            default_source_code: { inline_string: code },
          },
        },
      },
    };
    await weft.apply(filter("lua", { configPatches: [patch] }));
    await waitFor(
      "the header",
      () => callFrom(web, "orders"),
      ({ headers }) => headers["x-lua"] === "inbound",
    );
    await weft.cli(["delete", "EnvoyFilter", "lua"]);
  });

  test("whose filter has a field that weft does not know is read by Envoy, which may know it", async () => {
    const { weft } = lab();
    const patch = {
      applyTo: "HTTP_FILTER",
      match: {
        context: "SIDECAR_INBOUND",
        listener: { name: "virtualInbound", filterChain: { filter: { name: MANAGER, subFilter: { name: "envoy.filters.http.router" } } } },
      },
      patch: {
        operation: "INSERT_BEFORE",
        value: {
          name: "envoy.filters.http.header_mutation",
          typed_config: {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.header_mutation.v3.HeaderMutation",
            mutations: {
              query_parameter_mutations: [{ append: { record: { key: "added", value: "by-envoy" } } }],
              response_mutations: [{ append: { header: { key: "x-asked", value: "%REQ(:PATH)%" } } }],
            },
          },
        },
      },
    };
    await weft.apply(filter("mutation", { configPatches: [patch] }));
    await waitFor(
      "the header with the parameter",
      () => callFrom(web, "orders"),
      ({ headers }) => headers["x-asked"]?.includes("added=by-envoy") ?? false,
    );
    await weft.cli(["delete", "EnvoyFilter", "mutation"]);
  });

  test("that adds an extension's configuration gives it to the filter that asks for its name", async () => {
    const { weft } = lab();
    const LUA = "type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua";
    const code = 'function envoy_on_response(handle) handle:headers():add("x-ecds", "yes") end';
    const discovered = {
      name: "mine",
      config_discovery: { config_source: { ads: {}, resource_api_version: "V3", initial_fetch_timeout: "0s" }, type_urls: [LUA] },
    };
    const configPatches = [
      {
        applyTo: "EXTENSION_CONFIG",
        patch: { operation: "ADD", value: { name: "mine", typed_config: { "@type": LUA, default_source_code: { inline_string: code } } } },
      },
      {
        applyTo: "HTTP_FILTER",
        match: { context: "SIDECAR_INBOUND", listener: { filterChain: { filter: { name: MANAGER } } } },
        patch: { operation: "INSERT_FIRST", value: discovered },
      },
    ];
    await weft.apply(filter("ecds", { configPatches }));
    await waitFor(
      "the header",
      () => callFrom(web, "orders"),
      ({ headers }) => headers["x-ecds"] === "yes",
    );
    await weft.cli(["delete", "EnvoyFilter", "ecds"]);
  });

  test("that Envoy refuses is shown with Envoy's words and the patch's line, while all else stays in force", async () => {
    const { weft, directory } = lab();
    const file = `${directory}/broken.yaml`;
    await Bun.write(
      file,
      `apiVersion: networking.istio.io/v1alpha3
kind: EnvoyFilter
metadata: {name: broken, namespace: default}
spec:
  workloadSelector: {labels: {app: orders}}
  configPatches:
    - applyTo: HTTP_FILTER
      match: {context: SIDECAR_INBOUND}
      patch:
        operation: INSERT_FIRST
        value:
          name: envoy.filters.http.lua
          typed_config:
            "@type": type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua
            default_source_code: {inline_string: "this is no Lua"}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: still, namespace: default}
spec: {hosts: [still.example], http: [{redirect: {uri: /in-force}}]}
`,
    );
    const applied = await weft.cli(["apply", "-f", file, "--wait", "10s"]);
    expect(applied.code).toBe(1);
    const shown = await waitFor(
      "the refusal in `weft proxies`",
      async () => (await weft.cli(["proxies", "orders-1"])).stdout,
      (text) => /NACK/.test(text),
    );
    expect(shown).toMatch(/script load error/);
    expect(shown).toContain("EnvoyFilter default/broken");
    expect(shown).toContain("broken.yaml:7");
    await waitFor(
      "the rest of the change",
      () => callFrom(web, "still.example"),
      ({ status }) => status === 301,
    );
    expectStatus(await callFrom(web, "orders"), 200);
    await weft.cli(["delete", "EnvoyFilter", "broken"]);
    await waitFor(
      "the proxy to be in sync again",
      async () => (await weft.cli(["proxies", "orders-1"])).stdout,
      (text) => /SYNCED/.test(text) && !/NACK/.test(text),
    );
  });
});
