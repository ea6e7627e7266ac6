/** The endpoints of all services: made anew where what a ServiceEntry selects changed, or the mutual TLS of that. */
import { changedKeys, type PersistentMap } from "../lib/persistent-map.ts";
import type { Resource } from "../model/resource.ts";
import { endpointsOf, inlineMtls, inlineOwner } from "./endpoints.ts";
import { memoize, type Pool } from "./memo.ts";
import type { WorkloadMtls } from "./peer-authentication.ts";
import { readyOf, type Unready } from "./readiness.ts";
import { keyOf, type Selection, type ServiceEntry } from "./selection.ts";
import type { ServiceIndex, ServiceParts } from "./services.ts";
import { replaced, type Stages } from "./stages.ts";
import type { Endpoint, Service, Settings, Workload } from "./types.ts";

export interface Instances {
  /** By key of ServiceParts, those that are not ready too: they come back as whom they were, and a cluster is not to change with their health. */
  readonly all: PersistentMap<readonly Endpoint[]>;
  /** The same without those. */
  readonly ready: PersistentMap<readonly Endpoint[]>;
  /** By host: for what asks without a namespace, the service of the oldest ServiceEntry stands for it. */
  readonly oldest: PersistentMap<Service>;
  /** Of these. */
  readonly endpoints: PersistentMap<readonly Endpoint[]>;
}

export interface InstanceInputs {
  readonly settings: Settings;
  readonly pool: Pool;
  readonly stages: Stages;
  readonly services: ServiceIndex;
  readonly selection: Selection;
  readonly workloads: ReadonlyMap<string, Workload>;
  readonly mtls: PersistentMap<WorkloadMtls>;
  readonly unready: ReadonlyMap<string, Unready>;
  readonly entries: readonly ServiceEntry[];
  readonly peers: readonly Resource<"PeerAuthentication">[];
}

const NOBODY: readonly Endpoint[] = [];

export function buildInstances({ stages, services, selection, mtls, unready, settings, ...inputs }: InstanceInputs): Instances {
  const { pool, workloads, entries, peers } = inputs;
  const parts = stages.once<PersistentMap<ServiceParts>>("parts", [services], (known) => replaced(known, allParts(services)));
  const inline = stages.once<PersistentMap<WorkloadMtls>>("inline mtls", [peers, entries, settings], (known) =>
    replaced(known, inlineMtls(peers, entries, settings)),
  );
  // A gateway speaks the TLS of its Gateways, so no client may take it for a sidecar: PeerAuthentication does not hold there.
  const mtlsOf = (key: string) => (workloads.get(key)?.type === "gateway" ? undefined : mtls.get(key)) ?? inline.get(key);
  const all = stages.perKeyAsked(
    "instances",
    parts,
    [settings, selection, mtls, inline],
    (some) => new Map([...some].map(([key, part]) => [key, endpointsOf(part, { settings, pool, selection, mtls: mtlsOf })])),
    ([oldSettings, oldSelection, oldMtls, oldInline]) => {
      if (oldSettings !== settings) return undefined;
      const { workloads: selectedBefore } = oldSelection as Selection;
      const changed = new Set([
        ...changedKeys(selectedBefore, selection.workloads),
        ...changedKeys(oldMtls as typeof mtls, mtls).flatMap((key) => (selection.entries.get(key) ?? []).map(keyOf)),
        ...changedKeys(oldInline as typeof inline, inline).map(inlineOwner),
      ]);
      const owned = changed.size > 0 ? partsByEntry(services) : undefined;
      return [...changed].flatMap((key) => owned?.get(key) ?? []);
    },
  );
  const ready = stages.perKeyAsked("ready", all, [unready], (some) => new Map([...some].map(([key, one]) => [key, readyOf(one, unready)])));
  const standing = stages.once<PersistentMap<ServiceParts>>("standing", [services], (known) => replaced(known, firstParts(services)));
  const endpoints = stages.perKeyAsked(
    "endpoints",
    standing,
    [ready],
    (some) => new Map([...some].map(([host, { key }]) => [host, ready.get(key) ?? NOBODY])),
    ([old]) => changedKeys(old as typeof ready, ready).flatMap((key) => parts.get(key)?.service.host ?? []),
  );
  const oldest = stages.perKeyAsked("oldest", standing, [], (some) => new Map([...some].map(([host, { service }]) => [host, service])));
  return { all, ready, oldest, endpoints };
}

function allParts(services: ServiceIndex): ReadonlyMap<string, ServiceParts> {
  return new Map([...services.values()].flat().map((part) => [part.key, part]));
}

function firstParts(services: ServiceIndex): ReadonlyMap<string, ServiceParts> {
  return new Map([...services].flatMap(([host, [part]]) => (part ? [[host, part] as const] : [])));
}

/** Keys of the parts of each ServiceEntry. */
const partsByEntry = memoize((services: ServiceIndex): ReadonlyMap<string, readonly string[]> => {
  const keys = new Map<string, string[]>();
  for (const part of [...services.values()].flat()) {
    for (const entry of part.entries) {
      const list = keys.get(keyOf(entry));
      if (list) list.push(part.key);
      else keys.set(keyOf(entry), [part.key]);
    }
  }
  return keys;
});
