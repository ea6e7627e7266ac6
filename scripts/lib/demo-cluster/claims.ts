/** What the demo proves, in order. Each claim leaves the mesh whole for the next. */
import { systemClock } from "../../../src/lib/clock.ts";
import { call } from "../lab/call.ts";
import type { Proof } from "../lab/show.ts";
import type { Stretch } from "../lab/stream.ts";
import { waitFor } from "../lab/wait.ts";
import { inboundOf } from "../lab/workload.ts";
import { arrival, changes, proveArrival } from "./arrival.ts";
import { type Cluster, callFrom, judge } from "./cluster.ts";
import type { Node } from "./nodes.ts";

/** So much traffic is looked at while something is away. */
const CALLS = 150;
const KINDS = ["ServiceEntry", "WorkloadEntry", "VirtualService", "PeerAuthentication"];

export const claims = (engine: string): readonly Proof<Cluster>[] => [
  {
    name: "one mesh",
    async run({ nodes, members }) {
      const list = async ({ weft }: Node) => {
        const { stdout } = await weft.cli(["nodes", "-o", "json"]);
        const { items } = JSON.parse(stdout) as { items: { name: string; state: string; roles: string[]; proxies?: number }[] };
        return items
          .map(({ name, state, roles, proxies }) =>
            [name, ...roles, state === "here" ? "connected" : state, `proxies ${proxies}`].join(", "),
          )
          .join("; ");
      };
      const of = (node: Node) => `connected, proxies ${members.filter((member) => member.node === node).length}`;
      const wanted = nodes.map((node, index) => `${node.name}, ${index === 0 ? "authority, " : ""}${of(node)}`).join("; ");
      const lists = await waitFor(
        "the nodes' cards",
        () => Promise.all(nodes.map(list)),
        (all) => all.every((one) => one === wanted),
      );
      return { held: true, measured: `weft nodes on each of them: ${lists[0]}` };
    },
  },
  {
    name: "mutual TLS between nodes",
    async run({ members, shop }) {
      const seen = new Map<string, string>();
      await waitFor("an answer of each orders", async () => {
        const answer = await callFrom(shop);
        seen.set(answer.echo?.instance ?? "none", judge(answer) ?? "");
        return seen.size >= members.length - 1;
      });
      const plaintext = await Promise.all(
        members.filter((member) => member !== shop).map(({ place }) => call({ to: inboundOf(place), host: "orders" })),
      );
      return {
        held: [...seen.values()].every((why) => why === "") && plaintext.every(({ status }) => status === 0),
        measured: `the shop on node-1 is known to ${[...seen.keys()].sort().join(", ")} by its SPIFFE ID; plaintext is refused by all ${plaintext.length}`,
      };
    },
  },
  {
    name: "one apply, every Envoy",
    async run(cluster) {
      const release = await cluster.release(cluster.nodes[0]);
      return await proveArrival(release, cluster.members);
    },
  },
  {
    name: "the same on all nodes",
    async run({ nodes }) {
      const get = async ({ weft }: Node) => {
        const answers = await Promise.all(KINDS.map((kind) => weft.cli(["get", kind, "-o", "yaml"])));
        return answers.map(({ stdout }) => stdout).join("");
      };
      const [one = "", ...others] = await Promise.all(nodes.map(get));
      const audits = await Promise.all(nodes.map(({ weft }) => weft.cli(["audit", "--verify"])));
      return {
        held: one.includes("kind: VirtualService") && others.every((other) => other === one) && audits.every(({ code }) => code === 0),
        measured: `weft get of ${KINDS.length} kinds: ${one.length} bytes of YAML, equal on all three; weft audit --verify holds on each`,
      };
    },
  },
  {
    name: "of two writers one",
    async run({ nodes: [, second, third], members }) {
      const { stdout } = await second.weft.cli(["get", "VirtualService", "orders", "-o", "yaml"]);
      const edits = ["left", "right"].map((name) => stdout.replace(/(x-release: ).*/, `$1${name}`));
      const outcomes = await Promise.all(
        [second, third].map(({ weft }, index) => weft.cli(["apply", "-f", "-"], { input: edits[index] ?? "" })),
      );
      const refused = outcomes.filter(({ code }) => code !== 0);
      const winner = outcomes[0]?.code === 0 ? "left" : "right";
      await arrival({ name: winner, began: systemClock.monotonic() }, members);
      return {
        held: stdout.includes("resourceVersion") && refused.length === 1,
        measured: `two edits of one version, at node-2 and node-3: one is in force everywhere, the other "${firstLine(refused[0]?.stderr ?? "was taken too")}"`,
      };
    },
  },
  {
    name: `${engine} killed`,
    async run(cluster) {
      const { engine, nodes, stream } = cluster;
      const mark = stream.mark();
      await engine.kill();
      const told = await waitFor(
        "all nodes to say so",
        () => Promise.all(nodes.map(behind)),
        (all) => all.every(Boolean),
      );
      const put = await nodes[1].weft.api("POST", "/v1/apply", { text: HARMLESS, type: "application/yaml" });
      const { detail = put.text } = (put.json ?? {}) as { detail?: string };
      const stretch = await traffic(cluster, mark);
      const retryAfter = put.headers["retry-after"];
      return {
        held: put.status === 503 && Number(retryAfter) > 0 && / behind/.test(detail) && isCalm(stretch),
        measured:
          `kill -9 of all of it: ${showTraffic(stretch)}; a write is refused: ${put.status}, Retry-After ${retryAfter}, "${clause(detail)} ..."; ` +
          `/readyz?verbose on each node: ${told.map((one) => `"${one}"`).join(", ")}`,
      };
    },
  },
  {
    name: `a node starts without ${engine}`,
    async run(cluster) {
      const { nodes, members, stream, restart } = cluster;
      const node = nodes[2];
      const member = members.find((one) => one.node === node);
      if (!member) throw new Error(`no workload on ${node.name}`);
      const mark = stream.mark();
      await node.weft.process().kill();
      const began = systemClock.monotonic();
      await node.weft.start();
      const ready = systemClock.monotonic() - began;
      await restart(member);
      const started = systemClock.monotonic() - began - ready;
      const own = await callFrom(member);
      const before = stream.mark();
      await waitFor(`calls of ${member.name}`, () => (stream.since(before).instances[member.name] ?? 0) >= 10);
      const stretch = stream.since(mark);
      const release = own.headers["x-release"];
      return {
        held: own.status === 200 && release !== undefined && isCalm(stretch),
        measured:
          `${node.name} was killed and serves again after ${ms(ready)}; ${member.name}'s Envoy, ended and started anew, is live in ${ms(started)}, ` +
          `has the release "${release}" and takes and makes calls over mutual TLS; ${showTraffic(stretch)}`,
      };
    },
  },
  {
    name: `${engine} returns`,
    async run(cluster) {
      const { engine, nodes, members, stream } = cluster;
      const mark = stream.mark();
      // What was started anew has had all of its configuration sent.
      const untouched = members.filter(({ node }) => node !== nodes[2]);
      const before = await changes(untouched);
      await engine.start();
      const began = systemClock.monotonic();
      await waitFor("all nodes to be in touch again", async () => {
        const told = await Promise.all(nodes.map(behind));
        return told.every((one) => one === undefined);
      });
      const inTouch = systemClock.monotonic() - began;
      // What node-3 did for its Envoy meanwhile.
      const late = await waitFor(
        "the audit to have it",
        () => Promise.all(nodes.map(recordedLate)),
        (all) => all.every((one) => one !== undefined && one === all[0]),
      );
      await traffic(cluster, stream.mark());
      const unasked = (await changes(untouched)) - before;
      const { held, measured } = await proveArrival(await cluster.release(nodes[2]), members);
      const stretch = stream.since(mark);
      return {
        held: held && before > 0 && unasked === 0 && isCalm(stretch),
        measured:
          `all nodes are in touch ${ms(inTouch)} after its first answer, with ${unasked} changes to Envoys; all have "${late[0]}" in the audit; ` +
          `then a change at node-3: ${measured}; ${showTraffic(stretch)}`,
      };
    },
  },
  {
    name: "the authority is away",
    async run(cluster) {
      const { nodes, members, stream, restart } = cluster;
      const [authority, second] = nodes;
      const mark = stream.mark();
      const began = systemClock.monotonic();
      await authority.weft.process().stop();
      const others = members.filter(({ node }) => node !== authority);
      const release = await cluster.release(second);
      const { held, measured } = await proveArrival(release, others);
      const member = others[0];
      if (member) await restart(member);
      await traffic(cluster, mark);
      const away = systemClock.monotonic() - began;
      await authority.weft.start();
      const back = systemClock.monotonic();
      const own = await arrival({ name: release.name, began: back }, members);
      const stretch = stream.since(mark);
      return {
        held: held && isCalm(stretch),
        measured: `node-1 was stopped for ${ms(away)}; a change at node-2 meanwhile: ${measured}; ${member?.name}'s Envoy was ended and started anew; node-1's Envoys have the change ${ms(own.lastMs)} after it is back; ${showTraffic(stretch)}`,
      };
    },
  },
  {
    name: "no call failed",
    async run({ stream }) {
      await stream.stop();
      const stretch = stream.since();
      const instances = Object.entries(stretch.instances).sort();
      return {
        held: isCalm(stretch),
        measured: `${showTraffic(stretch)}: ${instances.map(([name, count]) => `${name} ${count}`).join(", ")}`,
      };
    },
  },
];

