/** Puts weft into its own mesh: its documents, and the door for its sidecar. */
import { resolve } from "node:path";
import type { AdminServer } from "../admin/index.ts";
import { WeftError } from "../lib/errors.ts";
import { ownPlace } from "./own-documents.ts";
import { OwnWorkload, type OwnWorkloadOptions } from "./own-workload.ts";
import { openServerCertificate, type ServerCertificateOptions } from "./server-certificate.ts";

export interface OpenOwnOptions extends Omit<OwnWorkloadOptions, "place">, ServerCertificateOptions {
  readonly data: string;
  /** Where its sidecar takes calls; undefined: it is in no mesh. */
  readonly inMesh: { readonly host: string; readonly port: number } | undefined;
  /** "HOST:PORT" of the node-to-node RPC; "" where that is off. */
  readonly rpcAddress: string;
  /** Where weft itself listens on TCP. */
  readonly taken: readonly ({ readonly host: string; readonly port: number } | undefined)[];
  readonly admin: Pick<AdminServer, "listen">;
}

export interface OpenedOwn {
  readonly workload: OwnWorkload;
  /** Of the door; undefined where there is none. */
  readonly socket?: string;
  close(): Promise<void>;
}

/** @throws WeftError "invalid": its sidecar could not be there */
export function openOwn(options: OpenOwnOptions): OpenedOwn {
  const { data, node, inMesh, rpcAddress, taken } = options;
  const socket = resolve(data, "mesh.sock");
  const [, port] = /:(\d+)$/.exec(rpcAddress) ?? [];
  const rpcPort = port === undefined ? undefined : Number(port);
  const place = inMesh && ownPlace({ node, address: inMesh.host, port: inMesh.port, socket, rpcPort }, taken);
  const workload = new OwnWorkload({ ...options, place });
  workload.follow();
  const door = place && openDoor(socket, options, workload);
  return {
    workload,
    ...(place ? { socket } : {}),
    async close() {
      door?.close();
      await workload.close();
    },
  };
}

/** As soon as there is a certificate to serve with: where the authorities are away that may be later, and nothing else waits for it. */
function openDoor(path: string, { admin, svids, authority, clock, log }: OpenOwnOptions, workload: OwnWorkload): { close(): void } {
  let closed = false;
  let close = () => {};
  const open = async () => {
    workload.shut = "its sidecar cannot reach it before weft has a certificate";
    const certificate = await openServerCertificate({ svids, authority, clock });
    close = () => certificate.close();
    if (closed) close();
    else await admin.listen({ path, mode: 0o600, tls: certificate });
    workload.shut = undefined;
  };
  open().catch((reason) => {
    workload.shut = `its sidecar cannot reach it: ${WeftError.from(reason).message}`;
    log.warning(`weft's own workload: ${workload.shut}`);
  });
  return {
    close() {
      closed = true;
      close();
    },
  };
}
