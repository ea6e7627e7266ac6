/** Three nodes on one store, as a user makes them one mesh: the first founds it, the others join with a token of its. */
import { join } from "node:path";
import { joinMesh } from "../lab/join.ts";
import { formatAddress, type Network } from "../lab/network.ts";
import type { Processes } from "../lab/processes.ts";
import { startWeft, type Weft } from "../lab/weft.ts";

export interface Node {
  readonly name: string;
  readonly weft: Weft;
  /** Ends it in order, and goes on with another executable on the same data directory and addresses. */
  upgrade(binary: string): Promise<void>;
}

export interface NodesOptions {
  /** The executable of each. */
  readonly binaries: readonly [string, string, string];
  readonly directory: string;
  readonly network: Network;
  readonly processes: Processes;
  /** For --store. */
  readonly store: string;
}

export async function startNodes(options: NodesOptions): Promise<readonly [Node, Node, Node]> {
  const { network, binaries } = options;
  const address = network.nextAddress();
  const rpc = formatAddress({ address, port: await network.freePort(address) });
  const first = await startNode(options, "node-1", binaries[0], ["--cluster", rpc]);
  const join = async (name: string, binary: string) => {
    await joinMesh(first.weft, { binary, data: dataOf(options, name), node: name });
    return await startNode(options, name, binary);
  };
  return [first, await join("node-2", binaries[1]), await join("node-3", binaries[2])];
}

const dataOf = ({ directory }: NodesOptions, name: string) => join(directory, name);

async function startNode(options: NodesOptions, name: string, executable: string, more: readonly string[] = []): Promise<Node> {
  const { network, processes, store } = options;
  const address = network.nextAddress();
  const ads = { address, port: await network.freePort(address) };
  const flags = ["--node", name, "--store", store, ...more];
  const start = (binary: string) => startWeft({ binary, data: dataOf(options, name), processes, ads, name, flags });
  let weft = await start(executable);
  return {
    name,
    get weft() {
      return weft;
    },
    async upgrade(binary) {
      await weft.process().stop();
      weft = await start(binary);
    },
  };
}
