/** What weft keeps, and must not lose: the store, the audit trail beside it, access tokens and revocations. */
import { join } from "node:path";
import type { Clock } from "../lib/clock.ts";
import type { WeftError } from "../lib/errors.ts";
import { openStore } from "../store/index.ts";
import type { Metrics } from "../telemetry/metrics.ts";
import { AccessTokens } from "./access-tokens.ts";
import { AuditBacklog } from "./audit-backlog.ts";
import { AuditTrail } from "./audit-trail.ts";
import { meteredStore } from "./metered-store.ts";
import { Revocations } from "./revocations.ts";
import type { StartOptions } from "./start-options.ts";

export interface OpenKeptOptions extends Pick<StartOptions, "store" | "openStore" | "carryOver"> {
  readonly data: string;
  readonly clock: Clock;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly metrics: Metrics;
  /** Why this node may change nothing; undefined where it may. */
  readonly refusal: () => WeftError | undefined;
  readonly onTrouble: (message: string) => void;
}

/** `onClose` is told of each part as it is opened, so that a later one that fails leaves none open. */
export async function openKept(options: OpenKeptOptions, onClose: (closer: () => unknown) => void) {
  const { data, clock, metrics, carryOver, env, refusal, onTrouble } = options;
  const { store: opened, board } = await (options.openStore ?? openStore)(options.store, {
    dataDir: data,
    clock,
    carryOver,
    environment: env,
  });
  const store = meteredStore(opened, metrics, clock, refusal);
  onClose(() => store.close());
  const backlog = new AuditBacklog({ store, path: join(data, "audit-backlog.jsonl"), clock, onTrouble });
  onClose(() => backlog.close());
  const audit = new AuditTrail({ store, clock, backlog });
  onClose(() => audit.close());
  return {
    store,
    /** As `store`, without the refusal: for what goes with a node that removes itself. */
    unrefused: opened,
    /** Undefined where no other node shares the store. */
    board,
    audit,
    access: await AccessTokens.open(store, clock),
    revocations: await Revocations.open(store, clock),
  };
}
