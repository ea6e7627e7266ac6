import { describe, expect, test } from "bun:test";
import { parseDocuments } from "../../src/model/index.ts";
import { accepts, documentWith, problemsOf, refuses } from "./support.ts";

const MANAGER = "envoy.filters.network.http_connection_manager";
const with_ = (applyTo: string, patch: object, match?: object) => ({ configPatches: [{ applyTo, match, patch }] });
const add = (value: object) => ({ operation: "ADD", value });
const merge = (value: object = {}) => ({ operation: "MERGE", value });
const filter = (more: object) => ({ listener: { filterChain: { filter: more } } });

describe("What an EnvoyFilter may say", () => {
  accepts("EnvoyFilter", {
    nothing: {},
    "a selector without labels": { workloadSelector: { labels: {} } },
    "a patch without a match": with_("CLUSTER", merge({ connect_timeout: "3s" })),
    "Envoy's names in either case": with_("CLUSTER", merge({ connectTimeout: "3s", lb_policy: "RANDOM" })),
    "a removal without a value": with_("CLUSTER", { operation: "REMOVE" }),
    "an extension that weft does not know, as a TypedStruct": with_(
      "HTTP_FILTER",
      add({
        name: "x",
        typed_config: { "@type": "type.googleapis.com/udpa.type.v1.TypedStruct", type_url: "acme.Filter", value: { a: [1] } },
      }),
    ),
    "an operation that does nothing in Istio either": with_("CLUSTER", { operation: "REPLACE", value: {} }),
  });

  const badPatch = "spec.configPatches[0]";
  refuses("EnvoyFilter", {
    "no applyTo": [{ configPatches: [{ patch: merge() }] }, "missing", `${badPatch}: needs applyTo`],
    "no patch": [{ configPatches: [{ applyTo: "CLUSTER" }] }, "missing", `${badPatch}: needs patch`],
    "no operation": [with_("CLUSTER", { value: {} }), "missing", `${badPatch}.patch: needs operation`],
    "no value where the operation is none of removal": [
      with_("CLUSTER", { operation: "ADD" }),
      "missing",
      `${badPatch}.patch: needs value`,
    ],
    "a listener's match for a cluster": [with_("CLUSTER", merge(), { listener: {} }), "exclusive", `${badPatch}.match.listener`],
    "a cluster's match for a listener": [with_("LISTENER", merge(), { cluster: {} }), "exclusive", `${badPatch}.match.cluster`],
    "a cluster's match for a route": [with_("HTTP_ROUTE", merge(), { cluster: {} }), "exclusive", `${badPatch}.match.cluster`],
    "a filter match without a name": [
      with_("NETWORK_FILTER", merge(), filter({})),
      "missing",
      `${badPatch}.match.listener.filterChain.filter: needs name`,
    ],
    "a subfilter for another applyTo": [
      with_("NETWORK_FILTER", merge(), filter({ name: MANAGER, subFilter: { name: "x" } })),
      "together",
      `${badPatch}.match.listener.filterChain.filter.subFilter`,
    ],
    "a subfilter of a filter that has none": [
      with_("HTTP_FILTER", merge(), filter({ name: "x", subFilter: { name: "x" } })),
      "together",
      `${badPatch}.match.listener.filterChain.filter.subFilter`,
    ],
    "a subfilter without a name": [
      with_("HTTP_FILTER", merge(), filter({ name: MANAGER, subFilter: {} })),
      "missing",
      `${badPatch}.match.listener.filterChain.filter.subFilter: needs name`,
    ],
    "a value of another type": [with_("CLUSTER", merge({ name: true })), "badValue", `${badPatch}.patch.value`],
    "a type that nobody knows": [
      with_("HTTP_FILTER", add({ name: "x", typed_config: { "@type": "type.googleapis.com/acme.Filter" } })),
      "badValue",
      `${badPatch}.patch.value`,
    ],
    "a patch of the bootstrap": [with_("BOOTSTRAP", merge()), "notYet", `${badPatch}.applyTo`],
    "a match of a proxy's version": [with_("CLUSTER", merge(), { proxy: { proxyVersion: "^1" } }), "notYet", `${badPatch}.match.proxy`],
    "a waypoint": [with_("CLUSTER", merge(), { context: "WAYPOINT" }), "notYet", `${badPatch}.match.context`],
    "a targetRef": [{ targetRefs: [{ kind: "Gateway", name: "x" }] }, "kubernetesOnly", "spec.targetRefs"],
  });

  test("a patch that can do nothing is told of", () => {
    const told = (spec: object) => problemsOf(documentWith("EnvoyFilter", spec)).filter((line) => line.startsWith("warning noEffect"));
    expect(told(with_("CLUSTER", { operation: "REPLACE", value: {} }))).toHaveLength(1);
    expect(told(with_("HTTP_FILTER", { operation: "REMOVE" }))).toHaveLength(1);
    expect(told(with_("LISTENER", merge(), { listener: { name: "virtualOutbound" } }))).toHaveLength(1);
    expect(told(with_("CLUSTER", add({})))).toHaveLength(1);
    expect(told(with_("CLUSTER", merge({ connect_timeout: "1s" })))).toEqual([]);
  });

  test("the old v2 types are named as such", () => {
    const value = { name: "x", typed_config: { "@type": "type.googleapis.com/envoy.config.filter.http.lua.v2.Lua" } };
    const { problems } = parseDocuments(documentWith("EnvoyFilter", with_("HTTP_FILTER", add(value))), "x.yaml");
    expect(problems[0]?.help).toContain("v3");
  });
});
