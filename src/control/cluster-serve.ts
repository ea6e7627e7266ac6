/** An authority's node-to-node RPC: listens as soon as this node has a certificate to serve with, and ends the connections of nodes that are removed. */
import { hostname } from "node:os";
import { createClusterServer } from "../cluster/server.ts";
import type { Clock } from "../lib/clock.ts";
import { WeftError } from "../lib/errors.ts";
import type { Mesh } from "../mesh/types.ts";
import type { AuditTrail } from "./audit-trail.ts";
import type { Cluster } from "./cluster.ts";
import { ClusterCalls } from "./cluster-calls.ts";
import type { ClusterStore } from "./cluster-records.ts";

export interface ClusterServeOptions {
  readonly cluster: Cluster | undefined;
  /** Undefined: nowhere. */
  readonly listen: { readonly host: string; readonly port: number } | undefined;
  /** HOST:PORT at which others reach it; "" is where it listens, by this host's name where that is every address. */
  readonly advertise: string;
  readonly trustDomain: string;
  readonly store: ClusterStore;
  readonly sealKey: Uint8Array;
  readonly mesh: () => Mesh | undefined;
  readonly reached: (revision: number, signal: AbortSignal) => Promise<void>;
  readonly audit: Pick<AuditTrail, "refused">;
  readonly clock: Clock;
}

const WILDCARDS = new Set(["0.0.0.0", "::"]);
const DRAIN_MS = 1_000;

/** Undefined where no other nodes are served. @throws WeftError "invalid" (this node is no authority), "unavailable" (no certificate, the port is taken) */
export async function serveCluster(
  options: ClusterServeOptions,
): Promise<{ readonly host: string; readonly port: number; close(): Promise<void> } | undefined> {
  const { cluster, listen, advertise, audit, clock } = options;
  if (!cluster || !listen) {
    cluster?.serveAt("");
    return undefined;
  }
  const { local, records, certificate } = cluster;
  if (!local) {
    throw new WeftError("invalid", `node ${cluster.node} is no authority: there is nothing that it could sign for others`, {
      help: "leave out --cluster; a further authority joins with a token of weft node token --authority",
    });
  }
  if (!certificate.presented()) {
    throw new WeftError(
      "unavailable",
      `this authority has no certificate to serve with: ${certificate.trouble?.message ?? "none was signed"}`,
      {
        help: "another authority must be reachable until this one signs: weft nodes lists them",
      },
    );
  }
  const signs = (type: "x509" | "jwt") => cluster.signs(type);
  const server = createClusterServer({
    calls: new ClusterCalls({ ...options, records, local, signs }),
    bundle: () => cluster.trust.bundle(),
    certificate,
    clock,
    refused: ({ call, who, from, reason }) =>
      audit.refused({ who, from: `cluster ${from.replace(/:\d*$/, "")}`, action: call, targets: [], reason }),
  });
  const bound = await server.listen(listen);
  const stop = records.onChange(() => {
    server.endNodes((node) => records.removed.has(node) && !records.nodes.has(node));
  });
  const host = WILDCARDS.has(bound.host) ? hostname() : bound.host;
  cluster.serveAt(advertise || `${host.includes(":") ? `[${host}]` : host}:${bound.port}`);
  return {
    ...bound,
    async close() {
      stop();
      await server.close(DRAIN_MS);
    },
  };
}
