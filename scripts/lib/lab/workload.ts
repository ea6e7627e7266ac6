/** A workload of our own: its place on loopback, its application, and its Envoy through `weft proxy run`. */
import { call } from "./call.ts";
import { formatAddress, type Network, type SocketAddress } from "./network.ts";
import type { Processes, StartedProcess } from "./processes.ts";
import { waitFor } from "./wait.ts";
import type { Weft } from "./weft.ts";

export interface Place {
  readonly name: string;
  readonly namespace: string;
  readonly address: string;
  /** Where its sidecar takes calls in, by the service's port name. */
  readonly ports: Readonly<Record<string, number>>;
  /** Where its application sends calls out. */
  readonly outbound: SocketAddress;
  readonly envoyAdmin: SocketAddress;
  /** Ports for TCP services on its own address, by a name of the caller's. */
  readonly listen: Readonly<Record<string, number>>;
}

/** Chooses an address and free ports. */
export async function choosePlace(
  network: Network,
  {
    name,
    namespace = "default",
    ports,
    listen = [],
  }: { readonly name: string; readonly namespace?: string; readonly ports: readonly string[]; readonly listen?: readonly string[] },
): Promise<Place> {
  const address = network.nextAddress();
  const choose = async (names: readonly string[]) => {
    const chosen: Record<string, number> = {};
    for (const one of names) chosen[one] = await network.freePort(address);
    return chosen;
  };
  return {
    name,
    namespace,
    address,
    ports: await choose(ports),
    outbound: { address, port: await network.freePort(address) },
    envoyAdmin: { address, port: await network.freePort(address) },
    listen: await choose(listen),
  };
}

/** The inbound address of one of its ports. */
export function inboundOf(place: Place, port = "http"): SocketAddress {
  const number = place.ports[port];
  if (number === undefined) throw new Error(`${place.name} has no port ${port}`);
  return { address: place.address, port: number };
}

export interface WorkloadEntryInput {
  readonly place: Place;
  readonly labels: Readonly<Record<string, string>>;
  readonly serviceAccount?: string;
  readonly locality?: string;
  /** Where the application listens, by port name. */
  readonly apps: Readonly<Record<string, SocketAddress>>;
  /** "HOST:PORT" of a TCP service, for each name in place.listen. */
  readonly listenFor?: Readonly<Record<string, string>>;
  /** The node that it belongs to. */
  readonly node?: string;
}

/** Its WorkloadEntry, YAML (JSON flow style inside). */
export function workloadEntryYaml({ place, labels, serviceAccount, locality, apps, listenFor = {}, node }: WorkloadEntryInput): string {
  const { address, ports } = place;
  const annotations = {
    ...(node === undefined ? {} : { "weft.dev/node": node }),
    "weft.dev/outbound": formatAddress(place.outbound),
    "weft.dev/envoy-admin": formatAddress(place.envoyAdmin),
    ...(Object.keys(apps).length > 0
      ? {
          "weft.dev/app": Object.entries(apps)
            .map(([port, to]) => `${port}=${formatAddress(to)}`)
            .join(","),
        }
      : {}),
    ...(Object.keys(listenFor).length > 0
      ? {
          "weft.dev/listen": Object.entries(listenFor)
            .map(([key, target]) => `${target}=${address}:${place.listen[key]}`)
            .join(","),
        }
      : {}),
  };
  const { name, namespace } = place;
  return `apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: ${JSON.stringify({ name, namespace, labels, annotations })}
spec: ${JSON.stringify({ address, labels, ports, ...(serviceAccount ? { serviceAccount } : {}), ...(locality ? { locality } : {}) })}
`;
}

/** A running sidecar. */
export interface Sidecar {
  readonly place: Place;
  readonly process: StartedProcess;
  /** One of Envoy's counters or gauges; 0 where Envoy does not have it (yet). */
  stat(name: string): Promise<number>;
  /** All whose names match; a JavaScript pattern. */
  stats(pattern: RegExp): Promise<Readonly<Record<string, number>>>;
  /** Envoy's own admin answer. */
  admin(path: string, method?: string): Promise<string>;
}

/** Starts `weft proxy run` for it; `ready` waits until Envoy is live. */
export function startSidecar(
  { weft, processes, envoy }: { readonly weft: Weft; readonly processes: Processes; readonly envoy: string },
  place: Place,
  options: { readonly env?: Readonly<Record<string, string>>; readonly args?: readonly string[] } = {},
): Sidecar {
  const process = processes.start(
    `proxy-${place.name}`,
    [
      weft.binary,
      "proxy",
      "run",
      `${place.namespace}/${place.name}`,
      "--data",
      weft.data,
      "--",
      "--concurrency",
      "1",
      ...(options.args ?? []),
    ],
    { env: { WEFT_ENVOY: envoy, ...options.env } },
  );
  return sidecarOf(place, process);
}

/** A handle on an Envoy that `process` runs. */
export function sidecarOf(place: Place, process: StartedProcess): Sidecar {
  const admin: Sidecar["admin"] = async (path, method = "GET") => {
    const answer = await call({ to: place.envoyAdmin, host: formatAddress(place.envoyAdmin), path, method, limitMs: 5_000 });
    if (answer.status !== 200)
      throw new Error(`Envoy of ${place.name} answered ${path} with ${answer.status} ${answer.error ?? answer.text}`);
    return answer.text;
  };
  const stats: Sidecar["stats"] = async (pattern) => {
    const found: Record<string, number> = {};
    for (const line of (await admin("/stats?usedonly")).split("\n")) {
      const colon = line.lastIndexOf(": ");
      const value = Number(line.slice(colon + 2));
      if (colon > 0 && !Number.isNaN(value) && pattern.test(line.slice(0, colon))) found[line.slice(0, colon)] = value;
    }
    return found;
  };
  const stat = async (name: string) => (await stats(new RegExp(`^${RegExp.escape(name)}$`)))[name] ?? 0;
  return { place, process, admin, stats, stat };
}

/** Waits until Envoy has its first configuration (its /ready says LIVE). @throws Error with the end of its log */
export async function untilLive({ place, process, admin }: Sidecar, limitMs = 20_000): Promise<void> {
  await waitFor(
    `the Envoy of ${place.name} to be live`,
    async () => {
      if (!process.running()) return `ended with code ${await process.exited}`;
      return (await admin("/ready")).trim();
    },
    (state) => state === "LIVE" || state.startsWith("ended"),
    { limitMs, everyMs: 50 },
  ).then(
    (state) => {
      if (state !== "LIVE") throw new Error(`the proxy of ${place.name} ${state}:\n${process.tail()}\n(log: ${process.log})`);
    },
    (reason) => {
      throw new Error(`${reason}\n${process.tail()}\n(log: ${process.log})`);
    },
  );
}

/** The serial numbers of the certificates that the sidecar presents now (not of the CAs that it trusts). */
export async function sidecarSerials({ admin }: Sidecar): Promise<string[]> {
  const { certificates } = JSON.parse(await admin("/certs")) as { certificates: { cert_chain?: { serial_number: string }[] }[] };
  return certificates.flatMap(({ cert_chain = [] }) => cert_chain.map((certificate) => certificate.serial_number));
}
