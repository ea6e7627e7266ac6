/** The admin API at its doors, that of weft's own sidecar among them. */
import { join } from "node:path";
import type { ControlPlane } from "../admin/control-plane.ts";
import { createAdminServer } from "../admin/index.ts";
import type { Metrics } from "../telemetry/metrics.ts";
import type { Attestation } from "./attestation.ts";
import type { Cluster } from "./cluster.ts";
import type { Identity } from "./identity.ts";
import { hostPort } from "./listening.ts";
import { openOwn } from "./own-open.ts";
import type { OwnWorkload, OwnWorkloadOptions } from "./own-workload.ts";
import { type ServerCertificateKeeper, weftSpiffeId } from "./server-certificate.ts";
import type { Listening, StartOptions } from "./start-options.ts";

type Place = { readonly host: string; readonly port: number };

export interface OpenAdminOptions
  extends Pick<StartOptions, "data" | "admin" | "adminTls" | "adminHosts" | "adminPrincipals" | "inMesh" | "trustDomain" | "version">,
    Omit<OwnWorkloadOptions, "place" | "isRemoved">,
    Pick<Identity, "svids" | "authority"> {
  readonly control: ControlPlane;
  readonly adminToken: { matches(presented: string): boolean };
  readonly metrics: Metrics;
  readonly attestation: Attestation;
  /** Of its door with TLS; undefined where there is none. */
  readonly certificate: ServerCertificateKeeper | undefined;
  readonly cluster: Cluster | undefined;
  /** Where the node-to-node RPC listens. */
  readonly rpc: Place | undefined;
}

export interface OpenedAdmin {
  readonly own: OwnWorkload;
  readonly bound: Pick<Listening, "admin" | "admin_socket" | "admin_tls" | "in_mesh" | "in_mesh_socket">;
}

/** `onClose` is told of what must be closed, also where a later door cannot be opened. @throws WeftError "unavailable", "invalid" */
export async function openAdmin(options: OpenAdminOptions, onClose: (closer: () => unknown) => void): Promise<OpenedAdmin> {
  const { data, trustDomain, attestation, certificate, cluster, rpc } = options;
  const inMesh = options.inMesh ?? undefined;
  const admin = createAdminServer({
    ...options,
    identify: (certificates) => attestation.identify(certificates),
    ownSpiffeId: weftSpiffeId(trustDomain),
  });
  onClose(() => admin.close());
  const address = await admin.listen(options.admin);
  const socket = join(data, "admin.sock");
  await admin.listen({ path: socket, mode: 0o600 });
  const tls = options.adminTls && certificate ? await admin.listen({ ...options.adminTls, tls: certificate }) : undefined;
  const own = openOwn({
    ...options,
    inMesh,
    rpcAddress: cluster?.address ?? "",
    taken: [address, tls, rpc],
    admin,
    isRemoved: () => cluster?.expelled !== undefined,
  });
  onClose(() => own.close());
  return {
    own: own.workload,
    bound: {
      admin: hostPort(address),
      admin_socket: socket,
      ...(tls ? { admin_tls: hostPort(tls) } : {}),
      ...(inMesh && own.socket ? { in_mesh: hostPort(inMesh), in_mesh_socket: own.socket } : {}),
    },
  };
}
