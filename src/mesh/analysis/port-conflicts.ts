/** Two that would listen on one address and port of one machine. */

import { changedKeys } from "../../lib/persistent-map.ts";
import { ANNOTATION } from "../../model/annotations.ts";
import type { Resource } from "../../model/resource.ts";
import { isGateway } from "../gateways.ts";
import { byAge } from "../policy-scope.ts";
import { keyOf } from "../selection.ts";
import type { Mesh, Workload } from "../types.ts";
import { type Context, some } from "./context.ts";

type Path = readonly (string | number)[];

const isLoopback = (address: string) => address.startsWith("127.") || address === "::1";
const isAny = (address: string) => address === "0.0.0.0" || address === "::";

/** Workloads of one address are on one machine, and so are all with loopback addresses: whoever else has 127.0.0.1 is another machine's. */
const machineOf = ({ address }: Workload) => (isLoopback(address) ? "loopback" : address);

export function findPortConflicts(context: Context): void {
  const outbound = new Map<string, Workload>();
  const inbound = new Map<string, Workload>();
  const local = new Map<string, Workload>();
  const { workloads } = context.mesh;
  const { workloadEntries: resources } = context.selection;
  // By age, so that the younger one is told.
  for (const resource of suspects(workloads, resources).sort(byAge)) {
    const workload = workloads.get(keyOf(resource));
    if (workload) check(context, resource, workload, { inbound, outbound, local });
  }
}

interface Taken {
  readonly inbound: Map<string, Workload>;
  readonly outbound: Map<string, Workload>;
  readonly local: Map<string, Workload>;
}

function check(
  context: Pick<Context, "warn">,
  resource: Resource<"WorkloadEntry">,
  workload: Workload,
  { inbound, outbound, local }: Taken,
): void {
  checkInbound(context, resource, workload, inbound);
  // A gateway takes no calls out.
  if (isGateway(workload)) return;
  checkOutbound(context, resource, workload, outbound);
  checkListen(context, resource, workload, local, outbound);
}

type Resources = ReadonlyMap<string, Resource<"WorkloadEntry">>;

/** Who may share a place with another, or is in its own way: nobody else can be in conflict. */
function suspects(workloads: Mesh["workloads"], resources: Resources): Resource<"WorkloadEntry">[] {
  const { claims, troubled } = placesOf(workloads, resources);
  const keys = new Set(troubled);
  for (const claimants of claims.contested.values()) for (const key of claimants) keys.add(key);
  return [...keys].flatMap((key) => resources.get(key) ?? []);
}

interface Places {
  readonly workloads: Mesh["workloads"];
  readonly claims: Claims;
  /** Keys of workloads of which something is said though they were alone. */
  readonly troubled: Set<string>;
}

/** Of the last Mesh that was looked at: of the next only what changed is looked at. What comes out is the same, whatever was before. */
let last: Places | undefined;

function placesOf(workloads: Mesh["workloads"], resources: Resources): Places {
  if (last?.workloads === workloads) return last;
  const { claims, troubled } = last ?? { claims: new Claims(), troubled: new Set<string>() };
  for (const key of changedKeys(last?.workloads, workloads)) {
    const [before, now] = [last?.workloads.get(key), workloads.get(key)];
    if (before) for (const place of claimed(before)) claims.remove(place, key);
    troubled.delete(key);
    if (!now) continue;
    for (const place of claimed(now)) claims.add(place, key);
    const resource = resources.get(key);
    if (resource && isTroubled(resource, now)) troubled.add(key);
  }
  last = { workloads, claims, troubled };
  return last;
}

/** Places by their claimants; most have one. */
class Claims {
  readonly #sole = new Map<string, string>();
  readonly contested = new Map<string, Set<string>>();

  add(place: string, key: string): void {
    const sole = this.#sole.get(place);
    if (sole === undefined) this.#sole.set(place, key);
    else if (sole !== key) this.contested.set(place, (this.contested.get(place) ?? new Set([sole])).add(key));
  }

