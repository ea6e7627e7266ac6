/**
 * A lab for tests with real Envoys: a weft of its own, workloads with applications and sidecars, and calls between them. Needs dist/weft
 * (scripts/build) and an Envoy: $WEFT_ENVOY, the one that scripts/setup --envoy installed, or PATH. Without an Envoy the tests are skipped,
 * loudly; with CI=true that is a failure.
 */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout } from "bun:test";
import { existsSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type HttpApp, startHttpApp, startTcpEcho, type TcpApp } from "../../scripts/lib/lab/apps.ts";
import { type Answer, type Call, call } from "../../scripts/lib/lab/call.ts";
import { type Network, openNetwork } from "../../scripts/lib/lab/network.ts";
import { openProcesses, type Processes } from "../../scripts/lib/lab/processes.ts";
import { startWeft, type Weft, type WeftOptions } from "../../scripts/lib/lab/weft.ts";
import {
  choosePlace,
  inboundOf,
  type Place,
  type Sidecar,
  startSidecar,
  untilLive,
  workloadEntryYaml,
} from "../../scripts/lib/lab/workload.ts";
import { envoyFor } from "../skip.ts";

const ROOT = join(import.meta.dir, "../..");
const WEFT = process.env.WEFT_BINARY ?? join(ROOT, "dist/weft");
const TEST_LIMIT_MS = 120_000;

export interface ServiceSpec {
  readonly name: string;
  readonly namespace?: string;
  /** Default: one port, 8080 "http" HTTP. */
  readonly ports?: readonly { readonly number: number; readonly name: string; readonly protocol: string }[];
}

export interface WorkloadSpec {
  readonly name: string;
  readonly namespace?: string;
  /** The label `app`, the service account, and what the application says it is. */
  readonly service: string;
  readonly version?: string;
  /** HTTP port names, default ["http"], each with an application of its own kind; TCP ones get an echo. */
  readonly http?: readonly string[];
  readonly tcp?: readonly string[];
  /** Local ports for TCP services: "HOST:PORT" by a name of the test's. */
  readonly listenFor?: Readonly<Record<string, string>>;
}

export interface Member {
  readonly place: Place;
  /** Answers all HTTP ports. */
  readonly app: HttpApp;
  /** Answers all TCP ports. */
  readonly tcp: TcpApp;
  readonly yaml: string;
}

export interface Lab {
  readonly weft: Weft;
  readonly processes: Processes;
  readonly network: Network;
  readonly envoy: string;
  /** For files of the test's. */
  readonly directory: string;
  workload(spec: WorkloadSpec): Promise<Member>;
  /** Applies services and workloads, starts the workloads' sidecars, and waits until they are live. In the order of `members`. */
  join(services: readonly ServiceSpec[], members: readonly Member[]): Promise<Sidecar[]>;
  /** `args` are for Envoy. */
  startSidecar(member: Member, args?: readonly string[]): Sidecar;
  close(): Promise<void>;
}

/** Like describe(), with a lab: opened before the tests, closed after them, whatever happened. */
export function describeMesh(name: string, body: (lab: () => Lab) => void, options: Pick<WeftOptions, "runCommand" | "env"> = {}): void {
  setDefaultTimeout(TEST_LIMIT_MS);
  const envoy = envoyFor(`"${name}"`);
  if (envoy === undefined) {
    describe.skip(name, () => body(() => fail("there is no lab without an Envoy")));
    return;
  }
  describe(name, () => {
    let lab: Lab | undefined;
    beforeAll(async () => {
      lab = await openLab(envoy, options);
    });
    afterAll(async () => {
      await lab?.close();
    });
    body(() => lab ?? fail("the lab did not open"));
  });
}

async function openLab(envoy: string, options: Pick<WeftOptions, "runCommand" | "env">): Promise<Lab> {
  if (!existsSync(WEFT)) throw new Error(`${WEFT} is missing: run scripts/build`);
  const directory = mkdtempSync(join(tmpdir(), "weft-lab-"));
  const logs = join(directory, "logs");
  mkdirSync(logs);
  const processes = openProcesses(logs);
  const network = await openNetwork();
  const applications: (HttpApp | TcpApp)[] = [];
  const address = network.nextAddress();
  const ads = { address, port: await network.freePort(address) };
  const weft = await startWeft({ binary: WEFT, data: join(directory, "data"), processes, ads, ...options }).catch(async (reason) => {
    // No afterAll sees a lab that did not open.
    const log = processes.running().map((one) => one.tail());
    await processes.stopAll(0);
    rmSync(directory, { recursive: true, force: true });
    throw log.length > 0 ? new Error(`${reason}\n${log.join("\n")}`) : reason;
  });
  const start = (member: Member, args: readonly string[] = []) => startSidecar({ weft, processes, envoy }, member.place, { args });
  return {
    weft,
    processes,
    network,
    envoy,
    directory,
    async workload({ name, namespace, service, version, http = ["http"], tcp = [], listenFor = {} }) {
      const app = startHttpApp({ service, version, instance: name });
      const echo = startTcpEcho(name);
      applications.push(app, echo);
      const place = await choosePlace(network, { name, namespace, ports: [...http, ...tcp], listen: Object.keys(listenFor) });
      const apps = Object.fromEntries([...http.map((port) => [port, app]), ...tcp.map((port) => [port, echo])]);
      const labels = { app: service, ...(version ? { version } : {}) };
      return { place, app, tcp: echo, yaml: workloadEntryYaml({ place, labels, serviceAccount: service, apps, listenFor }) };
    },
    async join(services, members) {
      await weft.apply([...services.map(serviceEntryYaml), ...members.map(({ yaml }) => yaml)].join("---\n"));
      const sidecars = members.map((member) => start(member));
      await Promise.all(sidecars.map((sidecar) => untilLive(sidecar)));
      return sidecars;
    },
    startSidecar: start,
    async close() {
      await processes.stopAll(0);
      await Promise.all(applications.map((app) => app.stop()));
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

export function serviceEntryYaml({ name, namespace = "default", ports }: ServiceSpec): string {
  return `apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: ${name}, namespace: ${namespace}}
spec:
  hosts: [${name}.${namespace}.mesh.local]
  location: MESH_INTERNAL
  resolution: STATIC
  ports: ${JSON.stringify(ports ?? [{ number: 8080, name: "http", protocol: "HTTP" }])}
  workloadSelector: {labels: {app: ${name}}}
`;
}

/** A call by the application of `from`, through its sidecar. */
export function callFrom(from: Member, host: string, more: Partial<Call> = {}): Promise<Answer> {
  return call({ ...more, to: from.place.outbound, host });
}

/** A call in plaintext straight to a port of the workload, as a client without a sidecar makes it. */
export function callPlaintext(to: Member, more: Partial<Call> & { readonly port?: string } = {}): Promise<Answer> {
  return call({ ...more, to: inboundOf(to.place, more.port), host: more.host ?? "legacy.example" });
}

/** The URI that the application saw its caller present, or undefined for plaintext. */
export function peerOf({ echo }: Answer): string | undefined {
  return /URI=(spiffe:[^;,]+)/.exec(echo?.headers["x-forwarded-client-cert"] ?? "")?.[1];
}

/** One request and the status that it got; on failure the whole answer is shown. */
export function expectStatus(answer: Answer, status: number): Answer {
  if (answer.status !== status) throw new Error(`expected status ${status}, got ${JSON.stringify(answer, null, 2)}`);
  expect(answer.status).toBe(status);
  return answer;
}

function fail(message: string): never {
  throw new Error(message);
}
