/** One member of an etcd cluster: a gRPC connection to it that is made when it is needed and thrown away when it fails. */
import { readFileSync } from "node:fs";
import { type Client, ConnectError, createClient } from "@connectrpc/connect";
import { createGrpcTransport, Http2SessionManager } from "@connectrpc/connect-node";
import { Auth, KV, Lease, Maintenance, Watch } from "../../gen/etcd/rpc_pb.ts";
import { WeftError } from "../../lib/errors.ts";
import { says } from "./failure.ts";
import type { EtcdAddress } from "./url.ts";

export interface Session {
  readonly kv: Client<typeof KV>;
  readonly watch: Client<typeof Watch>;
  readonly lease: Client<typeof Lease>;
  readonly maintenance: Client<typeof Maintenance>;
  readonly auth: Client<typeof Auth>;
  /** Resolves once it is connected, and etcd has answered over the connection. @throws what kept it from that */
  connect(signal: AbortSignal): Promise<void>;
}

export class Member {
  /** "10.0.0.1:2379" */
  readonly name: string;
  /** When it last answered, by the clock's monotonic time. */
  heardAt = Number.NEGATIVE_INFINITY;
  readonly #address: EtcdAddress;
  #open: { readonly session: Session; readonly manager: Http2SessionManager } | undefined;

  constructor(name: string, address: EtcdAddress) {
    this.name = name;
    this.#address = address;
  }

  /** The certificate files are read anew for each connection: they may have been renewed. @throws WeftError "unavailable" where one cannot be read */
  session(): Session {
    this.#open ??= this.#connect();
    return this.#open.session;
  }

  /** Ends `session`'s connection, with all calls on it, if it is this member's still. */
  discard(session: Session): void {
    if (this.#open?.session === session) this.close();
  }

  close(): void {
    const open = this.#open;
    this.#open = undefined;
    open?.manager.abort();
  }

  #connect() {
    const baseUrl = `${this.#address.tls ? "https" : "http"}://${this.name}`;
    const manager = new Http2SessionManager(baseUrl, {}, this.#address.tls ? tlsOptions(this.#address) : {});
    const transport = createGrpcTransport({ baseUrl, sessionManager: manager });
    const session: Session = {
      kv: createClient(KV, transport),
      watch: createClient(Watch, transport),
      lease: createClient(Lease, transport),
      maintenance: createClient(Maintenance, transport),
      auth: createClient(Auth, transport),
      async connect(signal) {
        if (manager.state() === "closed" || manager.state() === "error") proof = undefined;
        if ((await manager.connect()) === "error") throw manager.error() ?? new ConnectError("connection closed");
        // A port that is open may still be a proxy's that reaches nobody; what has been sent there could be anywhere.
        proof ??= answers(session, signal).catch((reason) => {
          proof = undefined;
          throw reason;
        });
        await proof;
      },
    };
    let proof: Promise<void> | undefined;
    return { session, manager };
  }
}

/** Asks what needs no rights. */
async function answers({ maintenance }: Session, signal: AbortSignal): Promise<void> {
  try {
    await maintenance.status({}, { signal });
  } catch (reason) {
    if (!says(reason, "etcdserver:")) throw reason;
  }
}

/** Reads the files that the address names. @throws WeftError "unavailable" naming the file */
export function tlsOptions(address: EtcdAddress): { ca?: string; cert?: string; key?: string } {
  const { caFile, certificateFile, keyFile } = address;
  return {
    ...(caFile === undefined ? {} : { ca: readText(caFile) }),
    ...(certificateFile === undefined ? {} : { cert: readText(certificateFile) }),
    ...(keyFile === undefined ? {} : { key: readText(keyFile) }),
  };
}

export function readText(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch (cause) {
    const said = cause instanceof Error ? cause.message : String(cause);
    throw new WeftError("unavailable", `the etcd store needs ${file}, which cannot be read: ${said}`, { cause });
  }
}
