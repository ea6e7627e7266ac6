/** One stream's part of the ledger. */
import type { Clock } from "../lib/clock.ts";
import type { EncodedResource, TypeUrl } from "../lib/encoded.ts";
import type { NackRecord, ProxyRecord, SyncStatus, TypeRecord } from "./ledger.ts";
import { isTypeUrl, ORDER } from "./order.ts";
import type { Answer, Push } from "./push.ts";
import type { Subscription } from "./subscription.ts";

export interface ProxyInfo {
  /** "ns/name" of the workload. */
  readonly id: string;
  /** Envoy's node.id: what it says of itself, no proof of anything. */
  readonly node: string;
  /** "1.40.0", or "" where it does not say. */
  readonly envoyVersion: string;
  /** Envoy's node.metadata, a JSON object: likewise what it says of itself. Absent where it is too long to keep. */
  readonly metadata?: unknown;
  readonly protocol: "delta" | "sotw";
  readonly address: string;
  readonly transport?: "tcp" | "unix" | "tls";
  /** Milliseconds since the epoch. */
  readonly connectedAt: number;
}

type Nack = Extract<Answer, { kind: "nack" }>;
interface Refused {
  readonly resource: NackRecord["resources"][number];
  readonly nack: NackRecord;
}

interface TypeState {
  sent?: { readonly push: Pick<Push, "revision" | "version">; readonly at: number };
  acked?: { readonly version: string; readonly at: number };
  /** The last refusal, and each refused resource with the refusal that was about it. */
  nack?: NackRecord;
  readonly refused: Map<string, Refused>;
}

export class LedgerEntry {
  readonly info: ProxyInfo;
  private readonly subscription: (typeUrl: TypeUrl) => Subscription | undefined;
  private readonly clock: Clock;
  private readonly types = new Map<TypeUrl, TypeState>();

  constructor(info: ProxyInfo, subscription: (typeUrl: TypeUrl) => Subscription | undefined, clock: Clock) {
    this.info = info;
    this.subscription = subscription;
    this.clock = clock;
  }

  sent(push: Push): void {
    const { revision, version } = push;
    const state = this.state(push.typeUrl);
    if (state) state.sent = { push: { revision, version }, at: this.clock.now() };
  }

  acked(push: Push): void {
    const state = this.state(push.typeUrl);
    if (state) state.acked = { version: push.version, at: this.clock.now() };
  }

  nacked({ push, message, blamed }: Nack): void {
    const state = this.state(push.typeUrl);
    if (!state) return;
    const byName = new Map(push.resources.map((resource) => [resource.name, resource]));
    const resources = blamed.map((name) => ({ name, version: byName.get(name)?.version ?? "", sources: byName.get(name)?.sources ?? [] }));
    const nack = { revision: push.revision, version: push.version, at: this.clock.now(), message, resources };
    state.nack = nack;
    for (const resource of resources) state.refused.set(resource.name, { resource, nack });
  }

  inForce(typeUrl: TypeUrl, name: string, version: string): boolean {
    return this.subscription(typeUrl)?.inForce(name, version) === true;
  }

  /** Whether it was given `name` in another version, or has not answered this one. */
  lags(typeUrl: TypeUrl, name: string, version: string): boolean {
    const subscription = this.subscription(typeUrl);
    return subscription?.holds(name) === true && !subscription.inForce(name, version);
  }

  ackedRevision(): number | undefined {
    let least: number | undefined;
    for (const typeUrl of ORDER) {
      const subscription = this.subscription(typeUrl);
      if (!subscription) continue;
      const revision = subscription.ackedRevision;
      if (revision === undefined) return undefined;
      least = Math.min(revision, least ?? revision);
    }
    return least;
  }

  resources(): readonly EncodedResource[] {
    return ORDER.flatMap((typeUrl) => [...(this.subscription(typeUrl)?.resources() ?? [])]);
  }

  record(): ProxyRecord {
    const types = ORDER.map((typeUrl) => this.typeRecord(typeUrl));
    return { ...this.info, status: worst(types), types };
  }

  private typeRecord(typeUrl: TypeUrl): TypeRecord {
    const subscription = this.subscription(typeUrl);
    if (!subscription) return { typeUrl, status: "NOT_SUBSCRIBED", resources: 0 };
    const state = this.types.get(typeUrl);
    const { status } = subscription;
    return {
      typeUrl,
      status,
      sentRevision: state?.sent?.push.revision,
      sentVersion: state?.sent?.push.version,
      sentAt: state?.sent?.at,
      ackedRevision: subscription.ackedRevision,
      settledRevision: subscription.settledRevision,
      ackedVersion: state?.acked?.version,
      ackedAt: state?.acked?.at,
      resources: subscription.size,
      nack: status === "NACKED" && state ? standing(state, subscription) : undefined,
    };
  }

  private state(typeUrl: string): TypeState | undefined {
    if (!isTypeUrl(typeUrl)) return undefined;
    let state = this.types.get(typeUrl);
    if (!state) {
      state = { refused: new Map() };
      this.types.set(typeUrl, state);
    }
    return state;
  }
}

/** Several refusals can stand at once, of different resources: the newest gives the time, all give their words. */
function standing(state: TypeState, subscription: Subscription): NackRecord | undefined {
  const names = new Set(subscription.refusedNames);
  for (const name of state.refused.keys()) if (!names.has(name)) state.refused.delete(name);
  const refused = [...state.refused.values()].sort((a, b) => b.nack.at - a.nack.at);
  const newest = refused[0]?.nack;
  if (!newest) return state.nack;
  return {
    ...newest,
    message: [...new Set(refused.map(({ nack }) => nack.message))].join("; "),
    resources: refused.map(({ resource }) => resource),
  };
}

function worst(types: readonly TypeRecord[]): SyncStatus {
  if (types.some((type) => type.status === "NACKED")) return "NACKED";
  if (types.some((type) => type.status === "PENDING")) return "PENDING";
  return types.some((type) => type.status === "SYNCED") ? "SYNCED" : "PENDING";
}
