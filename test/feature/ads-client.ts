/** A small xDS client over a real HTTP/2 connection: it keeps what it is sent, and ACKs, refuses or withholds as the test says. */
import { connect } from "node:net";
import type { ConnectionOptions } from "node:tls";
import { create, fromBinary, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { AnySchema } from "@bufbuild/protobuf/wkt";
import { ConnectError, createClient } from "@connectrpc/connect";
import { createGrpcTransport, Http2SessionManager } from "@connectrpc/connect-node";
import { NodeSchema } from "../../src/gen/envoy/config/core/v3/base_pb.ts";
import {
  AggregatedDiscoveryService,
  DeltaDiscoveryRequestSchema,
  type DeltaDiscoveryResponse,
  DeltaDiscoveryResponseSchema,
  DiscoveryRequestSchema,
  type DiscoveryResponse,
  DiscoveryResponseSchema,
  ResourceSchema,
} from "../../src/gen/weft/ads/v1/discovery_pb.ts";

export type Target = { readonly address: string; readonly port: number; readonly tls?: ConnectionOptions } | { readonly path: string };

/** How long a test waits for what must come, milliseconds. */
const PATIENCE_MS = 20_000;

export interface Received {
  readonly typeUrl: string;
  readonly nonce: string;
  readonly version: string;
  /** Name to content, "name=content" without the name, see resources.ts. */
  readonly resources: ReadonlyMap<string, string>;
  /** The resources' own bytes, for a client of a weft that sends real ones. */
  readonly bodies: readonly Uint8Array[];
  readonly versions: ReadonlyMap<string, string>;
  readonly removed: readonly string[];
  /** The message's, without its frame. */
  readonly bytes: number;
}

class Queue<T> implements AsyncIterable<T> {
  private readonly items: T[] = [];
  private wake: (() => void) | undefined;
  private done = false;

  push(item: T): void {
    this.items.push(item);
    this.wake?.();
  }

  end(): void {
    this.done = true;
    this.wake?.();
  }

  async *[Symbol.asyncIterator]() {
    for (;;) {
      const item = this.items.shift();
      if (item !== undefined) yield item;
      else if (this.done) return;
      else await new Promise<void>((resolve) => (this.wake = resolve));
    }
  }
}

export interface ClientOptions {
  readonly token?: string;
  readonly node?: string;
  /** What a delta client says that it is, "1.40.0". */
  readonly envoyVersion?: string;
}

abstract class AdsClient<Request, Response> {
  readonly responses: Received[] = [];
  /** Set when the stream is over: an error, or null where it ended well. */
  ended: ConnectError | null | undefined;
  /** Whether a GOAWAY came. */
  goaway = false;
  protected readonly requests = new Queue<Request>();
  private taken = 0;
  private readonly changed = new Set<() => void>();
  private readonly manager: Http2SessionManager;
  private readonly abort = new AbortController();

  constructor(target: Target, options: ClientOptions) {
    const isTls = "tls" in target && target.tls !== undefined;
    const base = "path" in target ? "http://localhost" : `${isTls ? "https" : "http"}://${target.address}:${target.port}`;
    const how = "path" in target ? { createConnection: () => connect(target.path) } : { ...target.tls };
    this.manager = new Http2SessionManager(base, {}, how);
    const transport = createGrpcTransport({ baseUrl: base, sessionManager: this.manager });
    const headers: Record<string, string> = options.token === undefined ? {} : { authorization: `Bearer ${options.token}` };
    void this.run(createClient(AggregatedDiscoveryService, transport), headers);
  }

  protected abstract open(
    client: ReturnType<typeof createClient<typeof AggregatedDiscoveryService>>,
    headers: Record<string, string>,
    signal: AbortSignal,
  ): AsyncIterable<Response>;
  protected abstract understand(response: Response): Received;

  private async run(client: ReturnType<typeof createClient<typeof AggregatedDiscoveryService>>, headers: Record<string, string>) {
    try {
      for await (const response of this.open(client, headers, this.abort.signal)) {
        this.responses.push(this.understand(response));
        this.tell();
      }
      this.ended = null;
    } catch (reason) {
      this.ended = ConnectError.from(reason);
    }
    this.tell();
  }

  private tell(): void {
    for (const changed of this.changed) changed();
  }

  /** Waits until `what` gives something other than undefined. */
  async until<T>(what: () => T | undefined, name: string, patienceMs = PATIENCE_MS): Promise<T> {
    const deadline = Date.now() + patienceMs;
    for (;;) {
      const value = what();
      if (value !== undefined) return value;
      if (Date.now() > deadline)
        throw new Error(`waited in vain for ${name}; got ${JSON.stringify(this.responses.slice(-3))}, ended ${this.ended}`);
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, 20);
        this.changed.add(() => {
          clearTimeout(timer);
          resolve();
        });
      });
      this.changed.clear();
    }
  }

  /** The next response, in order; those of other types must not come before it. */
  async next(typeUrl?: string): Promise<Received> {
    const response = await this.until(
      () => this.responses[this.taken] ?? (this.ended === undefined ? undefined : this.fail()),
      "a response",
    );
    this.taken += 1;
    if (typeUrl !== undefined && response.typeUrl !== typeUrl) throw new Error(`expected ${typeUrl}, got ${response.typeUrl}`);
    return response;
  }

  private fail(): never {
    throw this.ended ?? new Error("the stream ended");
  }

  /** How many responses nobody has looked at. */
  get unread(): number {
    return this.responses.length - this.taken;
  }

  end(): Promise<ConnectError | null> {
    return this.until(() => this.ended, "the end of the stream");
  }

  /** Half-closes: no more requests. */
  finish(): void {
    this.requests.end();
  }

  close(): void {
    this.requests.end();
    this.abort.abort();
    this.manager.abort();
  }
}

