/** The settings of `weft run` that are about this node among others. */
import { isNodeName } from "../lib/node-name.ts";

interface HostPort {
  readonly host: string;
  readonly port: number;
}

export interface ClusterSettings {
  /** This node's name; "" for the one that the data directory has, or the host's. */
  readonly node: string;
  /** Where an authority serves other nodes; null: nowhere. */
  readonly cluster: HostPort | null;
  /** HOST:PORT at which they reach it; "" where it listens. */
  readonly clusterAddress: string;
  /** All authorities are lost: this node becomes one. */
  readonly takeOver: boolean;
}

export const CLUSTER_VARIABLES: Readonly<Record<keyof ClusterSettings, string>> = {
  node: "WEFT_NODE",
  cluster: "WEFT_CLUSTER",
  clusterAddress: "WEFT_CLUSTER_ADDRESS",
  takeOver: "WEFT_TAKE_OVER",
};

type Pick = <T>(key: keyof ClusterSettings, fallback: string, read: (text: string) => T | undefined, expected: string) => T;

/** @throws WeftError "invalid" */
export function readClusterSettings(pick: Pick, parse: (text: string) => HostPort | undefined): ClusterSettings {
  const reachable = (text: string) => (text === "" || (parse(text)?.port ?? 0) > 0 ? text : undefined);
  return {
    node: pick(
      "node",
      "",
      (text) => (text === "" || isNodeName(text) ? text : undefined),
      "a name of lower-case letters, digits, - and ., such as edge-7",
    ),
    cluster: pick("cluster", "", (text) => (text === "" ? null : parse(text)), "ADDRESS:PORT"),
    clusterAddress: pick("clusterAddress", "", reachable, "HOST:PORT"),
    takeOver: pick("takeOver", "no", (text) => (text === "yes" ? true : text === "no" ? false : undefined), "yes or no"),
  };
}
