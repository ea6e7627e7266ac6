/** What --wait waits for. */
import type { ControlPlane } from "../admin/control-plane.ts";
import type { NodeConvergence } from "../admin/nodes.ts";
import { sleep } from "../lib/clock.ts";
import { parsePeriod } from "../lib/duration.ts";
import type { AdminClient } from "./client.ts";
import { nackLines } from "./nacks.ts";
import { otherNodesLines, staleText } from "./other-nodes.ts";
import { clean } from "./output.ts";
import type { Cli } from "./verb.ts";

/** Most changes are ACKed within milliseconds, so asking starts quickly and slows down. */
const FIRST_POLL_MS = 10;
const LONGEST_POLL_MS = 250;

type Convergence = ReturnType<ControlPlane["convergence"]>;

/** Milliseconds; "" (the flag alone) is `otherwise`. */
export const parseWait =
  (otherwise: number) =>
  (text: string): number => {
    if (text === "") return otherwise;
    const milliseconds = parsePeriod(text);
    if (milliseconds === undefined || milliseconds <= 0) throw new Error(`write a duration such as 30s, not "${text}"`);
    return milliseconds;
  };

/** Asks until no answer is pending that may still come, then reports. @returns the exit code */
export async function waitFor(cli: Cli, client: AdminClient, revision: number, limitMs: number): Promise<number> {
  const { clock } = cli.io;
  const end = clock.monotonic() + limitMs;
  let pause = FIRST_POLL_MS;
  while (true) {
    const state = await client.call<Convergence>("/v1/convergence", { query: { revision: String(revision) } });
    const isDone = pendingHere(state).length === 0 && !state.stale && !nodesThatAre("pending", state).length;
    if (isDone || clock.monotonic() >= end) return report(cli, state, limitMs);
    await sleep(clock, pause);
    pause = Math.min(pause * 2, LONGEST_POLL_MS);
  }
}

const nodesThatAre = (wanted: NodeConvergence["state"], { nodes = [] }: Convergence) => nodes.filter(({ state }) => state === wanted);

/** Those of the node that is asked. */
function pendingHere({ pending, nodes = [] }: Convergence): readonly string[] {
  const elsewhere = new Set(nodes.flatMap((node) => node.pending));
  return pending.filter((id) => !elsewhere.has(id));
}

function report(cli: Cli, state: Convergence, limitMs: number): number {
  const { acked, nacked, still_nacked: still, stale } = state;
  const now = cli.io.clock.now();
  const late = `no answer within ${limitMs / 1000} s`;
  const print = (line: string) => cli.print(clean(line));
  const here = pendingHere(state);
  const pending = nodesThatAre("pending", state);
  const unknown = nodesThatAre("unknown", state);
  if (acked.length > 0) print(`ACK      ${acked.join(", ")}`);
  for (const proxy of nacked) cli.print(`NACK     ${nackLines(proxy).join("\n")}`);
  for (const proxy of still) cli.print(`note     still refused, from before this change: ${nackLines(proxy).join("\n")}`);
  if (here.length > 0) print(`PENDING  ${here.join(", ")} (${late})`);
  for (const { name, reason, pending: ids } of pending) {
    print(`PENDING  node ${name}${listed(ids)} (${reason === undefined ? late : `${late}: ${reason}`})`);
  }
  for (const { name, reason, pending: ids } of unknown)
    print(`UNKNOWN  node ${name}${listed(ids)}${reason === undefined ? "" : ` (${reason})`}`);
  if (stale) print(`UNKNOWN  ${staleText(stale, now)}`);
  for (const line of otherNodesLines({ away_nodes: state.away_nodes }, now)) print(`note     ${line}, and not waited for`);
  const isKnown = pending.length + unknown.length === 0 && !stale;
  if (isKnown && acked.length + nacked.length + here.length === 0) cli.print("no proxy is connected");
  return isKnown && nacked.length + here.length === 0 ? 0 : 1;
}

/** Many are counted: `weft proxies` has them all. */
const MOST_LISTED = 20;

function listed(ids: readonly string[]): string {
  if (ids.length === 0) return "";
  const more = ids.length - MOST_LISTED;
  return `: ${ids.slice(0, MOST_LISTED).join(", ")}${more > 0 ? ` and ${more} more` : ""}`;
}
