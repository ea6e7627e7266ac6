/**
 * A proxy without an Envoy: one ADS stream on a connection of its own, which asks for what Envoy asks for, keeps what it is sent, and ACKs
 * all of it. Cheap, so that there can be many.
 */
import { create, fromBinary } from "@bufbuild/protobuf";
import { ConnectError, createClient } from "@connectrpc/connect";
import { createGrpcTransport, Http2SessionManager } from "@connectrpc/connect-node";
import {
  AggregatedDiscoveryService,
  type DeltaDiscoveryRequest,
  DeltaDiscoveryRequestSchema,
  type DeltaDiscoveryResponse,
  ResourceSchema,
} from "../../../src/gen/weft/ads/v1/discovery_pb.ts";
import { TYPE } from "../../../src/lib/encoded.ts";
import { type Reference, referencesOf, WILDCARD } from "./references.ts";

interface Held {
  readonly version: string;
  readonly references: readonly Reference[];
}

/** By type URL, then name. */
export type Versions = ReadonlyMap<string, ReadonlyMap<string, string>>;

export interface StreamOptions {
  /** "HOST:PORT" of ADS. */
  readonly ads: string;
  readonly token: string;
  /** Node.id: "ns/name". */
  readonly node: string;
  /** What it says its Envoy is: "1.40.0". */
  readonly envoyVersion: string;
}

/** What every Envoy asks for at first. */
const FIRST = [TYPE.cluster, TYPE.listener];

export class Stream {
  readonly node: string;
  /** Why it ended; undefined while it is open or after close(). */
  failure: string | undefined;
  /** Responses. */
  responses = 0;
  readonly #held = new Map<string, Map<string, Held>>();
  /** By type URL; "*" among them for all. */
  readonly #wanted = new Map<string, Set<string>>();
  readonly #requests: DeltaDiscoveryRequest[] = [];
  readonly #manager: Http2SessionManager;
  readonly #abort = new AbortController();
  #wake: (() => void) | undefined;
  #closed = false;
  #first = true;
  readonly #options: StreamOptions;
  readonly #done: Promise<void>;

  constructor(options: StreamOptions) {
    this.#options = options;
    this.node = options.node;
    const baseUrl = `http://${options.ads}`;
    this.#manager = new Http2SessionManager(baseUrl, {}, {});
    for (const typeUrl of FIRST) {
      this.#wanted.set(typeUrl, new Set([WILDCARD]));
      this.#send(typeUrl, { resourceNamesSubscribe: [WILDCARD] });
    }
    this.#done = this.#run(createGrpcTransport({ baseUrl, sessionManager: this.#manager }));
  }

  /** The versions that it holds. */
  versions(): Versions {
    return new Map([...this.#held].map(([type, all]) => [type, new Map([...all].map(([name, { version }]) => [name, version]))]));
  }

  /** Names that it asked for and was never sent. */
  missing(): readonly string[] {
    const all = [...this.#wanted].flatMap(([type, names]) => [...names].map((name) => ({ type, name })));
    return all.flatMap(({ type, name }) => (name === WILDCARD || this.#held.get(type)?.has(name) ? [] : [`${type} ${name}`]));
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#wake?.();
    this.#abort.abort();
    this.#manager.abort();
    await this.#done;
  }

  async #run(transport: ReturnType<typeof createGrpcTransport>): Promise<void> {
    const headers = { authorization: `Bearer ${this.#options.token}` };
    const client = createClient(AggregatedDiscoveryService, transport);
    try {
      for await (const response of client.deltaAggregatedResources(this.#outgoing(), { headers, signal: this.#abort.signal }))
        this.#take(response);
      if (!this.#closed) this.failure = "weft ended the stream";
    } catch (reason) {
      if (!this.#closed) this.failure = ConnectError.from(reason).message;
    }
  }

  async *#outgoing(): AsyncGenerator<DeltaDiscoveryRequest> {
    while (!this.#closed) {
      const next = this.#requests.shift();
      if (next) yield next;
      else await new Promise<void>((resolve) => (this.#wake = resolve));
    }
  }

  #send(typeUrl: string, fields: Partial<Omit<DeltaDiscoveryRequest, "$typeName" | "node">>): void {
    const node = this.#first ? { id: this.node, ...agent(this.#options.envoyVersion) } : undefined;
    this.#first = false;
    this.#requests.push(create(DeltaDiscoveryRequestSchema, { typeUrl, ...(node ? { node } : {}), ...fields }));
    this.#wake?.();
  }

  #take({ typeUrl, nonce, resources, removedResources }: DeltaDiscoveryResponse): void {
    this.responses += 1;
    const held = this.#held.get(typeUrl) ?? new Map<string, Held>();
    this.#held.set(typeUrl, held);
    for (const name of removedResources) held.delete(name);
    for (const bytes of resources) {
      const { name, version, resource } = fromBinary(ResourceSchema, bytes);
      // Sent before weft read that it is not wanted any more.
      const wanted = this.#wanted.get(typeUrl);
      if (!wanted?.has(WILDCARD) && !wanted?.has(name)) continue;
      held.set(name, { version, references: namesOthers(typeUrl) ? referencesOf(resource) : [] });
    }
    this.#send(typeUrl, { responseNonce: nonce });
    if (namesOthers(typeUrl)) this.#follow();
  }

  /** Asks for what the resources name now, and lets go of what none names any more. */
  #follow(): void {
    const named = new Map<string, Set<string>>(FIRST.map((typeUrl) => [typeUrl, new Set([WILDCARD])]));
    for (const all of this.#held.values()) {
      for (const { references } of all.values()) {
        for (const { typeUrl, name } of references) named.set(typeUrl, (named.get(typeUrl) ?? new Set()).add(name));
      }
    }
    for (const typeUrl of new Set([...named.keys(), ...this.#wanted.keys()])) {
      const [before, after] = [this.#wanted.get(typeUrl) ?? new Set<string>(), named.get(typeUrl) ?? new Set<string>()];
      const resourceNamesSubscribe = [...after.difference(before)];
      const resourceNamesUnsubscribe = [...before.difference(after)];
      if (resourceNamesSubscribe.length + resourceNamesUnsubscribe.length === 0) continue;
      for (const name of resourceNamesUnsubscribe) this.#held.get(typeUrl)?.delete(name);
      this.#wanted.set(typeUrl, after);
      this.#send(typeUrl, { resourceNamesSubscribe, resourceNamesUnsubscribe });
    }
  }
}

/** Secrets and endpoints name nothing, and are most of what comes. */
const namesOthers = (typeUrl: string) => typeUrl !== TYPE.secret && typeUrl !== TYPE.endpoint;

function agent(envoyVersion: string) {
  const [majorNumber = 0, minorNumber = 0, patch = 0] = envoyVersion.split(".").map(Number);
  const value = { version: { majorNumber, minorNumber, patch } };
  return { userAgentName: "envoy", userAgentVersionType: { case: "userAgentBuildVersion" as const, value } };
}
