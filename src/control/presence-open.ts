/** Presence as a running weft has it: told in the log, in metrics and in its health, and fed from the board where there is one. */
import { join } from "node:path";
import type { LedgerReader } from "../ads/index.ts";
import type { Clock } from "../lib/clock.ts";
import { Sparingly } from "../lib/sparingly.ts";
import type { Board } from "../store/shared/board.ts";
import { logger } from "../telemetry/log.ts";
import type { Metrics } from "../telemetry/metrics.ts";
import { followCards } from "./follow-cards.ts";
import type { Said } from "./health.ts";
import type { NodeCard } from "./node-card.ts";
import { GRACE_MS, Presence } from "./presence.ts";
import { NODE_GRACE_MS } from "./presence-nodes.ts";
import type { PresenceEvent, PresenceReport } from "./presence-types.ts";
import type { WorkloadHealthKeeper } from "./workload-health.ts";

/** In a minute: with a node go all its workloads. The metrics count them all, and `weft services` names them. */
const MOST_TOLD = 50;

export interface OpenPresenceOptions {
  readonly data: string;
  readonly node: string;
  readonly clock: Clock;
  readonly metrics: Pick<Metrics, "presenceChanges" | "presenceWorkloads" | "presenceFrozen">;
  readonly board: Board | undefined;
  /** Defaults where absent. */
  readonly graceMs?: number;
  readonly nodeGraceMs?: number;
  readonly ledger: () => LedgerReader | undefined;
  readonly health: () => Pick<WorkloadHealthKeeper, "all">;
  readonly removed?: () => ReadonlySet<string>;
  readonly onChange: () => void;
}

export interface OpenedPresence {
  readonly presence: Presence;
  /** Begins to read the board. `reader` is told of all cards that are there, this node's among them, and when they cannot be read. */
  start(reader?: { take(cards: ReadonlyMap<string, NodeCard>): void; lost(reason: string): void }): void;
  close(): Promise<void>;
}

export function openPresence(options: OpenPresenceOptions): OpenedPresence {
  const { data, node, clock, metrics, board, graceMs = GRACE_MS, nodeGraceMs = NODE_GRACE_MS, ledger, health, removed, onChange } = options;
  const log = logger("presence");
  const sparingly = new Sparingly({
    clock,
    most: MOST_TOLD,
    windowMs: 60_000,
    onMore: (count) => log.info("{count} more workloads left the endpoints or came back in the last minute: `weft services`", { count }),
  });
  const count = () => {
    const { away, heldBack, kept, frozen } = presence.report();
    metrics.presenceWorkloads.set({ state: "away" }, away);
    metrics.presenceWorkloads.set({ state: "held-back" }, heldBack);
    metrics.presenceWorkloads.set({ state: "kept" }, kept.length);
    metrics.presenceFrozen.set(frozen === undefined ? 0 : 1);
  };
  const presence: Presence = new Presence({
    node,
    path: join(data, "presence.json"),
    clock,
    hasBoard: board !== undefined,
    graceMs,
    nodeGraceMs,
    connected: () => (ledger()?.connected() ?? []).map(({ id }) => id),
    own: () => health().all,
    removed,
    onChange() {
      count();
      onChange();
    },
    onEvent(event) {
      metrics.presenceChanges.inc({ change: event.change });
      const say = event.change === "kept" ? log.warning.bind(log) : log.info.bind(log);
      sparingly.tell(() => say("{workload} {change}: {reason}", { ...event, change: SAID[event.change] }));
    },
    onTrouble: (message) => log.warning(message),
  });
  let stop = async () => {};
  let isLost = false;
  return {
    presence,
    start(reader) {
      if (!board) return;
      stop = followCards({
        board,
        clock,
        random: Math.random,
        onCards(cards) {
          presence.cards(cards);
          reader?.take(cards);
          if (isLost) log.info("the board of the nodes can be read again");
          isLost = false;
          count();
        },
        onLost(reason) {
          presence.boardLost(reason);
          reader?.lost(`the board of the nodes cannot be read: ${reason}`);
          if (!isLost) log.warning("the board of the nodes cannot be read ({reason}): what was known of their workloads holds", { reason });
          isLost = true;
          count();
        },
        onTrouble: (message) => log.warning(message),
      });
    },
    async close() {
      presence.close();
      await stop();
    },
  };
}

const SAID: Readonly<Record<PresenceEvent["change"], string>> = {
  arrived: "is in the endpoints",
  left: "leaves the endpoints",
  returned: "is in the endpoints again",
  kept: "may be gone, and stays in the endpoints, for without it too few would be left",
  confirmed: "is there after all",
};

/** For health: it is no failure, for weft serves. Without names: who asks for health needs no token. */
export function presenceSaid({ frozen, held, kept, away, heldBack }: PresenceReport): Said {
  const warnings: string[] = [];
  if (frozen !== undefined) warnings.push(`nothing is known of other nodes (${frozen}): their workloads stay as they were known last`);
  if (kept.length > 0) {
    const nodes = held.length === 0 ? "" : `; ${held.length} nodes are gone at once, which looks like a partition`;
    const what = `${kept.length} workloads may be gone, and stay in the endpoints, for without them too few would be left`;
    warnings.push(`${what}${nodes}: weft services names them`);
  }
  const [first] = warnings;
  const out = [
    ...(away > 0 ? [`${away} workloads are away`] : []),
    ...(heldBack > 0 ? [`${heldBack} are held back, for they come and go`] : []),
  ];
  return { message: first ?? (out.join(", ") || "ok"), ...(warnings.length > 0 ? { warnings } : {}) };
}
