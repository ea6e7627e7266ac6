/** What every proxy was sent, has accepted and has refused, for the control plane to tell. Bounded; knows no sockets. */
import type { Clock } from "../lib/clock.ts";
import type { EncodedResource, TypeUrl } from "../lib/encoded.ts";
import type { Provenance } from "../lib/provenance.ts";
import { LedgerEntry, type ProxyInfo } from "./ledger-entry.ts";
import type { Subscription } from "./subscription.ts";

export interface NackRecord {
  readonly revision: number;
  /** Version of the whole type that was refused. */
  readonly version: string;
  /** Milliseconds since the epoch. */
  readonly at: number;
  /** Envoy's own words. */
  readonly message: string;
  /** The refused resources that Envoy's words name, or all that the push brought; empty where it brought none. */
  readonly resources: readonly { readonly name: string; readonly version: string; readonly sources: readonly Provenance[] }[];
}

export type SyncStatus = "SYNCED" | "PENDING" | "NACKED";

/** Times are milliseconds since the epoch; versions are those of the whole type. */
export interface TypeRecord {
  readonly typeUrl: TypeUrl;
  readonly status: SyncStatus | "NOT_SUBSCRIBED";
  readonly sentRevision?: number;
  readonly sentVersion?: string;
  readonly sentAt?: number;
  /** The last revision of which the proxy has all that it wants of the type: also where that revision changed nothing for it. */
  readonly ackedRevision?: number;
  /** The last revision of which nothing is left to send, and nothing unanswered: all of it is accepted, or refused. */
  readonly settledRevision?: number;
  readonly ackedVersion?: string;
  readonly ackedAt?: number;
  readonly resources: number;
  /** The refusal that stands, until what replaced it was ACKed. */
  readonly nack?: NackRecord;
}

export interface ProxyRecord extends ProxyInfo {
  /** Milliseconds since the epoch; absent while the stream is there. Then the rest is what was known last. */
  readonly disconnectedAt?: number;
  /** The worst of its types. A proxy that has asked for nothing yet is PENDING. */
  readonly status: SyncStatus;
  /** One for each type that weft serves, in push order. */
  readonly types: readonly TypeRecord[];
}

export interface LedgerOptions {
  readonly clock: Clock;
  /** How long a proxy that left is remembered, milliseconds; one hour. A rotation of the CA waits for who is remembered, for an SVID's life. */
  readonly keepMs?: number;
  /** How many of those are remembered at most; 10,000. The oldest go first. */
  readonly keepCount?: number;
}

/** What the control plane reads. */
export interface LedgerReader {
  /** Sorted by id: all that are connected, and the last state of those that left and did not come back. */
  proxies(): readonly ProxyRecord[];
  /** Who is connected, by stream, without what each has: cheap. */
  connected(): readonly ProxyInfo[];
  /** The newest of that id, connected before disconnected. */
  proxy(proxyId: string): ProxyRecord | undefined;
  /** Of each connected stream of the proxy; empty where none is. */
  streams(proxyId: string): readonly ProxyRecord[];
  /** Whether every connected stream of the proxy has accepted this version of the resource; false where none is connected. */
  inForce(proxyId: string, typeUrl: TypeUrl, resourceName: string, version: string): boolean;
  /** Ids of the connected proxies that were given `name` and have not accepted this version of it; sorted. */
  lagging(typeUrl: TypeUrl, resourceName: string, version: string): readonly string[];
  /** The last revision that all types of all streams of the proxy are known to have; undefined where there is none. */
  ackedRevision(proxyId: string): number | undefined;
  /**
   * What the proxy was sent and still has, of all of its streams (an Envoy has one, or one for each secret), the newest first to say; empty where none
   * is connected. It holds private keys: redact.
   */
  resources(proxyId: string): readonly EncodedResource[];
}

export class Ledger implements LedgerReader {
  private readonly live = new Map<string, Set<LedgerEntry>>();
  private readonly left = new Map<string, ProxyRecord>();
  private readonly clock: Clock;
  private readonly keepMs: number;
  private readonly keepCount: number;

  constructor(options: LedgerOptions) {
    this.clock = options.clock;
    this.keepMs = options.keepMs ?? 3_600_000;
    this.keepCount = options.keepCount ?? 10_000;
  }

  /** A stream began. `subscription` gives the present state of a type, or undefined where the proxy did not ask for it. */
  open(info: Omit<ProxyInfo, "connectedAt">, subscription: (typeUrl: TypeUrl) => Subscription | undefined): LedgerEntry {
    const entry = new LedgerEntry({ ...info, connectedAt: this.clock.now() }, subscription, this.clock);
    const streams = this.live.get(info.id) ?? new Set();
    streams.add(entry);
    this.live.set(info.id, streams);
    this.left.delete(info.id);
    return entry;
  }

  /** The stream ended: its last state is kept, and nothing else of it. Idempotent. */
  close(entry: LedgerEntry): void {
    const { id } = entry.info;
    const streams = this.live.get(id);
    if (!streams?.delete(entry)) return;
    if (streams.size > 0) return;
    this.live.delete(id);
    this.left.set(id, { ...entry.record(), disconnectedAt: this.clock.now() });
    this.expire();
  }

  proxies(): readonly ProxyRecord[] {
    this.expire();
    const records = [...this.left.values()];
    for (const streams of this.live.values()) for (const entry of streams) records.push(entry.record());
    return records.sort((a, b) => (a.id < b.id ? -1 : a.id > b.id ? 1 : a.connectedAt - b.connectedAt));
  }

  connected(): readonly ProxyInfo[] {
    return [...this.live.values()].flatMap((streams) => [...streams].map(({ info }) => info));
  }

  proxy(proxyId: string): ProxyRecord | undefined {
    this.expire();
    return this.newest(proxyId)?.record() ?? this.left.get(proxyId);
  }

  streams(proxyId: string): readonly ProxyRecord[] {
    return [...(this.live.get(proxyId) ?? [])].map((entry) => entry.record());
  }

  inForce(proxyId: string, typeUrl: TypeUrl, resourceName: string, version: string): boolean {
    const streams = this.live.get(proxyId);
    if (!streams) return false;
    for (const entry of streams) if (!entry.inForce(typeUrl, resourceName, version)) return false;
    return true;
  }

  lagging(typeUrl: TypeUrl, resourceName: string, version: string): readonly string[] {
    const lags = ([, streams]: readonly [string, ReadonlySet<LedgerEntry>]) =>
      [...streams].some((entry) => entry.lags(typeUrl, resourceName, version));
    return [...this.live]
      .filter(lags)
      .map(([id]) => id)
      .sort();
  }

  ackedRevision(proxyId: string): number | undefined {
    let least: number | undefined;
    for (const entry of this.live.get(proxyId) ?? []) {
      const revision = entry.ackedRevision();
      if (revision === undefined) return undefined;
      least = Math.min(revision, least ?? revision);
    }
    return least;
  }

  resources(proxyId: string): readonly EncodedResource[] {
    const resources = [...(this.live.get(proxyId) ?? [])].flatMap((entry) => entry.resources());
    return [...new Map(resources.map((resource) => [`${resource.typeUrl} ${resource.name}`, resource])).values()];
  }

  private newest(proxyId: string): LedgerEntry | undefined {
    return [...(this.live.get(proxyId) ?? [])].at(-1);
  }

  private expire(): void {
    const now = this.clock.now();
    for (const [id, record] of this.left) {
      const old = now - (record.disconnectedAt ?? now) > this.keepMs;
      if (!old && this.left.size <= this.keepCount) break;
      this.left.delete(id);
    }
  }
}
