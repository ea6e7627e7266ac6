/** The mesh on which the cases are played: weft, an Envoy and applications for each workload, and one group's resources at a time. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { type HttpApp, startHttpApp, startTcpEcho, type TcpApp } from "../../scripts/lib/lab/apps.ts";
import type { SocketAddress } from "../../scripts/lib/lab/network.ts";
import { waitFor } from "../../scripts/lib/lab/wait.ts";
import { type Place, type Sidecar, sidecarOf, untilLive, workloadEntryYaml } from "../../scripts/lib/lab/workload.ts";
import type { Lab } from "../envoy/harness.ts";
import { ACCESS_LOG_FORMAT, AccessLog } from "./access-log.ts";
import { baseYaml, type Declared, declaredIn, type Group, type Named, type Service, selects, type Workload } from "./cases.ts";

/** The prefix of base.yaml's addresses; a run takes one of its own, so that the ports can stay: policies name them. */
const PREFIX = "127.10.0.";
/** The TCP service that workloads call at a local port. */
const TCP_SERVICE = "orders.default.mesh.local:9090";
const SETTLE_LIMIT_MS = 15_000;
/** What Envoy has accepted and does not use yet, or has replaced and still uses. */
const UNSETTLED =
  /^(listener_manager\.total_(listeners_warming|listeners_draining|filter_chains_draining)|cluster_manager\.warming_clusters)$/;

interface Member {
  readonly workload: Workload;
  readonly place: Place;
  readonly sidecar: Sidecar;
  readonly apps: readonly (HttpApp | TcpApp)[];
}

export interface Target {
  readonly host: string;
  readonly port: number;
  readonly tcp: boolean;
  /** Behind the service, in the order of the YAML, and where each takes calls in. */
  readonly members: readonly { readonly sidecar: Sidecar; readonly inbound: SocketAddress }[];
}

export class Stage {
  readonly log: AccessLog;
  readonly #lab: Lab;
  readonly #members = new Map<string, Member>();
  #services: readonly Service[] = [];
  #base: Declared | undefined;
  #group: { readonly declared: Declared } | undefined;

  constructor(lab: Lab) {
    this.#lab = lab;
    this.log = new AccessLog(join(lab.directory, "access.log"));
  }

  /** Applies base.yaml and starts its workloads. */
  async open(): Promise<void> {
    writeFileSync(this.log.path, "");
    const base = declaredIn(await baseYaml());
    this.#base = base;
    const config = { accessLogFile: this.log.path, accessLogFormat: ACCESS_LOG_FORMAT };
    const meshConfig = `apiVersion: weft.dev/v1\nkind: MeshConfig\nmetadata: {name: mesh, namespace: weft-system}\nspec: ${JSON.stringify(config)}`;
    await this.#play(base, [meshConfig]);
  }

  /** Takes the last group back, applies this one, and waits until every Envoy has it in force. @throws Error with weft's words */
  async play(group: Group): Promise<void> {
    const last = this.#group?.declared;
    this.#group = undefined;
    if (last) {
      for (const workload of last.workloads) await this.#dismiss(workload.name);
      for (const resource of last.resources) await this.#remove(resource);
    }
    const declared = declaredIn(group.yaml);
    this.#group = { declared };
    await this.#play(declared);
  }

