/** A stream of changes, from every node, one after the other on each. */
import { randomBytes } from "node:crypto";
import { sleep, systemClock } from "../../../src/lib/clock.ts";
import type { ApiAnswer } from "../lab/weft.ts";
import type { FaultNode } from "./mesh.ts";
import type { Attempt } from "./record.ts";

export interface Writers {
  /** All that was asked so far. */
  readonly attempts: readonly Attempt[];
  /** The longest that nobody's change was made, of the time since `resume`, milliseconds. */
  longestPauseMs(): number;
  /** Resolves when none is under way. */
  pause(): Promise<void>;
  resume(): void;
  /** So many bytes, which cannot be packed, stand in each change from now on. */
  pad(bytes: number): void;
  /** One more, at `node`. */
  write(node: FaultNode): Promise<Attempt>;
  stop(): Promise<void>;
}

const EVERY_MS = 90;
/** weft answers each within 5 s. */
const ANSWER_MS = 8_000;

export function startWriters(nodes: readonly FaultNode[], prefix: string): Writers {
  const attempts: Attempt[] = [];
  let padding = 0;
  let [isPaused, isStopped, under, count] = [true, false, 0, 0];
  let [lastMade, longest] = [systemClock.monotonic(), 0];
  const write = async (node: FaultNode): Promise<Attempt> => {
    under += 1;
    count += 1;
    const release = `r-${prefix}-${node.name.replace("node-", "")}-${count}`;
    const mark = `mark-${node.name}`;
    const keys = ["VirtualService/default/orders", `ServiceEntry/default/${mark}`];
    const answer = await node.weft
      .api("POST", "/v1/apply", { text: documents(release, mark, padding), type: "application/yaml" }, ANSWER_MS)
      .catch((reason: Error & { code?: string }) => reason);
    const attempt = { release, node: node.name, keys, ...outcomeOf(answer) };
    attempts.push(attempt);
    under -= 1;
    if (attempt.outcome === "made") {
      longest = Math.max(longest, systemClock.monotonic() - lastMade);
      lastMade = systemClock.monotonic();
    }
    return attempt;
  };
  const writer = async (node: FaultNode) => {
    while (!isStopped) {
      if (!isPaused) await write(node);
      await sleep(systemClock, EVERY_MS);
    }
  };
  const running = Promise.all(nodes.map(writer));
  return {
    attempts,
    write,
    longestPauseMs: () => Math.max(longest, isPaused ? 0 : systemClock.monotonic() - lastMade),
    pad(bytes) {
      padding = bytes;
    },
    async pause() {
      isPaused = true;
      while (under > 0) await sleep(systemClock, 10);
    },
    resume() {
      [isPaused, lastMade, longest] = [false, systemClock.monotonic(), 0];
    },
    async stop() {
      isStopped = true;
      await running;
    },
  };
}

/** Of Bun's fetch, where no connection came about. */
const NOBODY_THERE = new Set(["ConnectionRefused", "FailedToOpenSocket", "ENOENT", "ECONNREFUSED"]);

/** Only what weft says it has not made counts as refused. */
function outcomeOf(answer: ApiAnswer | (Error & { code?: string })): Pick<Attempt, "outcome" | "revision" | "said"> {
  if (answer instanceof Error)
    return { outcome: NOBODY_THERE.has(answer.code ?? "") ? "refused" : "unknown", said: `${answer.code} ${answer.message}` };
  const { revision, detail = answer.text } = (answer.json ?? {}) as { revision?: number; detail?: string };
  if (answer.status === 200 && revision !== undefined) return { outcome: "made", revision };
  const said = `${answer.status} ${detail}`;
  if (answer.status === 503 && detail.startsWith("the change is made")) return { outcome: "made", said };
  return { outcome: answer.status < 500 || detail.includes("nothing was changed") ? "refused" : "unknown", said };
}

/** What all Envoys show by a header, and what is of the one writer's. */
const documents = (release: string, mark: string, padding: number) => `apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: orders, namespace: default }
spec:
  hosts: [orders]
  http:
    - route:
        - destination: { host: orders }
          headers: { response: { set: { x-release: "${release}" } } }
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: { name: ${mark}, namespace: default, annotations: { padding: "${randomBytes((padding * 3) / 4).toString("base64")}" } }
spec:
  hosts: [${mark}.default.mesh.local]
  location: MESH_INTERNAL
  resolution: STATIC
  ports: [{ number: 8080, name: http, protocol: HTTP }]
  endpoints: [{ address: 192.0.2.1, labels: { release: ${release} } }]
`;
