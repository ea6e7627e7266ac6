/** That the judgement of scripts/faults finds what it is there for: records in which one thing was made wrong. */
import { expect, test } from "bun:test";
import { type FaultRecord, judge, type NodeState, type RecordedRevision, releaseOf } from "../../scripts/lib/faults/record.ts";

const KEYS = ["VirtualService/default/orders", "ServiceEntry/default/mark-node-1"];
const release = (count: number) => `r-etcd-1-${count}`;
const revision = (number: number): RecordedRevision => ({
  revision: number,
  text: `revision ${number}`,
  changes: KEYS.map((key) => ({ key, release: release(number) })),
});
const HISTORY = [revision(8), revision(9), revision(10)];
const audit = (last: string) =>
  new Map([
    [19, "abb"],
    [20, last],
  ]);
const node = (name: string, more: Partial<NodeState> = {}): NodeState => ({
  node: name,
  newest: 10,
  resources: "all of it",
  audit: audit("abc"),
  history: HISTORY,
  ...more,
});
const made = (count: number) => ({ release: release(count), node: "node-1", keys: KEYS, outcome: "made" as const, revision: count });

const GOOD: FaultRecord = {
  attempts: [
    made(8),
    made(9),
    { ...made(10), outcome: "unknown" },
    { ...made(11), outcome: "refused" },
    { ...made(12), outcome: "unknown" },
  ],
  nodes: [node("node-1"), node("node-2"), node("node-3", { history: undefined, audit: new Map([...audit("abc"), [21, "abd"]]) })],
  sightings: [
    { who: "the Envoy of orders-1", release: release(7) },
    { who: "the Envoy of orders-1", release: release(9) },
    { who: "a call from orders-1", release: release(8) },
  ],
  ledger: [{ proxy: "default/orders-1", type: "RDS", revision: 10 }],
  before: [{ revision: 7, release: release(7) }],
  failures: [],
};
const [first, second, third] = GOOD.nodes as [NodeState, NodeState, NodeState];

test("a record in which all held is found good, with changes whose outcome nobody knows, and a node that took a snapshot", () => {
  expect(judge(GOOD)).toEqual([]);
});

const DOCTORED: readonly (readonly [string, Partial<FaultRecord>, string])[] = [
  [
    "an acknowledged change that no node has",
    { attempts: [...GOOD.attempts, made(13)] },
    "r-etcd-1-13, acknowledged by node-1 as revision 13, is lost",
  ],
  [
    "an acknowledged change that one node does not have",
    { nodes: [first, node("node-2", { newest: 9, history: HISTORY.slice(0, 2), resources: "less" }), third] },
    "node-2 ends at revision 9, node-1 at 10",
  ],
  [
    "a node that stores something else",
    { nodes: [first, second, { ...third, resources: "else" }] },
    "node-3 and node-1 do not store the same resources",
  ],
  [
    "a node whose audit parted",
    { nodes: [first, node("node-2", { audit: audit("abd") }), third] },
    "record 20 of the audit is another one on node-2 than on node-1",
  ],
  [
    "a node whose audit is too short",
    { nodes: [first, node("node-2", { audit: new Map([[7, "aaa"]]) }), third] },
    "the audits of node-2 and node-1 have no record in common",
  ],
  [
    "a revision that is another one on one node",
    { nodes: [first, node("node-2", { history: [revision(8), { ...revision(9), text: "other" }, revision(10)] }), third] },
    "revision 9 is another one on node-2 than on node-1",
  ],
  [
    "a revision that is missing in between",
    {
      nodes: [node("node-1", { history: [revision(8), revision(10)] }), third],
      attempts: [made(8), { ...made(10), outcome: "unknown" }],
      sightings: [],
    },
    "revision 10 does not follow the one before it",
  ],
  [
    "a change of which one document is missing",
    {
      nodes: [
        node("node-1", { history: [revision(8), { ...revision(9), changes: revision(9).changes.slice(0, 1) }, revision(10)] }),
        third,
      ],
    },
    "of r-etcd-1-9 only a part was applied: ServiceEntry/default/mark-node-1 is missing",
  ],
  [
    "a refused change that was made",
    { attempts: [made(8), { ...made(9), outcome: "refused" }, made(10)] },
    "r-etcd-1-9 was refused by node-1, and is revision 9",
  ],
  ["a change that nobody asked for", { attempts: [made(8), made(9)] }, "r-etcd-1-10 was made, and nobody has asked for it"],
  [
    "a change that was acknowledged as another revision",
    { attempts: [made(8), { ...made(9), revision: 6 }, made(10)] },
    "r-etcd-1-9 was acknowledged as revision 6, and is 9",
  ],
  [
    "a change that was made twice",
    {
      nodes: [node("node-1", { history: [revision(8), revision(9), { ...revision(9), revision: 10, text: "revision 10" }] }), third],
      attempts: [made(8), made(9)],
      sightings: [],
    },
    "r-etcd-1-9 was made twice, as revisions 9 and 10",
  ],
  [
    "an Envoy with a release that was refused",
    { sightings: [{ who: "the Envoy of orders-2", release: release(11) }] },
    "the Envoy of orders-2 shows r-etcd-1-11, which is no revision",
  ],
  [
    "an Envoy that went back",
    { sightings: [9, 8].map((count) => ({ who: "the Envoy of orders-2", release: release(count) })) },
    "the Envoy of orders-2 went back from revision 9 to 8",
  ],
  [
    "a proxy on a revision that never was",
    { ledger: [{ proxy: "default/orders-3", type: "RDS", revision: 11 }] },
    "default/orders-3 is on revision 11 of RDS, and there are 10",
  ],
  ["a call that failed", { failures: ["1.2 s: orders-1: status 503"] }, "a call failed: 1.2 s: orders-1: status 503"],
];

test.each(DOCTORED)("%s is found", (_, doctored, found) => {
  expect(judge({ ...GOOD, ...doctored })).toContain(found);
});

test("a release is found in a document and in an Envoy's configuration", () => {
  expect(releaseOf('{"headers":{"x-release":"r-redis-2-17"}}')).toBe("r-redis-2-17");
  expect(releaseOf('{"name":"orders-1"}')).toBeUndefined();
});
