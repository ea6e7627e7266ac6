/** This weft's part in a mesh of several nodes, where its store is shared; what follows when it is removed. */
import { type NodeRemovedError, WeftError } from "../lib/errors.ts";
import type { Store } from "../store/store.ts";
import { Cluster, type ClusterOptions } from "./cluster.ts";

export interface OpenClusterOptions extends ClusterOptions {
  readonly store: Pick<Store, "readPrivate" | "writePrivate" | "onPrivate" | "standing">;
  /** Whether other nodes are to be served. */
  readonly wanted: boolean;
  /** When the node's certificate ends, seconds since the epoch; 0 while there is none. */
  readonly onCertificate: (ends: number) => void;
  /** This node was removed: it must serve nobody from now on. `forgotten` resolves when what it kept for workloads is deleted. */
  readonly onExpelled: (reason: NodeRemovedError, forgotten: Promise<void>) => void;
}

/** Undefined where weft is alone with its store. @throws NodeRemovedError, WeftError "invalid", "conflict" (it must join first), "unavailable" */
export async function openCluster(options: OpenClusterOptions): Promise<Cluster | undefined> {
  const { store, state, wanted, log, onExpelled } = options;
  if (!store.standing) {
    if (wanted)
      throw new WeftError("invalid", "--cluster serves the nodes that share a store, and this store is this weft's alone", {
        help: "give a shared one with --store, or leave out --cluster",
      });
    if (!state.joined) return undefined;
    throw new WeftError("invalid", `this data directory is that of node ${state.name} of a mesh, and this store is none that nodes share`, {
      help: "give the mesh's with --store",
    });
  }
  const cluster = await Cluster.open(options);
  const forget = () =>
    cluster
      .forget()
      .catch((reason) => log.warning(`the SVIDs that this node keeps could not be deleted: ${WeftError.from(reason).message}`));
  const { expelled } = cluster;
  if (expelled) {
    await forget();
    await cluster.close();
    throw expelled;
  }
  const { certificate } = cluster;
  const tellEnd = () => options.onCertificate((certificate.notAfter ?? 0) / 1_000);
  certificate.onRenewal(tellEnd);
  tellEnd();
  let isRemoved = false;
  let wasForgotten = false;
  const look = () => {
    const { expelled: reason, isForgotten } = cluster;
    if (isForgotten && !wasForgotten) {
      log.warning(
        `the shared store does not know this node, ${cluster.node}, nor that it was removed: it has lost writes, or is another one; ` +
          "the node serves on, and authorities certify nothing for it: it must join again, with weft node token, weft join and a new data directory",
      );
    }
    wasForgotten = isForgotten;
    if (!reason || isRemoved) return;
    isRemoved = true;
    onExpelled(reason, forget());
  };
  cluster.records.onChange(look);
  look();
  return cluster;
}
