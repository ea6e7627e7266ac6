/** One member of an etcd cluster: a gRPC connection to it that is made when it is needed and thrown away when it fails. */
import { type Client, ConnectError, createClient } from "@connectrpc/connect";
import { createGrpcTransport, Http2SessionManager } from "@connectrpc/connect-node";
import { Auth, KV, Lease, Maintenance, Watch } from "../../gen/etcd/rpc_pb.ts";
import type { Clock } from "../../lib/clock.ts";
import { readStoreFile } from "../shared/secret-files.ts";
import { says } from "./failure.ts";
import type { EtcdAddress } from "./url.ts";

export interface Session {
  readonly kv: Client<typeof KV>;
  readonly watch: Client<typeof Watch>;
  readonly lease: Client<typeof Lease>;
  readonly maintenance: Client<typeof Maintenance>;
  readonly auth: Client<typeof Auth>;
}

const CONNECT_MS = 2_000;
/** What was heard within it is as good as an answer. */
const FRESH_MS = 1_000;
/** A connection without a call on it, of those that were made to see who is there, is closed after it. */
const IDLE_MS = 60_000;

interface Open {
  readonly session: Session;
  readonly manager: Http2SessionManager;
  /** Of the connection that is there or on its way: resolves once etcd has answered over it. */
  proof?: Promise<void>;
}

export class Member {
  /** "10.0.0.1:2379" */
  readonly name: string;
  /** When it last answered, by the clock's monotonic time. */
  heardAt = Number.NEGATIVE_INFINITY;
  readonly #address: EtcdAddress;
  readonly #clock: Clock;
  #open: Open | undefined;
  #asking: Promise<void> | undefined;

  constructor(name: string, address: EtcdAddress, clock: Clock) {
    this.name = name;
    this.#address = address;
    this.#clock = clock;
  }

  /**
   * Connects where it is not connected; all who ask meanwhile wait for the same try. The certificate files are read anew for each connection: they may
   * have been renewed.
   * @throws what kept it from that within 2 s; WeftError "unavailable" where a file cannot be read
   */
  async connect(): Promise<Session> {
    this.#open ??= this.#create();
    const open = this.#open;
    const state = open.manager.state();
    if (state === "closed" || state === "error") open.proof = undefined;
    open.proof ??= this.#prove(open);
    const { proof } = open;
    try {
      await proof;
    } catch (reason) {
      // Who came between the end of this connection and now has begun another on the same session.
      if (open.proof === proof) this.discard(open.session);
      throw reason;
    }
    return open.session;
  }

  /** Whether the connection still works, where there is one: an answer shows in `heardAt`. */
  async ask(): Promise<void> {
    const open = this.#open;
    if (!open) return;
    this.#asking ??= this.#within(CONNECT_MS, (signal) => this.#heard(open.session, signal)).catch(() => {});
    await this.#asking;
    this.#asking = undefined;
  }

  /** Whether it can be reached; a connection over which it is silent is ended. */
  async look(): Promise<boolean> {
    try {
      const session = await this.connect();
      const since = this.#clock.monotonic() - FRESH_MS;
      if (this.heardAt < since) await this.ask();
      const isThere = this.heardAt >= since;
      if (!isThere) this.discard(session);
      return isThere;
    } catch {
      return false;
    }
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

  #create(): Open {
    const baseUrl = `${this.#address.tls ? "https" : "http"}://${this.name}`;
    const manager = new Http2SessionManager(
      baseUrl,
      { idleConnectionTimeoutMs: IDLE_MS },
      this.#address.tls ? tlsOptions(this.#address) : {},
    );
    const transport = createGrpcTransport({ baseUrl, sessionManager: manager });
    const session: Session = {
      kv: createClient(KV, transport),
      watch: createClient(Watch, transport),
      lease: createClient(Lease, transport),
      maintenance: createClient(Maintenance, transport),
      auth: createClient(Auth, transport),
    };
    return { session, manager };
  }

  #prove({ manager, session }: Open): Promise<void> {
    return this.#within(CONNECT_MS, async (signal) => {
      if ((await manager.connect()) === "error") throw manager.error() ?? new ConnectError("connection closed");
      // A port that is open may still be a proxy's that reaches nobody; what has been sent there could be anywhere.
      await this.#heard(session, signal);
    });
  }

  async #heard(session: Session, signal: AbortSignal): Promise<void> {
    await answers(session, signal);
    this.heardAt = this.#clock.monotonic();
  }

  async #within(milliseconds: number, work: (signal: AbortSignal) => Promise<void>): Promise<void> {
    const abort = new AbortController();
    const { promise: late, reject } = Promise.withResolvers<never>();
    const cancel = this.#clock.after(milliseconds, () => {
      reject(new Error(`no connection within ${milliseconds} ms`));
      abort.abort();
    });
    try {
      await Promise.race([work(abort.signal), late]);
    } finally {
      cancel();
    }
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
    ...(caFile === undefined ? {} : { ca: readStoreFile(caFile) }),
    ...(certificateFile === undefined ? {} : { cert: readStoreFile(certificateFile) }),
    ...(keyFile === undefined ? {} : { key: readStoreFile(keyFile) }),
  };
}
