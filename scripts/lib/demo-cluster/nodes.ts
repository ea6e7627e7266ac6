/** Three nodes on one store, as a user makes them one mesh: the first founds it, the others join with a token of its. */
import { join } from "node:path";
import { formatAddress, type Network } from "../lab/network.ts";
import { cleanEnvironment, type Processes } from "../lab/processes.ts";
import { startWeft, type Weft } from "../lab/weft.ts";

export interface Node {
  readonly name: string;
  readonly weft: Weft;
}

export interface NodesOptions {
  readonly binary: string;
  readonly directory: string;
  readonly network: Network;
  readonly processes: Processes;
  /** For --store. */
  readonly store: string;
}

export async function startNodes(options: NodesOptions): Promise<readonly [Node, Node, Node]> {
  const { network } = options;
  const address = network.nextAddress();
  const rpc = formatAddress({ address, port: await network.freePort(address) });
  const first = await startNode(options, "node-1", ["--cluster", rpc]);
  return [first, await joinNode(options, "node-2", first), await joinNode(options, "node-3", first)];
}

/** Calls what `weft node token` prints, on an empty data directory; then runs. */
async function joinNode(options: NodesOptions, name: string, authority: Node): Promise<Node> {
  const { binary, directory } = options;
  const { code, stdout, stderr } = await authority.weft.cli(["node", "token", "--node", name]);
  const [weft, ...args] = stdout.trim().split(" ");
  if (code !== 0 || weft !== "weft") throw new Error(`weft node token said (exit ${code}): ${stdout}${stderr}`);
  const command = [binary, ...args, "--data", join(directory, name)];
  const child = Bun.spawn(command, { env: cleanEnvironment(), stdout: "pipe", stderr: "pipe", timeout: 30_000 });
  const [said, complaint, exit] = await Promise.all([new Response(child.stdout).text(), new Response(child.stderr).text(), child.exited]);
  if (exit !== 0) throw new Error(`weft join said (exit ${exit}): ${said}${complaint}`);
  return await startNode(options, name, []);
}

async function startNode(
  { binary, directory, network, processes, store }: NodesOptions,
  name: string,
  more: readonly string[],
): Promise<Node> {
  const address = network.nextAddress();
  const ads = { address, port: await network.freePort(address) };
  const flags = ["--node", name, "--store", store, ...more];
  return { name, weft: await startWeft({ binary, data: join(directory, name), processes, ads, name, flags }) };
}
