/** Whether an instance may register with a WorkloadGroup, and what it then is. */

import ipaddr from "ipaddr.js";
import type { Registered } from "../ca/index.ts";
import { attachment } from "../lib/attachment.ts";
import { WeftError } from "../lib/errors.ts";
import { groupOf } from "../mesh/readiness.ts";
import { parseDocuments } from "../model/index.ts";
import type { AnyResource, Resource, Source } from "../model/resource.ts";
import { entryOfInstance, instanceLabelKeys, instanceName, serviceAccountOf } from "../model/workload-group.ts";

export type WorkloadGroup = Resource<"WorkloadGroup">;
type WorkloadEntry = Resource<"WorkloadEntry">;

/** What an instance asks for. */
export interface RegistrationRequest {
  readonly group: { readonly namespace: string; readonly name: string };
  readonly address: string;
  /** Chosen by the process that runs the instance, and the same for as long as that runs. */
  readonly instance: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly locality?: string;
}

/** @throws WeftError "forbidden" or "invalid", with the reason */
export function grant(group: WorkloadGroup, { address, instance, labels, locality }: RegistrationRequest): Registered {
  const { name, namespace } = group.metadata;
  const allowed = instanceLabelKeys(group);
  for (const key of Object.keys(labels)) {
    if (allowed.includes(key)) continue;
    throw new WeftError("forbidden", `instances of WorkloadGroup ${namespace}/${name} may not set the label ${key}`, {
      help: `write it under the group's spec.metadata.labels, or let instances set it: annotation weft.dev/instance-labels: "${key}" on the group`,
    });
  }
  const registered: Registered = {
    group: name,
    serviceAccount: serviceAccountOf(group.spec),
    instance,
    address: readAddress(address),
    labels,
    ...(locality ? { locality } : {}),
  };
  entryOf(group, registered);
  return registered;
}

/** "ns/name" of the WorkloadEntry. */
export function workloadKey(namespace: string, { group, address }: Registered): string {
  return `${namespace}/${instanceName(group, address)}`;
}

/**
 * The document of the WorkloadEntry, of an instance at `node`, and where its parts stand: in the group.
 * @throws WeftError "invalid" where it would be no good one
 */
export function entryOf(
  group: WorkloadGroup,
  registered: Registered,
  node?: string,
): { readonly document: Readonly<Record<string, unknown>>; readonly source: Source } {
  const document = entryOfInstance(group, { ...registered, node }, registered.serviceAccount);
  const { problems } = parseDocuments(JSON.stringify(document), "<registration>");
  const errors = problems.filter(({ severity }) => severity === "error");
  if (errors.length > 0) {
    const { name, namespace } = group.metadata;
    const reasons = errors.map(({ message }) => message).join("; ");
    throw new WeftError(
      "invalid",
      `an instance at ${registered.address} of WorkloadGroup ${namespace}/${name} would be no workload: ${reasons}`,
      {
        help: errors.find(({ help }) => help)?.help ?? "mend the group's template",
      },
    );
  }
  const { file, lines } = group.source;
  const at = lines["spec.template"] ?? lines[""] ?? 1;
  return { document, source: { file, lines: { "": lines[""] ?? 1, spec: at } } };
}

function readAddress(text: string): string {
  const parsed = ipaddr.IPv4.isValidFourPartDecimal(text) || ipaddr.IPv6.isValid(text) ? ipaddr.parse(text) : undefined;
  if (!parsed || text.includes("%")) {
    throw new WeftError("invalid", `${JSON.stringify(text)} is no IP address`, {
      help: "write the one that callers reach this machine by",
    });
  }
  const range = parsed.range();
  if (range === "unspecified" || range === "multicast" || range === "broadcast") {
    throw new WeftError("invalid", `${text} is not the address of one machine`, {
      help: "write the one that callers reach this machine by",
    });
  }
  return parsed.kind() === "ipv6" ? (parsed as ipaddr.IPv6).toRFC5952String() : parsed.toString();
}

export interface Neighbours {
  /** Every WorkloadEntry there is. */
  readonly entries: readonly AnyResource[];
  /** The instance whose proxy is connected under a workload's key. */
  readonly liveAt: (key: string) => Registered | undefined;
}

/**
 * Refuses an instance whose place is another's. Two may share an address where both say at which ports they are, and those differ.
 * @throws WeftError "conflict"
 */
export function checkPlace(group: WorkloadGroup, registered: Registered, { entries, liveAt }: Neighbours): void {
  const { namespace } = group.metadata;
  const key = workloadKey(namespace, registered);
  const live = liveAt(key);
  if (live && live.instance !== registered.instance) {
    throw new WeftError("conflict", `another instance is connected as ${key}`, {
      help: "each instance needs an address of its own; if the other has died, weft finds out within a minute",
    });
  }
  for (const entry of entries) {
    if (entry.kind !== "WorkloadEntry") continue;
    const other = `${entry.metadata.namespace}/${entry.metadata.name}`;
    const owner = groupOf(entry);
    if (other === key) {
      if (owner === `${namespace}/${registered.group}`) continue;
      throw new WeftError("conflict", `there is a WorkloadEntry ${key} already, which this group did not register`, {
        help: `weft get workloadentry ${entry.metadata.name} -n ${namespace} shows it`,
      });
    }
    if (!sharesPlace(entry, group, registered) || (owner !== undefined && !liveAt(other))) continue;
    const what = owner === undefined ? `WorkloadEntry ${other}` : `${other}, a live instance of WorkloadGroup ${owner},`;
    throw new WeftError("conflict", `${what} is at ${registered.address} already`, {
      help: "each workload needs an address of its own, or the ports of both must be written out and differ",
    });
  }
}

/** As readAddressOf, "" for a host's name: each entry is asked of for each instance that comes. */
const addresses = attachment<string>();

function addressOf(entry: WorkloadEntry): string {
  const { address } = entry.spec;
  const known = addresses.get(entry) ?? (ipaddr.isValid(address) ? readAddressOf(address) : "");
  addresses.set(entry, known);
  return known;
}

function sharesPlace(entry: WorkloadEntry, group: WorkloadGroup, { address }: Registered): boolean {
  if (addressOf(entry) !== address) return false;
  const [own, other] = [group.spec.template.ports, entry.spec.ports].map((ports) => Object.values(ports ?? {}));
  if (!own?.length || !other?.length) return true;
  return own.some((port) => other.includes(port));
}

function readAddressOf(text: string): string {
  const parsed = ipaddr.parse(text);
  return parsed.kind() === "ipv6" ? (parsed as ipaddr.IPv6).toRFC5952String() : parsed.toString();
}
