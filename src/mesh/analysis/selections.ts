/** Selectors, workloadSelectors and subsets that no workload fits. */
import type { Workload } from "../types.ts";
import { type Context, type LooseResource, some } from "./context.ts";
import { mayRegister } from "./workload-groups.ts";

type Labels = Readonly<Record<string, string>>;
type Path = readonly (string | number)[];

/** Kinds whose selector in the root namespace reaches every namespace. */
const MESH_WIDE: ReadonlySet<string> = new Set(["AuthorizationPolicy", "RequestAuthentication", "EnvoyFilter", "WasmPlugin"]);

export function findEmptySelections(context: Context): void {
  const root = context.mesh.settings.rootNamespace;
  for (const resource of context.all) {
    const found = selectorOf(resource);
    if (!found || Object.keys(found.labels).length === 0) continue;
    const { namespace } = resource.metadata;
    if (resource.kind === "PeerAuthentication" && namespace === root) {
      const message = `a selector in the root namespace ${root} is ignored, and so is the whole policy (Istio does so too)`;
      context.warn("noEffect", resource, found.path, message, "write it in the workloads' namespace");
      continue;
    }
    const reach = resource.kind === "Gateway" || (namespace === root && MESH_WIDE.has(resource.kind)) ? "*" : namespace;
    if (context.workloads(reach, found.labels).length > 0 || mayRegister(context, reach, found.labels)) continue;
    const where = reach === "*" ? "" : ` of namespace ${namespace}`;
    context.warn(
      "selectsNothing",
      resource,
      found.path,
      `no workload${where} has the labels ${textOf(found.labels)}`,
      elsewhere(context, found.labels),
    );
  }
  for (const resource of context.of("DestinationRule")) {
    const service = context.service(resource.spec.host, resource.metadata.namespace);
    const endpoints = service ? (context.mesh.endpoints.get(service.host) ?? []) : [];
    // A service without instances is told of by itself.
    if (endpoints.length === 0) continue;
    for (const [index, { labels = {} }] of (resource.spec.subsets ?? []).entries()) {
      if (endpoints.some((endpoint) => fits(endpoint.labels, labels))) continue;
      const keys = Object.keys(labels);
      const values = [
        ...new Set(
          endpoints.map((endpoint) =>
            textOf(Object.fromEntries(keys.flatMap((key) => (endpoint.labels[key] === undefined ? [] : [[key, endpoint.labels[key]]])))),
          ),
        ),
      ];
      const message = `no instance of ${resource.spec.host} has the labels ${textOf(labels)}: calls to the subset are answered with 503`;
      context.warn("selectsNothing", resource, ["spec", "subsets", index, "labels"], message, `there are: ${some(values.sort(), 6)}`);
    }
  }
}

/** The labels that a resource selects workloads by, wherever its kind keeps them. */
function selectorOf({ kind, spec }: LooseResource): { readonly path: Path; readonly labels: Labels } | undefined {
  const { selector, workloadSelector } = (spec ?? {}) as {
    readonly selector?: { readonly matchLabels?: Labels } & Labels;
    readonly workloadSelector?: { readonly matchLabels?: Labels; readonly labels?: Labels };
  };
  if (kind === "Gateway") return selector && { path: ["spec", "selector"], labels: selector };
  if (selector) return { path: ["spec", "selector", "matchLabels"], labels: selector.matchLabels ?? {} };
  if (!workloadSelector) return undefined;
  const field = workloadSelector.matchLabels ? "matchLabels" : "labels";
  return { path: ["spec", "workloadSelector", field], labels: workloadSelector[field] ?? {} };
}

function fits(labels: Labels, wanted: Labels): boolean {
  return Object.entries(wanted).every(([key, value]) => labels[key] === value);
}

function textOf(labels: Labels): string {
  return (
    Object.entries(labels)
      .map(([key, value]) => `${key}=${value}`)
      .join(", ") || "(none)"
  );
}

/** Where workloads with these labels are, or which come near. */
function elsewhere(context: Context, wanted: Labels): string | undefined {
  const all = context.workloads("*");
  const nameOf = ({ key }: Workload) => key;
  const exact = context.workloads("*", wanted);
  if (exact.length > 0) return `${some(exact.map(nameOf))} has them, in another namespace`;
  const [key] = Object.keys(wanted);
  const values = key === undefined ? [] : [...new Set(all.flatMap(({ labels }) => labels[key] ?? []))];
  return values.length > 0 ? `values of ${key}: ${some(values.sort(), 8)}` : undefined;
}