  close(): void {
    for (const { apps } of this.#members.values()) for (const app of apps) void app.stop();
  }

  outbound(workload: string): SocketAddress {
    return this.#member(workload).place.outbound;
  }

  /** Where the workload's application calls the TCP service. */
  tcpOutbound(workload: string, { host, port }: Target): SocketAddress {
    const { address, listen } = this.#member(workload).place;
    const local = listen[`${host}:${port}`];
    if (local === undefined) throw new Error(`no workload has a local port for ${host}:${port}`);
    return { address, port: local };
  }

  /** Every place at which a workload takes calls in. */
  allInbound(): SocketAddress[] {
    return [...this.#members.values()].flatMap(({ workload, place }) =>
      Object.values(workload.ports).map((port) => ({ address: place.address, port })),
    );
  }

  /** The version label of the workload whose application called itself `instance`. */
  version(instance: string): string {
    return this.#member(instance).workload.labels.version ?? "";
  }

  target(to = "orders:8080"): Target {
    const [name = "", number] = to.split(":");
    const host = name.includes(".") ? name : `${name}.default.mesh.local`;
    const service = this.#services.find((candidate) => candidate.host === host);
    const port = service?.ports.find((candidate) => candidate.number === Number(number));
    if (!service || !port) throw new Error(`no service ${to}`);
    const members = [...this.#members.values()]
      .filter(({ workload }) => selects(service, workload))
      .map(({ workload, place, sidecar }) => {
        return { sidecar, inbound: { address: place.address, port: workload.ports[port.name] ?? port.number } };
      });
    return { host, port: port.number, tcp: port.protocol === "TCP", members };
  }

  async #play(declared: Declared, more: readonly string[] = []): Promise<void> {
    const { network } = this.#lab;
    const newcomers = await Promise.all(declared.workloads.map((workload) => this.#prepare(workload, network.nextAddress())));
    const documents = [...more, ...declared.rest, ...newcomers.map(({ yaml }) => yaml)];
    const answer = await this.#lab.weft.api("POST", "/v1/apply", { text: documents.join("\n---\n"), type: "application/yaml" });
    const applied = answer.json as { readonly revision?: number } | undefined;
    if (answer.status !== 200 || applied?.revision === undefined)
      throw new Error(`weft refused the group (${answer.status}): ${answer.text}`);
    this.#services = [...(this.#base?.services ?? []), ...(declared === this.#base ? [] : declared.services)];
    for (const { workload, place, apps } of newcomers) {
      this.#members.set(workload.name, { workload, place, apps, sidecar: await this.#startEnvoy(place) });
    }
    await Promise.all([...this.#members.values()].map(({ sidecar }) => untilLive(sidecar)));
    await this.#settled(applied.revision);
  }

  /** ACKed by every proxy; and, as Envoy ACKs what it has yet to warm up, in use. */
  async #settled(revision: number): Promise<void> {
    await waitFor(
      `every proxy to have revision ${revision}`,
      async () => (await this.#lab.weft.api("GET", `/v1/convergence?revision=${revision}`)).json as Convergence,
      ({ acked, nacked, pending }) => nacked.length > 0 || (pending.length === 0 && acked.length >= this.#members.size),
      { limitMs: SETTLE_LIMIT_MS, everyMs: 5 },
    ).then(({ nacked }) => {
      if (nacked.length > 0) throw new Error(`Envoy refused the group: ${JSON.stringify(nacked)}`);
    });
    for (const { workload, sidecar } of this.#members.values()) {
      await waitFor(
        `the Envoy of ${workload.name} to settle`,
        () => sidecar.stats(UNSETTLED),
        (gauges) => Object.values(gauges).every((value) => value === 0),
        { limitMs: SETTLE_LIMIT_MS, everyMs: 10 },
      );
    }
  }

  async #prepare(workload: Workload, address: string) {
    if (!workload.address.startsWith(PREFIX)) throw new Error(`${workload.name} is not in ${PREFIX}0/24`);
    if (address === "127.0.0.1") throw new Error("the cases need a loopback address for each workload, and this host has one only");
    const { network } = this.#lab;
    const { name, namespace, labels, serviceAccount, ports } = workload;
    const place: Place = {
      name,
      namespace,
      address,
      ports,
      outbound: { address, port: await network.freePort(address) },
      envoyAdmin: { address, port: await network.freePort(address) },
      listen: { [TCP_SERVICE]: await network.freePort(address) },
    };
    const http = startHttpApp({ service: serviceAccount, version: labels.version, instance: name });
    const tcp = startTcpEcho(name);
    const apps = Object.fromEntries(Object.keys(ports).map((port) => [port, port.startsWith("tcp") ? tcp : http]));
    const yaml = workloadEntryYaml({ place, labels, serviceAccount, apps, listenFor: { [TCP_SERVICE]: TCP_SERVICE } });
    return { workload, place, apps: [http, tcp], yaml };
  }

  /**
   * Without a supervisor, and without a time to drain: pooled connections that came in under another group's configuration close at once,
   * and do not carry its verdict into this one.
   */
  async #startEnvoy(place: Place): Promise<Sidecar> {
    const { weft, processes, envoy, directory } = this.#lab;
    const text = JSON.stringify({ workload: `${place.namespace}/${place.name}` });
    const answer = await weft.api("POST", "/v1/bootstrap", { text, type: "application/json" });
    if (answer.status !== 201) throw new Error(`no bootstrap for ${place.name}: status ${answer.status}`);
    const file = join(directory, `${place.name}.json`);
    writeFileSync(file, answer.text, { mode: 0o600 });
    const quick = ["--drain-time-s", "0", "--drain-strategy", "immediate", "--file-flush-interval-msec", "5"];
    const command = [envoy, "-c", file, "--use-dynamic-base-id", "--concurrency", "1", "-l", "warning", ...quick];
    return sidecarOf(place, processes.start(`envoy-${place.name}`, command));
  }

  async #dismiss(name: string): Promise<void> {
    const member = this.#member(name);
    this.#members.delete(name);
    await member.sidecar.process.kill();
    for (const app of member.apps) void app.stop();
  }

  async #remove({ kind, namespace, name }: Named): Promise<void> {
    const { status, text } = await this.#lab.weft.api("DELETE", `/v1/resources/${kind}/${namespace}/${name}`);
    if (status >= 300 && status !== 404) throw new Error(`weft would not delete ${kind} ${namespace}/${name}: ${text}`);
  }

  #member(name: string): Member {
    const member = this.#members.get(name);
    if (!member) throw new Error(`no workload ${name}`);
    return member;
  }
}

interface Convergence {
  readonly acked: readonly string[];
  readonly nacked: readonly unknown[];
  readonly pending: readonly string[];
}
