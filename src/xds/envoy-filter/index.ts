/**
 * EnvoyFilter, applied last: to the resources that a proxy would get, decoded, patched, and encoded again. What no patch changes is the same
 * object as before, so that it is shared with the proxies that no EnvoyFilter selects; what one changes is shared by those under the same patches.
 */
import { type DescMessage, fromBinary, type Message } from "@bufbuild/protobuf";
import { AnySchema } from "@bufbuild/protobuf/wkt";
import { type Cluster, ClusterSchema } from "../../gen/envoy/config/cluster/v3/cluster_pb.ts";
import { type TypedExtensionConfig, TypedExtensionConfigSchema } from "../../gen/envoy/config/core/v3/extension_pb.ts";
import { type Listener, ListenerSchema } from "../../gen/envoy/config/listener/v3/listener_pb.ts";
import { type RouteConfiguration, RouteConfigurationSchema } from "../../gen/envoy/config/route/v3/route_pb.ts";
import { type EncodedResource, TYPE, type TypeUrl } from "../../lib/encoded.ts";
import type { EnvoyPatch } from "../../mesh/envoy-filters.ts";
import { memoize } from "../../mesh/memo.ts";
import type { Workload } from "../../mesh/types.ts";
import { encodeResource } from "../encode.ts";
import { patchCluster } from "./cluster.ts";
import { patchListener } from "./listener.ts";
import { type ApplyTo, type Context, isAddition, Patches, patchValue } from "./patch.ts";
import { patchRouteConfiguration } from "./route.ts";

type Resources = ReadonlyMap<string, EncodedResource>;
type ByType = ReadonlyMap<TypeUrl, Resources>;

/** `resources` as `patches` leave them. A map that no patch changes is the same (===). */
export function applyEnvoyPatches(resources: ByType, patches: readonly EnvoyPatch[], workload: Workload): ByType {
  return new Map(
    [...resources].map(([type, byName]): [TypeUrl, Resources] => {
      const patched = PATCHED_TYPES[type]?.(byName, patches, workload);
      return [type, patched ?? byName];
    }),
  );
}

type PatchType = (byName: Resources, patches: readonly EnvoyPatch[], workload: Workload) => Resources;

const PATCHED_TYPES: Partial<Record<TypeUrl, PatchType>> = {
  [TYPE.cluster]: memoize((byName, patches, workload) =>
    patchAll(byName, patches, CLUSTERS, workload, (resource) =>
      // Inbound clusters are the workload's own; all others are patched once for all proxies under the same patches.
      isInbound(resource) ? inboundCluster(patches, resource, workload) : outboundCluster(patches, resource, sideOf(workload)),
    ),
  ),
  [TYPE.listener]: memoize((byName, patches, workload) =>
    patchAll(byName, patches, LISTENERS, workload, (resource) =>
      listener(patches, resource, isInbound(resource) ? INBOUND : sideOf(workload)),
    ),
  ),
  [TYPE.route]: memoize((byName, patches, workload) =>
    patchAll(byName, patches, undefined, workload, (resource) => route(patches, resource, sideOf(workload))),
  ),
  [TYPE.extension]: memoize((byName, patches, workload) => patchAll(byName, patches, EXTENSIONS, workload, (resource) => ({ resource }))),
};

/** An object for each, so that results can be kept by it. */
interface Side {
  readonly context: Context;
}

const INBOUND: Side = { context: "SIDECAR_INBOUND" };
const OUTBOUND: Side = { context: "SIDECAR_OUTBOUND" };
const GATEWAY: Side = { context: "GATEWAY" };

/** What is not for calls in. */
function sideOf({ type }: Workload): Side {
  return type === "gateway" ? GATEWAY : OUTBOUND;
}

interface Addition {
  readonly applyTo: ApplyTo;
  readonly schema: DescMessage;
}

const CLUSTERS: Addition = { applyTo: "CLUSTER", schema: ClusterSchema };
const LISTENERS: Addition = { applyTo: "LISTENER", schema: ListenerSchema };
const EXTENSIONS: Addition = { applyTo: "EXTENSION_CONFIG", schema: TypedExtensionConfigSchema };

/** undefined where it is removed. In an object, so that it can be kept. */
interface Patched {
  readonly resource?: EncodedResource;
}

function patchAll(
  byName: Resources,
  patches: readonly EnvoyPatch[],
  addition: Addition | undefined,
  workload: Workload,
  patch: (resource: EncodedResource) => Patched,
): Resources {
  const before = [...byName.values()];
  const after = [...before.flatMap((resource) => patch(resource).resource ?? []), ...(addition ? added(patches, addition, workload) : [])];
  if (after.length === before.length && after.every((resource, index) => resource === before[index])) return byName;
  const result = new Map<string, EncodedResource>();
  // Of two with one name weft's own stays: Envoy would refuse them both.
  for (const resource of after) if (!result.has(resource.name)) result.set(resource.name, resource);
  return result;
}

/** What the patches add: ANY means the outbound side, so that nothing is added twice. An extension's configuration has no side. */
function added(patches: readonly EnvoyPatch[], { applyTo, schema }: Addition, { type }: Workload): EncodedResource[] {
  return patches.flatMap((patch) => {
    if (patch.applyTo !== applyTo || !isAddition(patch)) return [];
    const { context = "ANY" } = patch.match;
    const isSide = applyTo === "EXTENSION_CONFIG" || context === "ANY" || (context === "GATEWAY") === (type === "gateway");
    return (isSide && addedResource(patch, schema).resource) || [];
  });
}

const addedResource = memoize((patch: EnvoyPatch, schema: DescMessage): Patched => {
  const value = patchValue<Cluster | Listener | TypedExtensionConfig>(patch);
  return value?.name ? { resource: encodeResource(schema, value.name, value as Message, [patch.source]) } : {};
});

const listener = memoize(
  (patches: readonly EnvoyPatch[], resource: EncodedResource, { context }: Side): Patched =>
    patched(new Patches(patches, context), resource, ListenerSchema, (on, message) => patchListener(on, message as Listener)),
);

const route = memoize(
  (patches: readonly EnvoyPatch[], resource: EncodedResource, { context }: Side): Patched =>
    patched(new Patches(patches, context), resource, RouteConfigurationSchema, (on, message) => {
      patchRouteConfiguration(on, message as RouteConfiguration);
      return true;
    }),
);

const outboundCluster = memoize(
  (patches: readonly EnvoyPatch[], resource: EncodedResource, { context }: Side): Patched =>
    patched(new Patches(patches, context), resource, ClusterSchema, (on, message) => patchCluster(on, message as Cluster, [])),
);

const inboundCluster = memoize((patches: readonly EnvoyPatch[], resource: EncodedResource, { inbound }: Workload): Patched => {
  const services = inbound.filter(({ number }) => resource.name === `inbound|${number}||`).map(({ service }) => service);
  return patched(new Patches(patches, "SIDECAR_INBOUND"), resource, ClusterSchema, (on, message) =>
    patchCluster(on, message as Cluster, services),
  );
});

function isInbound({ name }: EncodedResource): boolean {
  return name.startsWith("inbound|");
}

function patched(
  patches: Patches,
  resource: EncodedResource,
  schema: DescMessage,
  change: (patches: Patches, message: Message) => boolean,
): Patched {
  const message = fromBinary(schema, fromBinary(AnySchema, resource.any).value) as Message & { readonly name: string };
  if (!change(patches, message)) return {};
  const { touched } = patches;
  if (touched.length === 0) return { resource };
  const made = encodeResource(schema, message.name, message, [...touched, ...resource.sources]);
  return { resource: made.version === resource.version ? resource : made };
}
