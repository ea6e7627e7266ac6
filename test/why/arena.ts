/** One weft and six Envoys, a gateway among them, on which generated meshes are played one after the other. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type HttpApp, startHttpApp, startTcpEcho, type TcpApp } from "../../scripts/lib/lab/apps.ts";
import { openNetwork, type SocketAddress } from "../../scripts/lib/lab/network.ts";
import { openProcesses } from "../../scripts/lib/lab/processes.ts";
import { waitFor } from "../../scripts/lib/lab/wait.ts";
import { startWeft, type Weft } from "../../scripts/lib/lab/weft.ts";
import { type Place, type Sidecar, sidecarOf, untilLive } from "../../scripts/lib/lab/workload.ts";
import type { WhyAnswer, WhyRequest } from "../../src/why/index.ts";
import type { Generated, Grounds } from "./generate.ts";
import { ACTORS, type Actor, actorYaml, CONNECTED, EXTERNAL, protocolOf, SERVICES_YAML } from "./ground.ts";

const SETTLE = { limitMs: 20_000, everyMs: 4 };
/** What Envoy has accepted and does not use yet, or has replaced and still uses; Envoy filters, for it has thousands. */
const UNSETTLED = "listener_manager.total_(listeners_warming|listeners_draining|filter_chains_draining)|cluster_manager.warming_clusters";

export interface Arena {
  /** The resources that are always there, YAML. */
  readonly base: string;
  /** What generated meshes may refer to. */
  readonly grounds: Grounds;
  outbound(workload: string): SocketAddress;
  /** Where its sidecar takes connections to this port of orders. */
  tcpOutbound(workload: string, port: number): SocketAddress;
  inbound(workload: string, port: number): SocketAddress;
  /** In place of the mesh before; resolves when every Envoy uses it. @throws Error with weft's words */
  play(mesh: readonly Generated[]): Promise<void>;
  /** What the running weft answers (POST /v1/why). */
  why(request: WhyRequest): Promise<WhyAnswer>;
  close(): Promise<void>;
}

export async function openArena(options: { readonly binary: string; readonly envoy: string }): Promise<Arena> {
  const directory = mkdtempSync(join(tmpdir(), "weft-why-"));
  mkdirSync(join(directory, "logs"));
  const processes = openProcesses(join(directory, "logs"));
  const network = await openNetwork();
  const apps: (HttpApp | TcpApp)[] = [];
  const close = async () => {
    await processes.stopAll(0);
    await Promise.all(apps.map((app) => app.stop()));
    rmSync(directory, { recursive: true, force: true });
  };
  try {
    const weft = await startWeft({ binary: options.binary, data: join(directory, "data"), processes });
    const members = await Promise.all(ACTORS.map(async (actor) => ({ actor, ...(await prepare(actor)) })));
    const base = [SERVICES_YAML, ...members.map(({ yaml }) => yaml)].join("---\n");
    await apply(weft, base);
    const sidecars = await Promise.all(members.map(({ place }) => startEnvoy(weft, place)));
    await Promise.all(sidecars.map((sidecar) => untilLive(sidecar)));
    const placeOf = (name: string): Place => {
      const found = members.find(({ actor }) => actor.name === name)?.place;
      if (!found) throw new Error(`no workload ${name}`);
      return found;
    };
    const external = startHttpApp({ service: "api", instance: EXTERNAL });
    apps.push(external);
    let before: readonly Generated[] = [];
    return {
      base,
      grounds: { external: { address: external.address, port: external.port } },
      outbound: (name) => placeOf(name).outbound,
      tcpOutbound: (name, port) => ({ address: placeOf(name).address, port: placeOf(name).listen[CONNECTED[port] ?? ""] ?? 0 }),
      inbound: (name, port) => ({ address: placeOf(name).address, port }),
      async play(mesh) {
        const kept = new Set(mesh.map(({ kind, namespace, name }) => `${kind}/${namespace}/${name}`));
        for (const { kind, namespace, name } of before) {
          if (!kept.has(`${kind}/${namespace}/${name}`)) await weft.api("DELETE", `/v1/resources/${kind}/${namespace}/${name}`);
        }
        before = mesh;
        await settled(weft, sidecars, await apply(weft, mesh.map(({ text }) => text).join("\n---\n")));
      },
      async why(request) {
        const answer = await weft.api("POST", "/v1/why", { text: JSON.stringify(request), type: "application/json" });
        if (answer.status !== 200) throw new Error(`POST /v1/why answered ${answer.status}: ${answer.text}`);
        return answer.json as WhyAnswer;
      },
      close,
    };

    async function prepare(actor: Actor) {
      const { name, namespace, labels, ports } = actor;
      const address = network.nextAddress();
      const free = async () => network.freePort(address);
      const place: Place = {
        name,
        namespace,
        address,
        ports,
        outbound: { address, port: await free() },
        envoyAdmin: { address, port: await free() },
        listen: { db: await free(), vault: await free() },
      };
      const http = startHttpApp({ service: labels.app ?? "", version: labels.version, instance: name });
      const tcp = startTcpEcho(name);
      apps.push(http, tcp);
      const listens = Object.fromEntries(Object.keys(ports).map((port) => [port, protocolOf(port) === "HTTP" ? http : tcp]));
      return { place, yaml: actorYaml(actor, place, listens) };
    }

    /** Without a time to drain, so that no pooled connection carries one mesh's verdict into the next. */
    async function startEnvoy(weft: Weft, place: Place): Promise<Sidecar> {
      const text = JSON.stringify({ workload: `${place.namespace}/${place.name}` });
      const answer = await weft.api("POST", "/v1/bootstrap", { text, type: "application/json" });
      const file = join(directory, `${place.name}.json`);
      writeFileSync(file, answer.text, { mode: 0o600 });
      const command = [options.envoy, "-c", file, "--use-dynamic-base-id", "--concurrency", "1", "-l", "warning"];
      return sidecarOf(place, processes.start(`envoy-${place.name}`, [...command, "--drain-time-s", "0", "--drain-strategy", "immediate"]));
    }
  } catch (reason) {
    await close();
    throw reason;
  }
}

async function apply(weft: Weft, text: string): Promise<number> {
  const answer = await weft.api("POST", "/v1/apply", { text, type: "application/yaml" });
  const applied = answer.json as { readonly revision?: number } | undefined;
  if (answer.status !== 200 || applied?.revision === undefined) throw new Error(`weft refused the mesh (${answer.status}): ${answer.text}`);
  return applied.revision;
}

interface Convergence {
  readonly acked: readonly string[];
  readonly nacked: readonly unknown[];
  readonly pending: readonly string[];
}

async function settled(weft: Weft, sidecars: readonly Sidecar[], revision: number): Promise<void> {
  const { nacked } = await waitFor(
    `every proxy to have revision ${revision}`,
    async () => (await weft.api("GET", `/v1/convergence?revision=${revision}`)).json as Convergence,
    (state) => state.nacked.length > 0 || (state.pending.length === 0 && state.acked.length >= sidecars.length),
    SETTLE,
  );
  if (nacked.length > 0) throw new Error(`Envoy refused the mesh: ${JSON.stringify(nacked)}`);
  for (const sidecar of sidecars) {
    const isQuiet = (text: string) => text.split("\n").every((line) => line === "" || line.endsWith(": 0"));
    const gauges = () => sidecar.admin(`/stats?filter=${encodeURIComponent(`^(${UNSETTLED})$`)}`);
    await waitFor(`the Envoy of ${sidecar.place.name} to settle`, gauges, isQuiet, SETTLE);
  }
}
