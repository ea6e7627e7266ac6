/**
 * What a node knows of itself, in the data directory: DATA/node.json (its name, and what it joined), DATA/node.key, DATA/node.crt (0600 all). The name does
 * not change by itself: workloads, certificates and the other nodes go by it.
 */
import { join } from "node:path";
import * as v from "valibot";
import { generateLeafKey, nodeDisk, readSecret, writeAtomically } from "../ca/index.ts";
import { nodeNameOfHost, parseNodeName } from "../cluster/node-name.ts";
import { WeftError } from "../lib/errors.ts";
import { isNodeName } from "../lib/node-name.ts";

const StateSchema = v.strictObject({
  name: v.pipe(v.string(), v.check(isNodeName)),
  /** Absent on a node that is no part of a mesh of several, or founded one. */
  joined: v.optional(v.strictObject({ trustDomain: v.string(), authority: v.boolean(), by: v.string(), at: v.string() })),
});

export type NodeState = Readonly<v.InferOutput<typeof StateSchema>>;

const fileOf = (dir: string) => join(dir, "node.json");
const keyOf = (dir: string) => join(dir, "node.key");
const certificateOf = (dir: string) => join(dir, "node.crt");

/** @throws WeftError "unavailable" naming the file and its mend */
export async function readNodeState(dir: string): Promise<NodeState | undefined> {
  const path = fileOf(dir);
  const text = await readSecret(nodeDisk, path, "the node's state");
  if (text === undefined) return undefined;
  try {
    return v.parse(StateSchema, JSON.parse(text));
  } catch (cause) {
    throw new WeftError("unavailable", `${path} is damaged: it does not say which node this is`, {
      help: "put it back from a backup; it holds no secret: look into it",
      cause,
    });
  }
}

export async function writeNodeState(dir: string, state: NodeState): Promise<void> {
  await writeAtomically(nodeDisk, fileOf(dir), `${JSON.stringify(state, null, 2)}\n`, 0o600);
}

/**
 * The node's state, with its name given and kept at the first start: `asked`, or the host's.
 * @throws WeftError "invalid" (no name for a node), "conflict" (the data directory is another node's), "unavailable"
 */
export async function openNodeState(
  dir: string,
  { asked, host }: { readonly asked: string | undefined; readonly host: string },
): Promise<NodeState> {
  const known = await readNodeState(dir);
  if (!known) {
    const state = { name: asked === undefined ? nodeNameOfHost(host) : parseNodeName(asked) };
    await writeNodeState(dir, state);
    return state;
  }
  if (asked === undefined || asked === known.name) return known;
  throw new WeftError(
    "conflict",
    `${dir} is that of node ${known.name}, and cannot become node ${asked}'s: workloads and other nodes know it by that name`,
    {
      help: `leave out --node, or start with another data directory`,
    },
  );
}

/** PKCS #8, PEM; made where there is none. @throws WeftError "unavailable" */
export async function openNodeKey(dir: string): Promise<string> {
  const known = await readSecret(nodeDisk, keyOf(dir), "the node's key");
  if (known !== undefined) return known;
  const { privateKeyPem } = generateLeafKey();
  await writeAtomically(nodeDisk, keyOf(dir), privateKeyPem, 0o600);
  return privateKeyPem;
}

/** The node's certificate and what stands above it, PEM; undefined where there is none yet. */
export const readNodeCertificate = (dir: string): Promise<string | undefined> =>
  readSecret(nodeDisk, certificateOf(dir), "the node's certificate");

export const writeNodeCertificate = (dir: string, chainPem: string): Promise<void> =>
  writeAtomically(nodeDisk, certificateOf(dir), chainPem, 0o600);