  remove(place: string, key: string): void {
    const claimants = this.contested.get(place);
    claimants?.delete(key);
    const [other, ...more] = claimants ?? [];
    if (more.length === 0) this.contested.delete(place);
    if (other !== undefined) this.#sole.set(place, other);
    else if (this.#sole.get(place) === key) this.#sole.delete(place);
  }
}

/** As the checks below have them. */
function claimed(workload: Workload): readonly string[] {
  const inbound = workload.inbound.map(({ number, address = workload.address }) => `in ${inboundPlace(address, number)}`);
  if (isGateway(workload)) return inbound;
  const { address, port } = workload.outbound;
  const listen = (workload.listen ?? []).map((one) => localPlace(workload, one.address, one.localPort));
  return [...inbound, ...[localPlace(workload, address, port), ...listen].map((place) => `out ${place}`)];
}

function isTroubled(resource: Resource<"WorkloadEntry">, workload: Workload): boolean {
  let found = false;
  const warn = () => {
    found = true;
  };
  check({ warn }, resource, workload, { inbound: new Map(), outbound: new Map(), local: new Map() });
  return found;
}

const inboundPlace = (address: string, number: number) => `${address} ${number}`;

/** Of a listener that is the machine's own. */
function localPlace(workload: Workload, address: string, port: number): string {
  return `${isLoopback(address) || isAny(address) ? machineOf(workload) : ""} ${address}:${port}`;
}

function checkOutbound(
  context: Pick<Context, "warn">,
  resource: Resource<"WorkloadEntry">,
  workload: Workload,
  taken: Map<string, Workload>,
): void {
  const { address, port } = workload.outbound;
  const own = `${address}:${port}`;
  const key = localPlace(workload, address, port);
  const first = taken.get(key);
  if (!first) taken.set(key, workload);
  else {
    const message = `the sidecar's outbound listener ${own} is that of ${first.key} too, which is on the same machine (${machineOf(workload)})`;
    const help = `give each its own: annotation ${ANNOTATION.outbound}: "127.0.0.1:${port + 100 > 65535 ? 15101 : port + 100}"`;
    context.warn("portConflict", resource, annotationPath(resource, ANNOTATION.outbound), message, help);
  }
  for (const { number, app } of workload.inbound) {
    if (app.port === port && (app.address === address || isAny(address))) {
      context.warn(
        "portConflict",
        resource,
        annotationPath(resource, ANNOTATION.app),
        `the application of port ${number} and the outbound listener both have ${own}`,
      );
    }
  }
}

function checkInbound(
  context: Pick<Context, "warn">,
  resource: Resource<"WorkloadEntry">,
  workload: Workload,
  taken: Map<string, Workload>,
): void {
  let shared: Map<Workload, number[]> | undefined;
  for (const { number, app, source, address = workload.address } of workload.inbound) {
    const key = inboundPlace(address, number);
    const first = taken.get(key);
    if (first) {
      shared ??= new Map();
      shared.set(first, [...(shared.get(first) ?? []), number]);
    } else taken.set(key, workload);
    // Ports that the entry names itself are refused with the document, unless a Sidecar says where their application is.
    const named = !source && Object.values(resource.spec.ports ?? {}).includes(number);
    if (!named && app.port === number && (app.address === address || (isAny(address) && isLoopback(app.address)))) {
      const message = `the sidecar would listen on ${address}:${number} and forward to ${app.address}:${app.port}, itself`;
      context.warn(
        "portConflict",
        resource,
        ["spec", "address"],
        message,
        `say where the application listens: annotation ${ANNOTATION.app}`,
      );
    }
  }
  for (const [first, numbers] of shared ?? []) {
    const ports = some(numbers.map(String), 5);
    context.warn(
      "portConflict",
      resource,
      ["spec", "address"],
      `${workload.address} port ${ports} is that of ${first.key} too: only one sidecar can listen there`,
    );
  }
}

/** Local listeners for TCP services. */
function checkListen(
  context: Pick<Context, "warn">,
  resource: Resource<"WorkloadEntry">,
  workload: Workload,
  taken: Map<string, Workload>,
  outbound: ReadonlyMap<string, Workload>,
): void {
  for (const { address, localPort } of workload.listen ?? []) {
    const key = localPlace(workload, address, localPort);
    const first = taken.get(key) ?? outbound.get(key);
    if (!first) taken.set(key, workload);
    else {
      const who = first === workload ? "its own outbound listener" : `a listener of ${first.key}`;
      context.warn("portConflict", resource, annotationPath(resource, ANNOTATION.listen), `${address}:${localPort} is ${who} too`);
    }
  }
}

/** The annotation's line, where there is one; else the address's. */
function annotationPath({ metadata }: Resource<"WorkloadEntry">, annotation: string): Path {
  return Object.hasOwn(metadata.annotations, annotation) ? ["metadata", "annotations", annotation] : ["spec", "address"];
}
