/** What nodes and Envoys say of themselves, for the record. */
import { sleep, systemClock } from "../../../src/lib/clock.ts";
import { waitFor } from "../lab/wait.ts";
import { type FaultMesh, type FaultNode, seenIn } from "./mesh.ts";
import { type LedgerEntry, type NodeState, type RecordedRevision, releaseOf } from "./record.ts";

const LOOK_EVERY_MS = 400;
const HISTORY_MS = 15_000;
const ANSWER_MS = 3_000;

/** Of GET /v1/watch. */
interface RevisionMessage {
  readonly type: string;
  readonly revision: number;
  readonly changes: readonly { readonly action: string; readonly kind: string; readonly namespace: string; readonly name: string }[];
}

export interface Observer {
  /** What the ledgers said so far. */
  readonly ledger: readonly LedgerEntry[];
  stop(): Promise<void>;
}

/** Looks at every Envoy and every node's ledger, again and again; who does not answer is left out. */
export function startObserver({ nodes, sightings }: FaultMesh): Observer {
  const ledger = new Map<string, LedgerEntry>();
  let isStopped = false;
  const look = async (node: FaultNode) => {
    while (!isStopped) {
      await Promise.all([
        seenIn(node).then(
          (seen) => sightings.push(seen),
          () => {},
        ),
        node.weft.api("GET", "/v1/proxies", undefined, ANSWER_MS).then(
          ({ json }) => {
            for (const entry of ledgerOf(json)) ledger.set(`${entry.proxy} ${entry.type} ${entry.revision}`, entry);
          },
          () => {},
        ),
      ]);
      await sleep(systemClock, LOOK_EVERY_MS);
    }
  };
  const looking = Promise.all(nodes.map(look));
  return {
    get ledger() {
      return [...ledger.values()];
    },
    async stop() {
      isStopped = true;
      await looking;
    },
  };
}

function ledgerOf(json: unknown): LedgerEntry[] {
  const { items = [] } = (json ?? {}) as {
    items?: { id: string; types: { type: string; sent_revision?: number; acked_revision?: number }[] }[];
  };
  return items.flatMap(({ id, types }) =>
    types.flatMap(({ type, sent_revision, acked_revision }) =>
      [sent_revision, acked_revision].flatMap((revision) => (revision === undefined ? [] : { proxy: id, type, revision })),
    ),
  );
}

/** What `node` has. @param since the revision after which its history is wanted; undefined where it may have none */
export async function stateOf({ name, weft }: FaultNode, since: number | undefined): Promise<NodeState> {
  const { json } = await weft.api("GET", "/v1/resources");
  const { revision, items } = json as { revision: number; items: unknown[] };
  const { json: audit } = await weft.api("GET", "/v1/audit?last=300");
  const { records } = audit as { records: readonly { sequence: number; hash: string }[] };
  return {
    node: name,
    newest: revision,
    resources: JSON.stringify(items),
    audit: new Map(records.map(({ sequence, hash }) => [sequence, hash])),
    history: since === undefined ? undefined : await historyOf(weft.data, since, revision),
  };
}

/** From the node's own watch. */
async function historyOf(data: string, since: number, newest: number): Promise<readonly RecordedRevision[] | undefined> {
  const history: RecordedRevision[] = [];
  if (newest === since) return history;
  const abort = new AbortController();
  const limit = setTimeout(() => abort.abort(), HISTORY_MS);
  try {
    const response = await fetch(`http://weft/v1/watch?since=${since}`, { unix: `${data}/admin.sock`, signal: abort.signal });
    let text = "";
    const decoder = new TextDecoder();
    for await (const chunk of response.body ?? []) {
      text += decoder.decode(chunk, { stream: true });
      for (let end = text.indexOf("\n\n"); end >= 0; end = text.indexOf("\n\n")) {
        const event = text.slice(0, end);
        text = text.slice(end + 2);
        const line = /^data: ?(.*)$/m.exec(event)?.[1];
        if (line === undefined) continue;
        const message = JSON.parse(line) as RevisionMessage;
        if (message.type === "lost") return undefined;
        history.push(recorded(message));
        if (message.revision >= newest) return history;
      }
    }
    throw new Error(`the history ended before revision ${newest}`);
  } finally {
    clearTimeout(limit);
    abort.abort();
  }
}

function recorded({ revision, changes }: RevisionMessage): RecordedRevision {
  return {
    revision,
    text: JSON.stringify(changes),
    changes: changes.map((change) => ({
      key: `${change.kind}/${change.namespace}/${change.name}`,
      release: releaseOf(JSON.stringify(change)),
    })),
  };
}

/** Waits until all nodes are in touch with the store, and have `revision`; `release` undefined: the Envoys are not asked. */
export async function untilEverywhere(nodes: readonly FaultNode[], revision: number, release: string | undefined): Promise<void> {
  const missing = async (node: FaultNode): Promise<string | undefined> => {
    if ((await node.weft.metric("weft_store_in_touch")) !== 1) return `${node.name} is not in touch`;
    const { json } = await node.weft.api("GET", "/v1/resources?limit=1", undefined, ANSWER_MS);
    const newest = (json as { revision: number }).revision;
    if (newest < revision) return `${node.name} is at ${newest} of ${revision}`;
    if (release === undefined) return undefined;
    const seen = await seenIn(node);
    return seen.release === release ? undefined : `${seen.who} has ${seen.release}`;
  };
  await waitFor(
    "the newest change to be everywhere",
    async () => (await Promise.all(nodes.map((node) => missing(node).catch(String)))).filter((one) => one !== undefined),
    (list) => list.length === 0,
    { limitMs: 45_000, everyMs: 25 },
  );
}
