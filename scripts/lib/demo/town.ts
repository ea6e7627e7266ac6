/** The demo's mesh: four services in six workloads, each with its application and its Envoy, and one legacy client without either. */
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type HttpApp, startHttpApp } from "../lab/apps.ts";
import { type Answer, type Call, call } from "../lab/call.ts";
import { formatAddress, openNetwork } from "../lab/network.ts";
import type { Processes } from "../lab/processes.ts";
import { render } from "../lab/template.ts";
import { waitFor } from "../lab/wait.ts";
import { startWeft, type Weft } from "../lab/weft.ts";
import { choosePlace, inboundOf, type Place, type Sidecar, startSidecar, untilLive } from "../lab/workload.ts";

/** In mesh/mesh.yaml by the same names. */
const WORKLOADS = [
  { name: "shop-1", service: "shop", version: "v1" },
  { name: "orders-v1", service: "orders", version: "v1" },
  { name: "orders-v2", service: "orders", version: "v2" },
  { name: "payments-1", service: "payments", version: "v1" },
  { name: "payments-2", service: "payments", version: "v1" },
  { name: "stock-1", service: "stock", version: "v1" },
] as const;

export type WorkloadName = (typeof WORKLOADS)[number]["name"];

interface Member {
  readonly place: Place;
  readonly app: HttpApp;
}

export interface Town {
  readonly weft: Weft;
  /** Where the user's copies of the YAML files are, rendered. */
  readonly meshDirectory: string;
  app(name: WorkloadName): HttpApp;
  place(name: WorkloadName): Place;
  sidecar(name: WorkloadName): Sidecar;
  /** A call by the application of `from`, through its Envoy. */
  callFrom(from: WorkloadName, host: string, more?: Partial<Call>): Promise<Answer>;
  /** A call by the legacy client: plaintext, straight to the workload. */
  callPlaintext(to: WorkloadName, more?: Partial<Call>): Promise<Answer>;
  /** `weft apply` of one of the files, waiting for all proxies. */
  apply(file: string): Promise<void>;
}

export interface TownOptions {
  readonly binary: string;
  readonly envoy: string;
  /** Becomes mesh/ and data/, beside what is in it. */
  readonly directory: string;
  readonly progress: (message: string) => void;
}

export async function startTown({ binary, envoy, directory, progress }: TownOptions, processes: Processes): Promise<Town> {
  progress("starting weft");
  const weft = await startWeft({ binary, data: join(directory, "data"), processes });

  const network = await openNetwork();
  const members = new Map<WorkloadName, Member>();
  for (const { name, service, version } of WORKLOADS) {
    members.set(name, {
      place: await choosePlace(network, { name, ports: ["http"] }),
      app: startHttpApp({ service, version, instance: name }),
    });
  }
  const member = (name: WorkloadName): Member => {
    const found = members.get(name);
    if (!found) throw new Error(`no workload ${name}`);
    return found;
  };

  const meshDirectory = join(directory, "mesh");
  renderMesh(meshDirectory, members);
  const apply = (file: string) => weft.apply("", join(meshDirectory, file));
  progress("applying mesh.yaml");
  await apply("mesh.yaml");

  progress(`starting ${members.size} Envoys`);
  const sidecars = new Map<WorkloadName, Sidecar>();
  for (const [name, { place }] of members) sidecars.set(name, startSidecar({ weft, processes, envoy }, place));
  await Promise.all([...sidecars.values()].map((sidecar) => untilLive(sidecar)));

  const town: Town = {
    weft,
    meshDirectory,
    app: (name) => member(name).app,
    place: (name) => member(name).place,
    sidecar(name) {
      const found = sidecars.get(name);
      if (!found) throw new Error(`no sidecar ${name}`);
      return found;
    },
    callFrom: (from, host, more = {}) => call({ ...more, to: member(from).place.outbound, host }),
    callPlaintext: (to, more = {}) => call({ ...more, to: inboundOf(member(to).place), host: "legacy.example" }),
    apply,
  };
  for (const service of ["orders", "payments", "stock"]) {
    await waitFor(
      `the first call from shop to ${service}`,
      () => town.callFrom("shop-1", service),
      ({ status }) => status === 200,
    );
  }
  return town;
}

/** Copies the YAML files beside this one, with the placeholders of each workload filled in. */
function renderMesh(target: string, members: ReadonlyMap<WorkloadName, Member>): void {
  const values: Record<string, string | number> = {};
  for (const [name, { place, app }] of members) {
    const prefix = name.toUpperCase().replaceAll("-", "_");
    values[`${prefix}_ADDRESS`] = place.address;
    values[`${prefix}_PORT`] = inboundOf(place).port;
    values[`${prefix}_APP`] = formatAddress(app);
    values[`${prefix}_OUTBOUND`] = formatAddress(place.outbound);
    values[`${prefix}_ENVOY_ADMIN`] = formatAddress(place.envoyAdmin);
  }
  mkdirSync(target, { recursive: true });
  const source = join(import.meta.dir, "mesh");
  for (const file of readdirSync(source)) writeFileSync(join(target, file), render(readFileSync(join(source, file), "utf8"), values));
}
