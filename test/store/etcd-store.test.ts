/** The contract of every store, kept by a node whose log is on three real etcd members. */
import { afterAll, describe } from "bun:test";
import { storeContract } from "./contract.ts";
import { engineIn, installEtcd, startEtcd } from "./etcd-cluster.ts";
import { replicaOver } from "./replica-harness.ts";

const binary = installEtcd();

if (binary === undefined) describe.skip("a node with a log in etcd", () => {});
else {
  const cluster = await startEtcd({ binary, members: 3 });
  afterAll(() => cluster.stop());
  storeContract(
    "replica over etcd",
    replicaOver(() => engineIn(cluster)),
  );
}
