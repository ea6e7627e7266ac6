/** Two that would listen on one address and port of one machine. */
import { ANNOTATION } from "../../model/annotations.ts";
import type { Resource } from "../../model/resource.ts";
import { isGateway } from "../gateways.ts";
import { keyOf } from "../selection.ts";
import type { Workload } from "../types.ts";
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
  // By age, so that the younger one is told.
  for (const resource of context.of("WorkloadEntry")) {
    const workload = context.mesh.workloads.get(keyOf(resource));
    if (!workload) continue;
    checkInbound(context, resource, workload, inbound);
    // A gateway takes no calls out.
    if (isGateway(workload)) continue;
    checkOutbound(context, resource, workload, outbound);
    checkListen(context, resource, workload, local, outbound);
  }
}

function checkOutbound(context: Context, resource: Resource<"WorkloadEntry">, workload: Workload, taken: Map<string, Workload>): void {
  const { address, port } = workload.outbound;
  const own = `${address}:${port}`;
  const key = `${isLoopback(address) || isAny(address) ? machineOf(workload) : ""} ${own}`;
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

function checkInbound(context: Context, resource: Resource<"WorkloadEntry">, workload: Workload, taken: Map<string, Workload>): void {
  let shared: Map<Workload, number[]> | undefined;
  for (const { number, app, source, address = workload.address } of workload.inbound) {
    const key = `${address} ${number}`;
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
  context: Context,
  resource: Resource<"WorkloadEntry">,
  workload: Workload,
  taken: Map<string, Workload>,
  outbound: ReadonlyMap<string, Workload>,
): void {
  for (const { address, localPort } of workload.listen ?? []) {
    const key = `${isLoopback(address) || isAny(address) ? machineOf(workload) : ""} ${address}:${localPort}`;
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
