/** Many nodes, one mesh: main.ts WEFT ENVOY etcd|redis ENGINE [--check]; ENGINE is the path of etcd or redis-server. Exit codes: lab/show.ts. */
import { runShow } from "../lab/show.ts";
import { claims } from "./claims.ts";
import { startCluster } from "./cluster.ts";
import { formatNextSteps } from "./next-steps.ts";

const [binary = "", envoy = "", kind = "", engine = "", ...flags] = process.argv.slice(2);
if (kind !== "etcd" && kind !== "redis") throw new Error(`no store ${kind}`);
await runShow({
  name: "demo-cluster",
  check: flags.includes("--check"),
  start: (how) => startCluster({ ...how, binaries: [binary, binary, binary], envoy, engine: { kind, binary: engine } }),
  proofs: claims(kind === "etcd" ? "etcd" : "Redis"),
  nextSteps: formatNextSteps,
  main: ({ nodes: [first] }) => first.weft.process(),
  secret: ["node-1", "node-2", "node-3", "etcd-1", "etcd-2", "etcd-3", "redis"],
});
