/** The shared log and the board on a real etcd of one member; what happens to three is in etcd-cluster.test.ts. */
import { afterAll, describe } from "bun:test";
import { type Cluster, engineIn, installEtcd, startEtcd } from "./etcd-cluster.ts";
import { logContract } from "./log-contract.ts";

const binary = installEtcd();

if (binary === undefined) describe.skip("etcd", () => {});
else {
  const cluster: Cluster = await startEtcd({ binary });
  afterAll(() => cluster.stop());
  logContract("etcd", () => engineIn(cluster));
}
