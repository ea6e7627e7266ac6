/**
 * What was asked, answered and seen while a fault lasted, and the judgement over it. A change of the stream is two documents with one release in both: what is
 * half applied shows itself.
 */

/** A change that a writer asked for. */
export interface Attempt {
  /** No other change has it. */
  readonly release: string;
  readonly node: string;
  /** Keys of all that it writes. */
  readonly keys: readonly string[];
  /** "unknown" where nobody was answered, or the answer was that nobody knows. */
  readonly outcome: "made" | "refused" | "unknown";
  /** Of a change that was made, where the answer tells it. */
  readonly revision?: number;
  /** What the answer was, where it was not made. */
  readonly said?: string;
}

export interface RecordedRevision {
  readonly revision: number;
  /** Canonical text of the changes. */
  readonly text: string;
  readonly changes: readonly { readonly key: string; readonly release: string | undefined }[];
}

/** What a node has, once all is over. */
export interface NodeState {
  readonly node: string;
  readonly newest: number;
  /** All that is stored, canonical. */
  readonly resources: string;
  /** Hashes of the newest records of its audit, by sequence; each record holds the hash of the one before. What is refused is written down at any time. */
  readonly audit: ReadonlyMap<number, string>;
  /** Oldest first, from where the record begins; undefined where it took a snapshot since, which has no history. */
  readonly history: readonly RecordedRevision[] | undefined;
}

/** What an Envoy was seen to have, in its configuration or by its answers. */
export interface Sighting {
  readonly who: string;
  readonly release: string | undefined;
}

/** A revision that the ledger of a node says of its proxy. */
export interface LedgerEntry {
  readonly proxy: string;
  readonly type: string;
  readonly revision: number;
}

export interface FaultRecord {
  readonly attempts: readonly Attempt[];
  readonly nodes: readonly NodeState[];
  /** In order of time for each `who`. */
  readonly sightings: readonly Sighting[];
  readonly ledger: readonly LedgerEntry[];
  /** What was made before it began, oldest first: calls that were under way may still show it. */
  readonly before: readonly { readonly revision: number; readonly release: string }[];
  /** Calls that failed, and that the fault does not explain. */
  readonly failures: readonly string[];
}

/** The release that is named in a text of ours: a document, or an Envoy's configuration. */
export const releaseOf = (text: string): string | undefined => /\br-[a-z0-9]+-\d+-\d+\b/.exec(text)?.[0];

/** @returns what is wrong, in words; nothing where all held */
export function judge(record: FaultRecord): readonly string[] {
  const { nodes, attempts, before, failures } = record;
  const full = nodes.find(({ history }) => history !== undefined);
  const [first] = nodes;
  if (!full?.history || !first) return ["no node has a history of it"];
  return [
    ...nodes.flatMap((node) => differences(node, first)),
    ...nodes.flatMap(({ node, history }) => (history ? histories(node, history, full.node, full.history ?? []) : [])),
    ...order(full.history, before.at(-1)?.revision ?? 0, full.newest),
    ...changes(attempts, full.history),
    ...proxies(record, full.history, full.newest),
    ...failures.map((failure) => `a call failed: ${failure}`),
  ];
}

function differences(node: NodeState, other: NodeState): string[] {
  const wrong: string[] = [];
  if (node.newest !== other.newest) wrong.push(`${node.node} ends at revision ${node.newest}, ${other.node} at ${other.newest}`);
  if (node.resources !== other.resources) wrong.push(`${node.node} and ${other.node} do not store the same resources`);
  const common = [...node.audit.keys()].filter((sequence) => other.audit.has(sequence));
  if (common.length === 0) wrong.push(`the audits of ${node.node} and ${other.node} have no record in common`);
  const parted = common.find((sequence) => node.audit.get(sequence) !== other.audit.get(sequence));
  if (parted !== undefined) wrong.push(`record ${parted} of the audit is another one on ${node.node} than on ${other.node}`);
  return wrong;
}

function histories(node: string, own: readonly RecordedRevision[], other: string, full: readonly RecordedRevision[]): string[] {
  const known = new Map(full.map(({ revision, text }) => [revision, text]));
  const parted = own.find(({ revision, text }) => known.get(revision) !== text);
  if (parted) return [`revision ${parted.revision} is another one on ${node} than on ${other}`];
  return own.length === full.length ? [] : [`${node} has ${own.length} revisions of ${full.length}`];
}

/** Each revision is one more than that before it. */
function order(history: readonly RecordedRevision[], before: number, newest: number): string[] {
  const gap = history.find(({ revision }, index) => revision !== before + 1 + index);
  if (gap) return [`revision ${gap.revision} does not follow the one before it`];
  return before + history.length === newest ? [] : [`the history ends before revision ${newest}`];
}

function changes(attempts: readonly Attempt[], history: readonly RecordedRevision[]): string[] {
  const made = new Map<string, RecordedRevision[]>();
  for (const entry of history)
    for (const release of new Set(entry.changes.flatMap((change) => change.release ?? [])))
      made.set(release, [...(made.get(release) ?? []), entry]);
  const wrong: string[] = [];
  for (const { release, node, keys, outcome, revision } of attempts) {
    const [entry, again] = made.get(release) ?? [];
    made.delete(release);
    if (outcome === "made" && !entry) wrong.push(`${release}, acknowledged by ${node} as revision ${revision}, is lost`);
    if (outcome === "refused" && entry) wrong.push(`${release} was refused by ${node}, and is revision ${entry.revision}`);
    if (!entry) continue;
    if (again) wrong.push(`${release} was made twice, as revisions ${entry.revision} and ${again.revision}`);
    if (outcome === "made" && revision !== undefined && revision !== entry.revision)
      wrong.push(`${release} was acknowledged as revision ${revision}, and is ${entry.revision}`);
    const there = entry.changes.filter((change) => change.release === release).map(({ key }) => key);
    const missing = keys.filter((key) => !there.includes(key));
    if (missing.length > 0) wrong.push(`of ${release} only a part was applied: ${missing.join(", ")} is missing`);
  }
  for (const release of made.keys()) wrong.push(`${release} was made, and nobody has asked for it`);
  return wrong;
}

function proxies({ sightings, ledger, before }: FaultRecord, history: readonly RecordedRevision[], newest: number): string[] {
  const revisions = new Map(before.map(({ release, revision }) => [release, revision]));
  for (const { revision, changes: made } of history)
    for (const { release } of made) if (release !== undefined) revisions.set(release, revision);
  const wrong = new Set<string>();
  const last = new Map<string, number>();
  for (const { who, release } of sightings) {
    if (release === undefined) continue;
    const revision = revisions.get(release);
    if (revision === undefined) wrong.add(`${who} shows ${release}, which is no revision`);
    else if (revision < (last.get(who) ?? 0)) wrong.add(`${who} went back from revision ${last.get(who)} to ${revision}`);
    else last.set(who, revision);
  }
  for (const { proxy, type, revision } of ledger)
    if (revision > newest) wrong.add(`${proxy} is on revision ${revision} of ${type}, and there are ${newest}`);
  return [...wrong];
}
