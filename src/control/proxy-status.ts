/** The ledger of ADS in the API's words. */
import type { ProxyStatus, TypeStatus } from "../admin/control-plane.ts";
import type { OtherNodes } from "../admin/nodes.ts";
import type { ProxyRecord, TypeRecord } from "../ads/index.ts";
import type { ProxyAway } from "./known-proxies.ts";
import type { MeshProxies, ProxyElsewhere } from "./mesh-proxies.ts";
import { typeName } from "./observer.ts";

/** What there is to say of a proxy besides what ADS knows, each in words. */
interface Remarks {
  /** What a restart would change. */
  readonly restart?: string;
  /** Why its application gets no calls. */
  readonly unready?: string;
  /** What its Envoy goes without. */
  readonly tooOld?: string;
  /** Why its workload has no certificate. */
  readonly uncertified?: string;
}

export function proxyStatus(record: ProxyRecord, { restart, unready, tooOld, uncertified }: Remarks = {}): ProxyStatus {
  const [namespace = "", workload = ""] = record.id.split("/");
  return {
    id: record.id,
    workload,
    namespace,
    node: record.node,
    envoy_version: record.envoyVersion,
    protocol: record.protocol,
    address: record.address,
    connected: record.disconnectedAt === undefined,
    connected_at: timestamp(record.connectedAt),
    disconnected_at: optionalTimestamp(record.disconnectedAt),
    status: record.status,
    ...(restart === undefined ? {} : { needs_restart: restart }),
    ...(unready === undefined ? {} : { unready }),
    ...(tooOld === undefined ? {} : { too_old: tooOld }),
    ...(uncertified === undefined ? {} : { uncertified }),
    types: record.types.map(typeStatus),
  };
}

/** Of one that this process has not seen, or not for long: what it had taken is not known. */
export function awayStatus({ id, node, envoyVersion, protocol, address, connectedAt, disconnectedAt }: ProxyAway): ProxyStatus {
  return proxyStatus({ id, node, envoyVersion, protocol, address, connectedAt, disconnectedAt, status: "PENDING", types: [] });
}

/** Of one of another node: what its card tells. `unready`: as above. */
export function elsewhereStatus({ id, card, status, unknownBecause, types }: ProxyElsewhere, unready?: string): ProxyStatus {
  const [namespace = "", workload = ""] = id.split("/");
  const acked = types.map(({ ackedRevision }) => ackedRevision);
  return {
    id,
    workload,
    namespace,
    node: "",
    envoy_version: "",
    address: "",
    connected: true,
    status,
    on_node: card.node,
    ...(acked.length === 0 || acked.includes(undefined) ? {} : { acked_revision: Math.min(...acked.filter((one) => one !== undefined)) }),
    ...(unknownBecause === undefined ? {} : { unknown_because: unknownBecause }),
    ...(unready === undefined ? {} : { unready }),
    types: types.flatMap(({ type, nack, status: ofType, ackedRevision }): TypeStatus[] => {
      if (type === undefined) return [];
      return [{ type, status: ofType, acked_revision: ackedRevision, nack: nack && { ...nack, resources: [] } }];
    }),
  };
}

/** How far what is told of other nodes is true. */
export function otherNodesOf(elsewhere: MeshProxies): OtherNodes {
  const stale = elsewhere.stale();
  const away = elsewhere.away().map(({ name, since }) => ({ name, ...(since === undefined ? {} : { since: timestamp(since) }) }));
  return { ...(stale ? { stale } : {}), ...(away.length === 0 ? {} : { away_nodes: away }) };
}

function typeStatus(record: TypeRecord): TypeStatus {
  const { nack } = record;
  return {
    type: typeName(record.typeUrl),
    status: record.status,
    sent_revision: record.sentRevision,
    acked_revision: record.ackedRevision,
    sent_at: optionalTimestamp(record.sentAt),
    acked_at: optionalTimestamp(record.ackedAt),
    resources: record.resources,
    nack: nack && {
      revision: nack.revision,
      at: timestamp(nack.at),
      message: nack.message,
      resources: nack.resources.map(({ name, sources }) => ({ name, sources })),
    },
  };
}

/** RFC 3339, UTC. */
export function timestamp(milliseconds: number): string {
  return new Date(milliseconds).toISOString();
}

function optionalTimestamp(milliseconds: number | undefined): string | undefined {
  return milliseconds === undefined ? undefined : timestamp(milliseconds);
}
