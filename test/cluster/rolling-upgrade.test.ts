/**
 * Two builds of weft in one mesh: the previous commit's and this one's, on one store, with real Envoys and a steady stream of calls. Nodes are upgraded one
 * after another, in place.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { arrival } from "../../scripts/lib/demo-cluster/arrival.ts";
import { type Cluster, startCluster } from "../../scripts/lib/demo-cluster/cluster.ts";
import type { Node } from "../../scripts/lib/demo-cluster/nodes.ts";
import { openProcesses } from "../../scripts/lib/lab/processes.ts";
import { waitFor } from "../../scripts/lib/lab/wait.ts";
import { envoyFor } from "../skip.ts";
import { installEtcd } from "../store/etcd-cluster.ts";
import { installRedis } from "../store/redis-server.ts";
import { presentWeft, previousCommit, weftOf } from "./builds.ts";

const NAME = "the tests of a rolling upgrade";
const LIMIT_MS = 180_000;

const envoy = envoyFor(NAME);
const commit = previousCommit(NAME);
const possible = envoy !== undefined && commit !== undefined;
const directory = mkdtempSync(join(tmpdir(), "weft-upgrade-"));
let previous = "";
let present = "";

beforeAll(() => {
  present = presentWeft(directory);
  if (commit !== undefined) previous = weftOf(commit, directory);
}, LIMIT_MS);
afterAll(() => rmSync(directory, { recursive: true, force: true }));

type Builds = readonly [string, string, string];

/** What runs on node-1, the authority, node-2 and node-3, and in which order they become this build. */
function upgrade(kind: "etcd" | "redis", engine: string | undefined, builds: () => Builds, order: readonly (0 | 1 | 2)[]): void {
  describe.skipIf(!possible || engine === undefined)(`over ${kind}`, () => {
    const processes = openProcesses(join(directory, `logs-${kind}`));
    let cluster: Cluster | undefined;

    afterAll(async () => {
      await cluster?.stop();
      await processes.stopAll(2_000);
    }, LIMIT_MS);

    test(
      `nodes of two builds serve one mesh: changes arrive in both directions, authorities sign for both, and no call fails while they are upgraded`,
      async () => {
        const own = join(directory, kind);
        mkdirSync(own);
        const mesh = await startCluster({
          binaries: builds(),
          envoy: envoy ?? "",
          engine: { kind, binary: engine ?? "" },
          directory: own,
          processes,
          progress: () => {},
        });
        cluster = mesh;
        await changeAtEach(mesh);
        for (const index of order) {
          const node = mesh.nodes[index];
          await node.upgrade(present);
          await changeAtEach(mesh);
          // A new Envoy beside each: its bootstrap, its configuration and its SVID come from what runs now.
          for (const member of mesh.members.filter((one) => one !== mesh.shop)) await mesh.restart(member);
        }
        await mesh.stream.stop();
        const { calls, failures, instances } = mesh.stream.since();
        expect(failures).toEqual([]);
        expect(calls).toBeGreaterThan(100);
        expect(Object.keys(instances).sort()).toEqual(["orders-1", "orders-2", "orders-3"]);
      },
      LIMIT_MS,
    );
  });
}

/** A change at each node is in force on all Envoys, and afterwards all nodes hold the same, and read each other's cards. */
async function changeAtEach({ nodes, members, release }: Cluster): Promise<void> {
  for (const node of nodes) {
    const changed = await release(node);
    expect(changed.applied).toMatchObject({ code: 0 });
    await arrival(changed, members);
  }
  const held = await waitFor(
    "all nodes to hold the same",
    () => Promise.all(nodes.map(holdings)),
    ([one, ...others]) => others.every((other) => other === one),
  );
  expect(held[0]).toContain('"VirtualService"');
  await waitFor(
    "each node to hear of the others",
    () => Promise.all(nodes.map(heardOf)),
    (all) => all.every((one) => one === "node-1 up 2, node-2 up 1, node-3 up 1"),
  );
}

/** What it lists of the nodes: whether they are up, and how many proxies they have. */
async function heardOf({ weft }: Node): Promise<string> {
  const { items } = (await weft.api("GET", "/v1/nodes")).json as { items: { name: string; state: string; proxies?: number }[] };
  return items.map(({ name, state, proxies }) => `${name} ${state === "away" ? "away" : "up"} ${proxies ?? "?"}`).join(", ");
}

/** Its resources, with their revisions, and the end of its audit's chain. */
async function holdings({ weft }: Node): Promise<string> {
  const [resources, audit] = await Promise.all([weft.api("GET", "/v1/resources"), weft.api("GET", "/v1/audit?last=1")]);
  const { items } = resources.json as { items: unknown };
  const { head } = audit.json as { head: unknown };
  return JSON.stringify({ items, head });
}

upgrade("etcd", possible ? installEtcd() : undefined, () => [previous, present, previous], [0, 2]);
upgrade("redis", possible ? installRedis()?.current : undefined, () => [present, previous, present], [1]);