/** Would change nothing of the mesh, were it taken. */
const HARMLESS = `apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: { name: refused, namespace: default }
spec: { hosts: [refused.default.mesh.local], ports: [{ number: 8080, name: http, protocol: HTTP }], resolution: STATIC, location: MESH_INTERNAL }
`;

/** What /readyz?verbose says of a store that is away. */
async function behind({ weft }: Node): Promise<string | undefined> {
  const { text } = await weft.api("GET", "/readyz?verbose");
  return /serving revision [^"\n]*? behind/.exec(text)?.[0];
}

/** What the audit says was done while its store was away. */
async function recordedLate({ weft }: Node): Promise<string | undefined> {
  const { json } = await weft.api("GET", "/v1/audit?last=20");
  const { records } = json as { records: { action: string; targets: string[]; reason?: string }[] };
  const late = records.find(({ action, reason }) => action === "issue-token" && reason?.includes("on record later"));
  return late && [late.action, ...late.targets].join(" ");
}

/** What the stream has seen since `mark`, once that is enough. */
async function traffic({ stream }: Cluster, mark: number): Promise<Stretch> {
  return await waitFor(
    `${CALLS} calls`,
    () => stream.since(mark),
    ({ calls }) => calls >= CALLS,
  );
}

const isCalm = ({ calls, failures }: Stretch): boolean => calls > 0 && failures.length === 0;
const showTraffic = ({ calls, failures, slowestMs }: Stretch): string =>
  `${calls} calls, ${failures.length} failed${failures.length > 0 ? ` (${failures.slice(0, 3).join("; ")})` : ""}, the slowest ${ms(slowestMs)}`;
const ms = (milliseconds: number): string =>
  milliseconds < 1000 ? `${Math.round(milliseconds)} ms` : `${(milliseconds / 1000).toFixed(1)} s`;
const firstLine = (text: string): string => text.trim().split("\n")[0] ?? "";
const clause = (text: string): string => text.split(": ")[0] ?? "";
