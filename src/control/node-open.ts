/** This node among the others: what it knows of the workloads' proxies and applications, here and elsewhere, and what it tells the others of its own. */
import { join } from "node:path";
import type { NodesControl } from "../admin/nodes.ts";
import type { LedgerReader } from "../ads/index.ts";
import type { Clock } from "../lib/clock.ts";
import type { MeshOptions } from "../mesh/build.ts";
import type { Mesh } from "../mesh/types.ts";
import type { Resource } from "../model/resource.ts";
import type { Board } from "../store/shared/board.ts";
import type { Store } from "../store/store.ts";
import type { Metrics } from "../telemetry/metrics.ts";
import type { Cluster } from "./cluster.ts";
import { clusterNodes } from "./cluster-nodes.ts";
import { MeshProxies } from "./mesh-proxies.ts";
import { NodeCards, nodeCard } from "./node-cards.ts";
import { addressesOfMachine, NodeProbes } from "./node-probes.ts";
import { removeOwnEntry } from "./own-workload.ts";
import type { Presence } from "./presence.ts";
import { openPresence } from "./presence-open.ts";
import { WorkloadHealthKeeper } from "./workload-health.ts";

export interface OpenNodeOptions {
  readonly node: string;
  readonly data: string;
  readonly version: string;
  readonly clock: Clock;
  readonly metrics: Metrics;
  readonly store: Store;
  /** Takes what goes with this node too, after it was removed. */
  readonly unrefused: Pick<Store, "apply" | "get" | "list">;
  /** Where nodes tell each other; undefined where weft is alone with its store. */
  readonly board: Board | undefined;
  /** Defaults where absent. */
  readonly presenceGrace?: number;
  readonly nodeGrace?: number;
  /** Undefined before anybody can be connected. */
  readonly ledger: () => LedgerReader | undefined;
  /** Undefined while it is not open, and where there is none. */
  readonly cluster: () => Cluster | undefined;
  /** That is served. */
  readonly revision: () => number;
  /** The Mesh must be built anew. */
  readonly onChange: () => void;
  readonly onTrouble: (message: string) => void;
}

export interface OpenedNode {
  readonly presence: Presence;
  /** What instances say of themselves, and what this node found when it asked. */
  readonly health: WorkloadHealthKeeper;
  readonly cards: NodeCards;
  /** What the other nodes tell of their proxies. */
  readonly elsewhere: MeshProxies;
  /** For the admin API, as soon as the cluster is open. */
  nodes(): NodesControl;
  /** ReconcilerOptions.health */
  healthOf(entries: readonly Resource<"WorkloadEntry">[]): NonNullable<MeshOptions["health"]>;
  /** To be called with each Mesh. */
  follow(mesh: Mesh): void;
  /** Tells the other nodes, and hears of them. @returns what takes this node's card down */
  start(): () => Promise<void>;
  close(): Promise<void>;
}

export function openNode(options: OpenNodeOptions): OpenedNode {
  const { node, data, version, clock, metrics, store, board, ledger, cluster, revision, onChange, onTrouble } = options;
  const health: WorkloadHealthKeeper = new WorkloadHealthKeeper({
    path: join(data, "workload-health.json"),
    onChange: () => presence.changed(),
    onTrouble,
  });
  const opened = openPresence({
    data,
    node,
    clock,
    metrics,
    board,
    graceMs: options.presenceGrace,
    nodeGraceMs: options.nodeGrace,
    ledger,
    health: () => health,
    removed: () => new Set(cluster()?.records.removed.keys()),
    onChange,
  });
  const { presence } = opened;
  const cards = new NodeCards({
    node,
    board,
    card: () => nodeCard({ node, presence, store, cluster: cluster(), revision: revision(), version, ledger: ledger() }),
    standing: () => store.standing?.(),
    clock,
    onTrouble,
  });
  const elsewhere = new MeshProxies({
    node,
    cards: () => cards.all,
    stale: () => cards.stale(),
    lastSeen: (name) => cards.lastSeen(name),
    members: () => cluster()?.records,
  });
  const probes = new NodeProbes({ node, clock, health, addresses: addressesOfMachine });
  let workloadEntries: readonly Resource<"WorkloadEntry">[] = [];
  return {
    presence,
    health,
    cards,
    elsewhere,
    nodes: () =>
      clusterNodes({
        card: () => cards.own(),
        cluster: cluster(),
        store,
        cards: () => cards.all,
        stale: () => cards.stale(),
        lastSeen: (name) => cards.lastSeen(name),
        onRemove: (name, who) => removeOwnEntry(options.unrefused, name, who),
        clock,
      }),
    healthOf(entries) {
      workloadEntries = entries;
      return presence.health(entries);
    },
    follow(mesh) {
      cards.served();
      presence.follow(mesh);
      probes.follow(workloadEntries);
    },
    start() {
      opened.start(cards);
      cards.start();
      return () => cards.close();
    },
    async close() {
      await probes.close();
      await opened.close();
    },
  };
}
