/** The fields of a WorkloadGroup, and what an instance makes of them: a group alone is no workload. */

import { parseDocuments } from "../../src/model/parse.ts";
import { probePlanOf } from "../../src/model/readiness-probe.ts";
import type { AnyResource } from "../../src/model/resource.ts";
import { entryOfInstance, serviceAccountOf } from "../../src/model/workload-group.ts";
import type { Json, Sample } from "./samples.ts";

const labels = { app: "orders" };

export const WORKLOAD_GROUP_BASE: Json = { template: { labels } };

const probed = (probe: Json): Json => ({ template: { labels }, probe });
const GET = { httpGet: { port: 9001 } };

export const WORKLOAD_GROUP_SAMPLES: readonly (readonly [RegExp, Sample])[] = [
  [/^WorkloadGroup\.metadata\.labels$/, { value: { app: "legacy" } }],
  [/^WorkloadGroup\.metadata\.annotations$/, { value: { "weft.dev/outbound": "127.0.0.1:15199" } }],
  [/^WorkloadGroup\.template$/, { value: {} }],
  [/^WorkloadGroup\.template\.address$/, { value: "10.0.0.99" }],
  [/^WorkloadGroup\.template\.ports$/, { value: { http: 9005 } }],
  [/^WorkloadGroup\.template\.labels$/, { value: labels, base: { template: {} } }],
  [/^WorkloadGroup\.template\.locality$/, { value: "eu/a" }],
  [/^WorkloadGroup\.probe\.\w+Seconds$/, { base: probed(GET) }],
  [/^WorkloadGroup\.probe\.\w+Threshold$/, { base: probed(GET) }],
  [/^WorkloadGroup\.probe\.httpGet\.port$/, { value: 9002 }],
  [/^WorkloadGroup\.probe\.httpGet\.httpHeaders\[\]\.name$/, { value: "x-probe" }],
  [/^WorkloadGroup\.probe\.httpGet\.httpHeaders\[\]\.value$/, { beside: { name: "x-probe" } }],
  [/^WorkloadGroup\.probe\.httpGet\./, { base: probed(GET) }],
  [/^WorkloadGroup\.probe\.tcpSocket\.port$/, { value: 9002 }],
  [/^WorkloadGroup\.probe\.tcpSocket\./, { base: probed({ tcpSocket: { port: 9001 } }) }],
  [/^WorkloadGroup\.probe\.grpc\.port$/, { value: 9002 }],
  [/^WorkloadGroup\.probe\.grpc\./, { base: probed({ grpc: { port: 9001 } }) }],
  [/^WorkloadGroup\.probe\.exec\.command$/, { value: ["/bin/true"] }],
];

/** One instance of each group, as registration makes it. */
export function instancesOf(resources: readonly AnyResource[]): { readonly entries: readonly AnyResource[]; readonly probes: unknown } {
  const groups = resources.flatMap((resource) => (resource.kind === "WorkloadGroup" ? [resource] : []));
  const documents = groups.map((group) =>
    JSON.stringify(entryOfInstance(group, { address: "10.0.0.77", labels: {} }, serviceAccountOf(group.spec))),
  );
  return {
    entries: parseDocuments(documents.join("\n---\n"), "instances").resources,
    probes: groups.map(({ spec }) => spec.probe && probePlanOf(spec.probe, "10.0.0.77")),
  };
}
