/** A whole mesh: weft, two real Envoys that serve, others that call, and streams without an Envoy. */
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { sleep, systemClock } from "../../../src/lib/clock.ts";
import { type HttpApp, startHttpApp } from "../lab/apps.ts";
import { formatAddress, openNetwork } from "../lab/network.ts";
import { openProcesses } from "../lab/processes.ts";
import { waitFor } from "../lab/wait.ts";
import { startWeft, type Weft } from "../lab/weft.ts";
import { choosePlace, type Place, type Sidecar, startSidecar, untilLive, workloadEntryYaml } from "../lab/workload.ts";
import { Stream } from "./client.ts";
import { CALLED, type Document, type Edit, SERVING, SoakMesh, streamName } from "./mesh.ts";

export interface TownOptions {
  /** As built; from the sources where absent. */
  readonly binary: string | undefined;
  readonly envoy: string;
  readonly root: string;
  readonly envoys: number;
  readonly streams: number;
  readonly services: number;
}

export interface Town {
  readonly weft: Weft;
  readonly mesh: SoakMesh;
  /** Names of the workloads with an Envoy. */
  readonly servers: readonly string[];
  readonly callers: readonly string[];
  readonly streams: Map<string, Stream>;
  readonly envoyVersion: string;
  sidecar(name: string): Sidecar;
  /** Applies it, and returns the store's revision. @throws Error with weft's words */
  edit(edit: Edit): Promise<number>;
  /** Until every connected proxy has answered `revision`. */
  converged(revision: number): Promise<void>;
  connect(workload: string): Promise<Stream>;
  /** Ends its Envoy and starts another; `calm` ends the calls to it before. */
  restart(name: string): Promise<void>;
  /** Takes a server out of the service, or puts it back, and waits until all callers know. */
  serve(name: string, yes: boolean): Promise<void>;
  close(): Promise<void>;
}

const ENDPOINTS_EACH = 3;
const CONVERGENCE_LIMIT_MS = 60_000;
/** Calls that began before a caller had its new endpoints end within it. */
const SETTLE_MS = 500;
const SIDECAR_STOP_LIMIT_MS = 3_000;

export async function openTown({ binary, envoy, root, envoys, streams: count, services }: TownOptions): Promise<Town> {
  const directory = mkdtempSync(join(tmpdir(), "weft-soak-"));
  mkdirSync(join(directory, "logs"));
  const processes = openProcesses(join(directory, "logs"));
  const network = await openNetwork();
  const apps = new Map<string, HttpApp>();
  const places = new Map<string, Place>();
  const sidecars = new Map<string, Sidecar>();
  const streams = new Map<string, Stream>();
  const close = async () => {
    await Promise.all([...streams.values()].map((stream) => stream.close()));
    await processes.stopAll(0);
    await Promise.all([...apps.values()].map((app) => app.stop()));
    rmSync(directory, { recursive: true, force: true });
  };
  try {
    const program = binary ?? fromSource(directory, root);
    const ads = { address: "127.0.0.1", port: await network.freePort("127.0.0.1") };
    const weft = await startWeft({ binary: program, data: join(directory, "data"), processes, ads });
    const mesh = new SoakMesh(services);
    const servers = [`${CALLED}-1`, `${CALLED}-2`];
    const callers = Array.from({ length: envoys - servers.length }, (_, index) => `web-${index + 1}`);
    for (const name of servers) apps.set(name, startHttpApp({ service: CALLED, instance: name }));
    for (const name of [...servers, ...callers]) places.set(name, await choosePlace(network, { name, ports: ["http"] }));
    const placeOf = (name: string): Place => places.get(name) ?? fail(`no place for ${name}`);
    const sidecar = (name: string): Sidecar => sidecars.get(name) ?? fail(`no Envoy for ${name}`);
    const entry = (name: string, app: string, serving = {}) => {
      const http = apps.get(name);
      return workloadEntryYaml({ place: placeOf(name), labels: { app, ...serving }, serviceAccount: app, apps: http ? { http } : {} });
    };

    const post = async (path: string, text: string, type: "application/yaml" | "application/json") => {
      const answer = await weft.api("POST", path, { text, type });
      if (answer.status >= 300)
        throw new Error(`weft answered ${path} with ${answer.status}: ${answer.text}\n--- to\n${text.slice(0, 2_000)}`);
      return answer.json as { readonly revision: number; readonly token: string };
    };
    const apply = (yaml: readonly string[]) => post("/v1/apply?file=soak.yaml", yaml.join("\n---\n"), "application/yaml");
    const toYaml = (documents: readonly Document[]) => documents.map((document) => JSON.stringify(document));
    const converged = async (revision: number) => {
      await waitFor(
        `every proxy's answer to revision ${revision}`,
        async () => (await weft.api("GET", `/v1/convergence?revision=${revision}`)).json as { pending: string[] },
        ({ pending }) => pending.length === 0,
        { limitMs: CONVERGENCE_LIMIT_MS, everyMs: 100 },
      );
    };
    const start = async (name: string) => {
      const started = startSidecar({ weft, processes, envoy }, placeOf(name));
      sidecars.set(name, started);
      await untilLive(started);
    };

    await apply([
      ...toYaml(mesh.first(count, ENDPOINTS_EACH)),
      ...servers.map((name) => entry(name, CALLED, SERVING)),
      ...callers.map((name) => entry(name, "web")),
    ]);
    for (const name of [...servers, ...callers]) await start(name);
    const town: Town = {
      weft,
      mesh,
      servers,
      callers,
      streams,
      envoyVersion: versionOf(envoy),
      sidecar,
      async edit({ apply: documents, remove = [] }) {
        if (remove.length > 0) return (await post("/v1/delete", JSON.stringify({ items: remove }), "application/json")).revision;
        return (await apply(toYaml(documents))).revision;
      },
      converged,
      async connect(workload) {
        const { token } = await post("/v1/tokens", JSON.stringify({ workload }), "application/json");
        return new Stream({ ads: formatAddress(ads), token, node: `default/${workload}`, envoyVersion: town.envoyVersion });
      },
      async restart(name) {
        await sidecar(name).process.stop(SIDECAR_STOP_LIMIT_MS);
        await start(name);
      },
      async serve(name, yes) {
        await converged((await apply([entry(name, CALLED, yes ? SERVING : {})])).revision);
        await sleep(systemClock, SETTLE_MS);
      },
      close,
    };
    for (let stream = 0; stream < count; stream++) streams.set(streamName(stream), await town.connect(streamName(stream)));
    return town;
  } catch (reason) {
    await close();
    throw reason;
  }
}

function fail(words: string): never {
  throw new Error(words);
}

/** "1.40.0". */
function versionOf(envoy: string): string {
  const { stdout } = Bun.spawnSync([envoy, "--version"]);
  return /\/(\d+\.\d+\.\d+)/.exec(stdout.toString())?.[1] ?? fail(`${envoy} --version says ${stdout}`);
}

/** Where there is no build: a command that runs the sources. */
function fromSource(directory: string, root: string): string {
  const path = join(directory, "weft");
  writeFileSync(path, `#!/bin/sh\nexec "${process.execPath}" "${join(root, "src/main.ts")}" "$@"\n`, { mode: 0o700 });
  return path;
}

/** What weft logged at level error or worse. */
export function errorsIn(log: string): readonly string[] {
  if (!existsSync(log)) return [];
  return readFileSync(log, "utf8")
    .split("\n")
    .filter((line) => /"level":"(error|fatal)"/.test(line));
}
