/** A mesh of several nodes as one of them sees it: real rules on a clock that is moved by hand. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Presence } from "../../src/control/presence.ts";
import type { Cards } from "../../src/control/presence-cards.ts";
import type { PresenceEvent, PresenceOptions } from "../../src/control/presence-types.ts";
import { buildMesh } from "../../src/mesh/build.ts";
import { ResourceSet } from "../../src/mesh/resource-set.ts";
import type { WorkloadHealth } from "../../src/mesh/settings.ts";
import type { Mesh } from "../../src/mesh/types.ts";
import { parseDocuments } from "../../src/model/index.ts";
import { FakeClock } from "../fakes/clock.ts";

export const serviceYaml = (name: string) => `apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: ${name}}
spec:
  hosts: [${name}.default.mesh.local]
  location: MESH_INTERNAL
  resolution: STATIC
  ports: [{number: 8080, name: http, protocol: HTTP}]
  workloadSelector: {labels: {app: ${name}}}
`;

/** A WorkloadEntry of `service`, of a node where one is given. */
export const workloadYaml = (name: string, service: string, address: string, node?: string, more = "") =>
  `apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: ${name}, annotations: {${node === undefined ? "" : `weft.dev/node: ${node}`}${more}}}
spec: {address: ${address}, labels: {app: ${service}}, ports: {http: 8080}}
`;

export type Board = Readonly<
  Record<string, { readonly proxies?: readonly string[]; readonly notReady?: Readonly<Record<string, string>> }>
>;

const closers: (() => void)[] = [];
/** To be called after each test. */
export function closePresences(): void {
  for (const close of closers.splice(0).reverse()) close();
}

export interface SeenFrom extends Partial<Pick<PresenceOptions, "node" | "hasBoard" | "removed" | "graceMs">> {
  /** Of a weft before: its file is read. */
  readonly directory?: string;
}

/** This node is "here", whose card is always on the board. */
export function seenFrom({ directory = mkdtempSync(join(tmpdir(), "weft-presence-")), ...options }: SeenFrom = {}) {
  const clock = new FakeClock();
  const events: PresenceEvent[] = [];
  const troubles: string[] = [];
  const own = new Map<string, WorkloadHealth>();
  const streams = new Set<string>();
  let yaml: readonly string[] = [];
  let mesh: Mesh | undefined;
  let builds = 0;
  let isScheduled = false;
  let set: ResourceSet | undefined;
  const parsed = new Map<string, ReturnType<typeof parseDocuments>["resources"]>();
  const build = () => {
    isScheduled = false;
    const resources = yaml.flatMap((text) => {
      const known = parsed.get(text) ?? parseDocuments(text, "mesh.yaml").resources;
      if (known.length === 0) throw new Error(JSON.stringify(parseDocuments(text, "mesh.yaml").problems));
      parsed.set(text, known);
      return known;
    });
    set = ResourceSet.of(resources, set);
    mesh = buildMesh(set, { revision: 1, trustDomain: "mesh.local", health: presence.health(set.of("WorkloadEntry")) }, mesh);
    presence.follow(mesh);
  };
  // As the reconciler does: a build comes once the event loop is free, one for all that asked for it.
  const rebuild = () => {
    builds += 1;
    if (isScheduled) return;
    isScheduled = true;
    setImmediate(build);
  };
  const presence: Presence = new Presence({
    node: "here",
    path: join(directory, "presence.json"),
    clock,
    hasBoard: true,
    graceMs: 10_000,
    nodeGraceMs: 30_000,
    connected: () => streams,
    own: () => own,
    onChange: rebuild,
    onEvent: (event) => events.push(event),
    onTrouble: (message) => troubles.push(message),
    ...options,
  });
  closers.push(
    () => rmSync(directory, { recursive: true, force: true }),
    () => presence.close(),
  );
  const settle = () => clock.advance(0);
  return {
    clock,
    presence,
    events,
    troubles,
    streams,
    own,
    directory,
    /** How often presence asked for a new Mesh. */
    builds: () => builds,
    mesh: (): Mesh => mesh ?? fail("there is no mesh"),
    async apply(...documents: readonly string[]) {
      yaml = documents;
      build();
      await settle();
    },
    /** Opens or ends the stream of a workload's proxy on this node. */
    stream(key: string, isOpen: boolean) {
      if (isOpen) streams.add(key);
      else streams.delete(key);
      presence.streamsChanged();
    },
    board(board: Board, hasOwnCard = true) {
      const cards = Object.entries(board).map(([node, { proxies = [], notReady = {} }]) => [node, { proxies, notReady }] as const);
      const all: Cards = new Map(hasOwnCard ? [...cards, ["here", { proxies: [], notReady: {} }]] : cards);
      presence.cards(all);
    },
    /** Addresses of the service's endpoints. */
    endpoints: (service: string) => (mesh?.endpoints.get(`${service}.default.mesh.local`) ?? []).map(({ address }) => address),
    said: () => events.splice(0).map(({ workload, change, reason }) => `${workload} ${change}: ${reason}`),
    close: () => presence.close(),
  };
}

function fail(message: string): never {
  throw new Error(message);
}
