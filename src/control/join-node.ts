/** `weft join`: makes a data directory one of a node of the mesh. */
import { existsSync } from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import { writeSealKey } from "../ca/index.ts";
import { joinMesh } from "../cluster/join.ts";
import { nodeNameOfHost, parseNodeName } from "../cluster/node-name.ts";
import type { Clock } from "../lib/clock.ts";
import { WeftError } from "../lib/errors.ts";
import { lockDirectory } from "../lib/lock.ts";
import { pemOfCertificates } from "./node-certificate.ts";
import { openNodeKey, readNodeState, writeNodeCertificate, writeNodeState } from "./node-file.ts";

export interface JoinNodeOptions {
  readonly data: string;
  /** HOST:PORT of an authority's node-to-node RPC. */
  readonly address: string;
  readonly token: string;
  /** The host's where absent, or the one that the data directory has. */
  readonly node?: string;
  readonly trustDomain?: string;
  readonly clock: Clock;
}

export interface JoinedNode {
  readonly node: string;
  readonly trustDomain: string;
  readonly authority: boolean;
  /** The authority that let it in. */
  readonly by: string;
}

/** @throws WeftError: "conflict" (the directory is in use, or another mesh's), and those of joinMesh */
export async function joinNode({ data, address, token, node: asked, trustDomain, clock }: JoinNodeOptions): Promise<JoinedNode> {
  const unlock = await lockDirectory(data);
  try {
    const known = await readNodeState(data);
    const help = "join with an empty data directory (--data DIR)";
    if (known?.joined)
      throw new WeftError(
        "conflict",
        `the data directory ${data} is that of node ${known.name} of a mesh of trust domain ${known.joined.trustDomain} already`,
        { help },
      );
    // Its workloads trust roots that the mesh does not know.
    if (["journal.json", "ca-key.pem"].some((name) => existsSync(join(data, "ca", name))))
      throw new WeftError("conflict", `${data} has a CA of its own: a mesh has those of its authorities only`, { help });
    const node = asked === undefined ? (known?.name ?? nodeNameOfHost(hostname())) : parseNodeName(asked);
    const keyPem = await openNodeKey(data);
    const joined = await joinMesh({ address, token, node, keyPem, clock, ...(trustDomain === undefined ? {} : { trustDomain }) });
    await writeSealKey(data, joined.sealKey);
    await writeNodeCertificate(data, pemOfCertificates(joined.certificates));
    // Last: with it the directory is a node's.
    const at = new Date(clock.now()).toISOString();
    const { authority, by } = joined;
    await writeNodeState(data, { name: node, joined: { trustDomain: joined.trustDomain, authority, by, at } });
    return { node, trustDomain: joined.trustDomain, authority, by };
  } finally {
    unlock();
  }
}
