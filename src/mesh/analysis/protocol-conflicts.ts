/** One port of a workload, or of a host, with two protocols: the oldest ServiceEntry decides, and the other's callers are misunderstood. */
import { changedKeys } from "../../lib/persistent-map.ts";
import { canonicalHost } from "../../model/host.ts";
import type { Resource } from "../../model/resource.ts";
import { memoize } from "../memo.ts";
import { byAge } from "../policy-scope.ts";
import { keyOf } from "../selection.ts";
import { isHttp, isHttp2, servicePort } from "../services.ts";
import type { Protocol } from "../types.ts";
import { type Context, nameOf } from "./context.ts";

type ServiceEntry = Resource<"ServiceEntry">;

interface Claim {
  readonly entry: ServiceEntry;
  readonly protocol: Protocol;
}

/** What the listener makes of it: HTTP/1.1, HTTP/2, or bytes. */
const mannerOf = (protocol: Protocol) => (isHttp2(protocol) ? "HTTP/2" : isHttp(protocol) ? "HTTP/1.1" : "TCP");

const portsOf = memoize((entry: ServiceEntry) => (entry.spec.ports ?? []).map(servicePort));

/** A single port is nobody else's. */
const mayContest = memoize((own: readonly ServiceEntry[]) => own.reduce((count, entry) => count + portsOf(entry).length, 0) > 1);

type Selecting = Context["selection"]["entries"];

/** Of the last mesh that was looked at: of the next only what changed is looked at. What comes out is the same, whatever was before. */
let last: { readonly selecting: Selecting; readonly keys: Set<string> } | undefined;

/** Workloads with two ports of which one could be the other's: they are few, and nobody else is looked at one by one. */
function contestedBy(selecting: Selecting): ReadonlySet<string> {
  const keys = last?.keys ?? new Set<string>();
  for (const key of changedKeys(last?.selecting, selecting)) {
    const own = selecting.get(key);
    if (own && mayContest(own)) keys.add(key);
    else keys.delete(key);
  }
  last = { selecting, keys };
  return keys;
}

export function findProtocolConflicts(context: Context): void {
  const entries = context.of("ServiceEntry");
  const { entries: selecting, workloadEntries: workloads } = context.selection;
  const told = new Set<string>();
  const tell = (entry: ServiceEntry, index: number, first: Claim, protocol: Protocol, where: string) => {
    const key = `${entry.metadata.namespace}/${entry.metadata.name} ${index} ${first.entry.metadata.namespace}/${first.entry.metadata.name}`;
    if (told.has(key)) return;
    told.add(key);
    const message = `${protocol} at ${where}, where ${nameOf(first.entry)}, which is older, says ${first.protocol}: that holds`;
    context.warn("protocolConflict", entry, ["spec", "ports", index, "protocol"], message);
  };
  const contested = [...contestedBy(selecting)].flatMap((key) => workloads.get(key) ?? []);
  for (const workload of contested.sort(byAge)) {
    const own = selecting.get(keyOf(workload)) ?? [];
    const claims = new Map<number, Claim>();
    for (const entry of own) {
      for (const [index, port] of portsOf(entry).entries()) {
        const number = workload.spec.ports?.[port.name] ?? port.targetPort;
        const first = claims.get(number);
        if (!first) claims.set(number, { entry, protocol: port.protocol });
        else if (mannerOf(first.protocol) !== mannerOf(port.protocol)) {
          tell(entry, index, first, port.protocol, `port ${number} of workload ${workload.metadata.namespace}/${workload.metadata.name}`);
        }
      }
    }
  }
  const byHost = new Map<string, Claim>();
  for (const entry of entries) {
    for (const host of entry.spec.hosts) {
      const canonical = canonicalHost(host, entry.metadata.namespace, context.mesh.settings.domain);
      for (const [index, { number, protocol }] of portsOf(entry).entries()) {
        const key = `${entry.metadata.namespace} ${canonical} ${number}`;
        const first = byHost.get(key);
        if (!first) byHost.set(key, { entry, protocol });
        else if (first.entry !== entry && first.protocol !== protocol)
          tell(entry, index, first, protocol, `port ${number} of ${canonical}`);
      }
    }
  }
}
