/**
 * EnvoyFilter: patches of the configuration that weft made, applied last. istio/api networking/v1alpha3/envoy_filter.proto, checked as Istio's
 * pkg/config/validation/envoyfilter/envoyfilter.go does; where that takes a patch that cannot do anything, a warning says so.
 */
import * as v from "valibot";
import { checkSelector } from "./check-label.ts";
import { checkPatch } from "./envoy-filter-check.ts";
import { choice, integer, isMapping, kubernetesOnly, list, map, needed, notYet, object, text, uint32 } from "./schema.ts";
import { refuseType, withRun } from "./schema-core.ts";

/** Any mapping: what it may hold is Envoy's business. */
const mapping = () =>
  withRun(v.record(v.string(), v.any()), (dataset) => {
    if (!isMapping(dataset.value)) return refuseType(dataset, "a mapping");
    dataset.typed = true;
    return dataset;
  });

const filterMatch = object({ name: text(), subFilter: object({ name: text() }) });

const filterChainMatch = object({
  name: text(),
  sni: text(),
  transportProtocol: text(),
  applicationProtocols: text(),
  filter: filterMatch,
  destinationPort: uint32(),
});

const listenerMatch = object({
  portNumber: uint32(),
  portName: notYet("Istio does not honour it either: write portNumber"),
  filterChain: filterChainMatch,
  listenerFilter: text(),
  name: text(),
});

const vhostMatch = object({
  name: text(),
  domainName: text(),
  route: object({ name: text(), action: choice(["ANY", "ROUTE", "REDIRECT", "DIRECT_RESPONSE"]) }),
});

const routeConfigurationMatch = object({
  portNumber: uint32(),
  portName: text(),
  gateway: text(),
  vhost: vhostMatch,
  name: text(),
});

const clusterMatch = object({ portNumber: uint32(), service: text(), subset: text(), name: text() });

const match = object({
  context: choice(["ANY", "SIDECAR_INBOUND", "SIDECAR_OUTBOUND", "GATEWAY"], { WAYPOINT: "there are no waypoint proxies" }),
  proxy: notYet("a proxy has no version of Istio's and no such metadata: select workloads by workloadSelector"),
  listener: listenerMatch,
  routeConfiguration: routeConfigurationMatch,
  cluster: clusterMatch,
  waypoint: kubernetesOnly("waypoint proxies belong to Istio's ambient mode"),
});

const patch = object({
  operation: needed(
    choice(["MERGE", "ADD", "REMOVE", "INSERT_BEFORE", "INSERT_AFTER", "INSERT_FIRST", "REPLACE", "MERGE_AND_REPLACE_LIST"]),
  ),
  value: mapping(),
  filterClass: notYet("the place of a filter is said by INSERT_BEFORE, INSERT_AFTER and INSERT_FIRST"),
});

const configPatch = object(
  {
    applyTo: needed(
      choice(
        [
          "LISTENER",
          "FILTER_CHAIN",
          "NETWORK_FILTER",
          "HTTP_FILTER",
          "ROUTE_CONFIGURATION",
          "VIRTUAL_HOST",
          "HTTP_ROUTE",
          "CLUSTER",
          "EXTENSION_CONFIG",
          "LISTENER_FILTER",
        ],
        { BOOTSTRAP: "`weft proxy bootstrap` writes it: edit what it writes, and start Envoy with that" },
      ),
    ),
    match,
    patch: needed(patch),
  },
  checkPatch,
);

export const EnvoyFilterSchema = object(
  {
    workloadSelector: object({ labels: map(text(), checkSelector) }),
    targetRefs: kubernetesOnly("they name Gateways of Kubernetes' Gateway API"),
    configPatches: list(configPatch),
    priority: integer(),
  },
  (spec, report) => {
    if (spec.workloadSelector && Object.keys(spec.workloadSelector.labels ?? {}).length === 0) {
      const message = "has no labels, so it selects every workload of the namespace";
      report("surprising", message, { path: ["workloadSelector"], severity: "warning" });
    }
  },
);

export type EnvoyFilterSpec = v.InferOutput<typeof EnvoyFilterSchema>;
export type ConfigPatch = NonNullable<EnvoyFilterSpec["configPatches"]>[number];