type DeltaFields = Omit<MessageInitShape<typeof DeltaDiscoveryRequestSchema>, "$typeName">;
type SotwFields = Omit<MessageInitShape<typeof DiscoveryRequestSchema>, "$typeName">;

export class DeltaClient extends AdsClient<ReturnType<typeof create<typeof DeltaDiscoveryRequestSchema>>, DeltaDiscoveryResponse> {
  private readonly node: MessageInitShape<typeof NodeSchema>;
  private first = true;

  constructor(target: Target, options: ClientOptions = {}) {
    super(target, options);
    const { node: id = "test-node", envoyVersion } = options;
    this.node = envoyVersion === undefined ? { id } : { id, userAgentVersionType: { case: "userAgentVersion", value: envoyVersion } };
  }

  send(typeUrl: string, fields: DeltaFields = {}): void {
    const node = this.first ? create(NodeSchema, this.node) : undefined;
    this.first = false;
    this.requests.push(create(DeltaDiscoveryRequestSchema, { typeUrl, node, ...fields }));
  }

  subscribe(typeUrl: string, ...names: string[]): void {
    this.send(typeUrl, { resourceNamesSubscribe: names });
  }

  ack(response: Received): void {
    this.send(response.typeUrl, { responseNonce: response.nonce });
  }

  nack(response: Received, message: string): void {
    this.send(response.typeUrl, { responseNonce: response.nonce, errorDetail: { code: 13, message } });
  }

  /** The next response, ACKed. */
  async take(typeUrl?: string): Promise<Received> {
    const response = await this.next(typeUrl);
    this.ack(response);
    return response;
  }

  /** Proves that nothing more was to come: asks for what does not exist, and takes the answer, which must be the next one. */
  async nothingElse(): Promise<void> {
    const probe = `probe-${this.responses.length}`;
    const typeUrl = "type.googleapis.com/weft.test.Probe";
    this.send(typeUrl, { resourceNamesSubscribe: [probe] });
    const answer = await this.next();
    if (!answer.removed.includes(probe))
      throw new Error(`expected nothing, got ${JSON.stringify({ ...answer, resources: [...answer.resources] })}`);
    this.ack(answer);
  }

  protected open(
    client: ReturnType<typeof createClient<typeof AggregatedDiscoveryService>>,
    headers: Record<string, string>,
    signal: AbortSignal,
  ) {
    return client.deltaAggregatedResources(this.requests, { headers, signal });
  }

  protected understand(response: DeltaDiscoveryResponse): Received {
    const resources = response.resources.map((bytes) => fromBinary(ResourceSchema, bytes));
    return {
      typeUrl: response.typeUrl,
      nonce: response.nonce,
      version: response.systemVersionInfo,
      resources: new Map(resources.map(({ resource }) => content(resource))),
      bodies: resources.map(({ resource }) => fromBinary(AnySchema, resource).value),
      versions: new Map(resources.map(({ name, version }) => [name, version])),
      removed: response.removedResources,
      bytes: toBinary(DeltaDiscoveryResponseSchema, response).length,
    };
  }
}

export class SotwClient extends AdsClient<ReturnType<typeof create<typeof DiscoveryRequestSchema>>, DiscoveryResponse> {
  private readonly node: string;
  private first = true;

  constructor(target: Target, options: ClientOptions = {}) {
    super(target, options);
    this.node = options.node ?? "test-node";
  }

  send(typeUrl: string, fields: SotwFields = {}): void {
    const node = this.first ? { id: this.node } : undefined;
    this.first = false;
    this.requests.push(create(DiscoveryRequestSchema, { typeUrl, node, ...fields }));
  }

  ack(response: Received, ...resourceNames: string[]): void {
    this.send(response.typeUrl, { versionInfo: response.version, responseNonce: response.nonce, resourceNames });
  }

  nack(response: Received, message: string, ...resourceNames: string[]): void {
    this.send(response.typeUrl, { responseNonce: response.nonce, resourceNames, errorDetail: { code: 13, message } });
  }

  protected open(
    client: ReturnType<typeof createClient<typeof AggregatedDiscoveryService>>,
    headers: Record<string, string>,
    signal: AbortSignal,
  ) {
    return client.streamAggregatedResources(this.requests, { headers, signal });
  }

  protected understand(response: DiscoveryResponse): Received {
    return {
      typeUrl: response.typeUrl,
      nonce: response.nonce,
      version: response.versionInfo,
      resources: new Map(response.resources.map(content)),
      bodies: response.resources.map((any) => fromBinary(AnySchema, any).value),
      versions: new Map(),
      removed: [],
      bytes: toBinary(DiscoveryResponseSchema, response).length,
    };
  }
}

function content(any: Uint8Array): [string, string] {
  const text = new TextDecoder().decode(fromBinary(AnySchema, any).value);
  const at = text.indexOf("=");
  return [text.slice(0, at), text.slice(at + 1)];
}
