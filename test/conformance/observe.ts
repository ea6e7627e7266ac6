/** Plays one case once, and tells what became of the request in the words of the recorded verdicts. */
import { connect } from "node:net";
import { call } from "../../scripts/lib/lab/call.ts";
import { formatAddress, type SocketAddress } from "../../scripts/lib/lab/network.ts";
import { waitFor } from "../../scripts/lib/lab/wait.ts";
import type { LogEntry } from "./access-log.ts";
import type { Case, Verdict } from "./cases.ts";
import type { Stage, Target } from "./stage.ts";

export interface Observation {
  readonly verdict: Verdict | "unknown";
  readonly status?: number;
  /** The version label of the workload that answered. */
  readonly subset?: string;
  /** For a failure's message: what Envoy logged. */
  readonly evidence: string;
}

const EVIDENCE_LIMIT = { limitMs: 5_000, everyMs: 2 };
/** By which a server's Envoy counts connections that never became a request: no filter chain for plaintext, or no TLS. */
const REFUSALS = /^listener\..*\.(no_filter_chain_match|ssl\.(connection_error|fail_verify_.*))$/;

export function observe(stage: Stage, one: Case): Promise<Observation> {
  const target = stage.target(one.to);
  return target.tcp ? observeTcp(stage, one, target) : observeHttp(stage, one, target);
}

let requests = 0;

async function observeHttp(stage: Stage, one: Case, target: Target): Promise<Observation> {
  requests += 1;
  const id = `request-${requests}`;
  const plaintext = one.from === "plaintext";
  const to = plaintext ? first(target).inbound : stage.outbound(one.from);
  const before = plaintext ? await refusals(target) : 0;
  const answer = await call({
    to,
    host: `${target.host}:${target.port}`,
    path: one.path,
    method: one.method,
    headers: { ...one.headers, "x-conformance": id },
  });
  const { status, headers, error } = answer;
  const instance = headers["x-instance"];
  if (instance !== undefined) return { verdict: "allow", status, subset: stage.version(instance), evidence: `answered by ${instance}` };
  if (plaintext && status === 0) {
    const after = await refusals(target);
    const evidence = `${error}; refusals counted by the server: ${before}, then ${after}`;
    return { verdict: after > before ? "refused" : "unknown", evidence };
  }
  const logged = (at: readonly SocketAddress[]) =>
    waitFor(
      `the log of ${id} at ${at.map(formatAddress).join(", ")}`,
      () => stage.log.entries().find((entry) => entry.id === id && at.some((place) => entry.local === formatAddress(place))),
      (entry) => entry !== undefined,
      EVIDENCE_LIMIT,
    );
  const near = await logged([to]);
  // The route may lead to another service than the one that was asked for.
  const far = near?.details.startsWith("via_upstream") ? await logged(stage.allInbound()) : undefined;
  const evidence = [near, far].flatMap((entry) => (entry ? [entry.text] : [])).join(" | ");
  const decider = far ?? (plaintext ? near : undefined);
  if (decider) return { verdict: isDenial(decider) ? "deny" : "unknown", status, evidence };
  return { verdict: near ? verdictOf(near, headers.location !== undefined) : "unknown", status, evidence };
}

/** What the client's sidecar decided by itself. */
function verdictOf({ flags, details }: LogEntry, redirected: boolean): Observation["verdict"] {
  if (flags.includes("NR") || flags.includes("NC")) return "no_route";
  if (flags.includes("UF") || flags.includes("UC")) return "refused";
  if (flags.includes("FI")) return "fault";
  if (details.startsWith("direct_response")) return redirected ? "redirect" : "direct_response";
  return "unknown";
}

function isDenial({ details }: LogEntry): boolean {
  return /rbac_access_denied|jwt_authn_access_denied/.test(details);
}

async function observeTcp(stage: Stage, one: Case, target: Target): Promise<Observation> {
  const plaintext = one.from === "plaintext";
  const to = plaintext ? first(target).inbound : stage.tcpOutbound(one.from, target);
  // Ports come back: an older connection's entry must not speak for this one.
  const seen = stage.log.entries().length;
  const before = await refusals(target);
  const { reply, local } = await exchange(to);
  const [, instance] = /^(.*): hello$/.exec(reply) ?? [];
  if (instance !== undefined) return { verdict: "allow", subset: stage.version(instance), evidence: `answered by ${instance}` };
  const denied = (): LogEntry | undefined => {
    const entries = stage.log.entries().slice(seen);
    const at = (remote: string, places: readonly SocketAddress[]) =>
      entries.find((entry) => entry.remote === remote && places.some((place) => entry.local === formatAddress(place)));
    const near = at(local, [to]);
    const far = plaintext ? near : near && at(near.upstreamLocal, stage.allInbound());
    return far && isDenial(far) ? far : undefined;
  };
  const decided = await waitFor(
    `a reason why the connection of ${one.from} was closed`,
    async () => denied() ?? ((await refusals(target)) > before ? "refused" : undefined),
    (state) => state !== undefined,
    EVIDENCE_LIMIT,
  );
  if (typeof decided === "object") return { verdict: "deny", evidence: decided.text };
  return { verdict: "refused", evidence: "the server's Envoy refused the connection" };
}

/** By all Envoys behind the service, since they started. */
async function refusals({ members }: Target): Promise<number> {
  const stats = await Promise.all(members.map(({ sidecar }) => sidecar.stats(REFUSALS)));
  return stats.flatMap((counters) => Object.values(counters)).reduce((sum, count) => sum + count, 0);
}

/** Says hello on a new connection; the first piece of the answer, "" where the connection closed without one, and the connection's own address. */
function exchange(to: SocketAddress): Promise<{ reply: string; local: string }> {
  return new Promise((resolve, reject) => {
    let local = "";
    const socket = connect({ host: to.address, port: to.port }, () => {
      local = `${socket.localAddress}:${socket.localPort}`;
      socket.write("hello");
    });
    const end = (reply: string) => {
      resolve({ reply, local });
      socket.destroy();
    };
    socket.setTimeout(5_000, () => {
      reject(new Error(`no answer and no end from ${formatAddress(to)}`));
      socket.destroy();
    });
    socket.once("data", (data) => end(data.toString()));
    socket.once("close", () => end(""));
    socket.once("error", () => end(""));
  });
}

function first({ host, members }: Target): Target["members"][number] {
  const [member] = members;
  if (!member) throw new Error(`nothing behind ${host}`);
  return member;
}
