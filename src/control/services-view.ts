/** What the services are, and which mTLS mode holds at each: wanted by the policies, and in force in the live proxies. */
import type { MtlsReport, ServiceSummary } from "../admin/control-plane.ts";
import type { LedgerReader } from "../ads/index.ts";
import { TYPE } from "../lib/encoded.ts";
import { WeftError } from "../lib/errors.ts";
import { serviceMtls } from "../mesh/mtls-report.ts";
import { reasonAt } from "../mesh/readiness.ts";
import type { Mesh, Service, Workload } from "../mesh/types.ts";
import { canonicalHost } from "../model/index.ts";
import { abilitiesOf } from "../xds/envoy-version.ts";
import { inboundResources } from "../xds/inbound.ts";
import { inboundListenerName } from "../xds/inbound-listener.ts";
import { earlier, type MeshProxies, type ProxyElsewhere } from "./mesh-proxies.ts";

/** `now`: milliseconds since the epoch. */
export function serviceSummaries(mesh: Mesh, now: number, namespace?: string): ServiceSummary[] {
  const services = [...mesh.services.values()].filter((service) => namespace === undefined || service.namespace === namespace);
  return services.map((service) => {
    const { mode, workloads } = serviceMtls(mesh, service);
    const of = (all: Mesh["unready"]) => [...all].filter(([, { hosts }]) => hosts.includes(service.host));
    const [unready, kept] = [of(mesh.unready), of(mesh.doubtful)];
    const names = (some: typeof kept) => some.map(([key]) => nameOf(key));
    const reasons = [...unready, ...kept].map(([key, why]) => [nameOf(key), reasonAt(why, now)] as const);
    return {
      service: service.name,
      namespace: service.namespace,
      host: service.host,
      ports: service.ports.map(({ number, name, protocol }) => ({ number, name, protocol })),
      mtls_mode: mode,
      workloads: workloads.map(nameOf),
      endpoints: mesh.endpoints.get(service.host)?.length ?? 0,
      ...(unready.length === 0 ? {} : { unready: names(unready) }),
      ...(kept.length === 0 ? {} : { kept: names(kept) }),
      ...(reasons.length === 0 ? {} : { reasons: Object.fromEntries(reasons) }),
    };
  });
}

/** @throws WeftError "not_found", with the hosts that there are. */
export function mtlsReport(mesh: Mesh, ledger: LedgerReader, elsewhere: MeshProxies, name: string, namespace: string): MtlsReport {
  const service = findService(mesh, name, namespace);
  const { mode, ports, workloads, details } = serviceMtls(mesh, service);
  const stale = elsewhere.stale();
  return {
    ...(stale ? { stale } : {}),
    service: service.name,
    mtls_mode: mode,
    workloads: workloads.map(nameOf),
    namespace: service.namespace,
    host: service.host,
    revision: mesh.revision,
    ports,
    details: details.map(({ workload, port, workloadPort, mode: portMode, source }) => {
      const state = listenerState(mesh, { ledger, elsewhere }, mesh.workloads.get(workload), workloadPort);
      const [workloadNamespace = ""] = workload.split("/");
      return {
        workload: nameOf(workload),
        namespace: workloadNamespace,
        port,
        mode: portMode,
        source,
        in_force: state.proxy === "synced",
        ...state,
      };
    }),
  };
}

type ProxyState = Pick<MtlsReport["details"][number], "proxy" | "on_node" | "reason">;

function findService(mesh: Mesh, name: string, namespace: string): Service {
  const host = canonicalHost(name, namespace, mesh.settings.domain);
  const found = mesh.services.get(host);
  if (found) return found;
  const hosts = [...mesh.services.keys()];
  const elsewhere = [...mesh.services.values()].filter((service) => service.name === name).map((service) => service.namespace);
  const help =
    elsewhere.length > 0
      ? `there is one in namespace ${elsewhere.join(", ")}: add ?namespace=${elsewhere[0]} (weft mtls: -n ${elsewhere[0]})`
      : `there are: ${hosts.length > 0 ? hosts.slice(0, 10).join(", ") : "none yet; apply a ServiceEntry"}`;
  throw new WeftError("not_found", `there is no service ${name} in namespace ${namespace}`, { help });
}

/** Whether the workload's live proxy has accepted the listener that carries the mode: the very bytes, not an earlier version of them. */
function listenerState(
  mesh: Mesh,
  { ledger, elsewhere }: { readonly ledger: LedgerReader; readonly elsewhere: MeshProxies },
  workload: Workload | undefined,
  workloadPort: number,
): ProxyState {
  const port = workload?.inbound.find((inbound) => inbound.number === workloadPort);
  if (!workload || !port) return { proxy: "disconnected" };
  const record = ledger.proxy(workload.key);
  if (!record || record.disconnectedAt !== undefined) return stateElsewhere(mesh, elsewhere, workload);
  const name = inboundListenerName(workload, port);
  const listener = inboundResources(mesh, workload, abilitiesOf(record.envoyVersion)).listeners.find((resource) => resource.name === name);
  if (listener && ledger.inForce(workload.key, TYPE.listener, name, listener.version)) return { proxy: "synced" };
  const refused = record.types.some((type) => type.typeUrl === TYPE.listener && type.nack?.resources.some((bad) => bad.name === name));
  return { proxy: refused ? "nacked" : "pending" };
}

/** By the cards of the other nodes: they tell of revisions, not of listeners. */
function stateElsewhere(mesh: Mesh, elsewhere: MeshProxies, { key, node }: Workload): ProxyState {
  const found = elsewhere.of(key).map((proxy) => ({ on_node: proxy.card.node, ...saidOf(mesh, proxy) }));
  const worst = found.find(({ proxy }) => proxy !== "synced") ?? found[0];
  const where = node === undefined ? undefined : elsewhere.stateOf(node);
  const stale = elsewhere.stale();
  if (stale && (worst || (where && where.state !== "here"))) {
    const reason = worst && stale.as_of !== undefined ? `${worst.proxy} as of ${stale.as_of}` : "nothing is known of its node";
    return { proxy: "unknown", ...(worst ? { on_node: worst.on_node } : {}), reason };
  }
  if (worst) return worst;
  if (where === undefined || where.state === "here") return { proxy: "disconnected" };
  const on = { on_node: node };
  if (where.state === "connected") return { proxy: "disconnected", ...on, reason: `not connected to node ${node}` };
  if (where.state === "removed") return { proxy: "disconnected", ...on, reason: `node ${node} was removed` };
  if (where.state === "nobody") return { proxy: "disconnected", ...on, reason: `there is no node ${node} in the mesh` };
  const since = where.since === undefined ? "" : ` since ${new Date(where.since).toISOString()}`;
  return { proxy: "away", ...on, reason: `node ${node} is away${since}` };
}

/** Whether it has all of the revision that is served here, or refused listeners of it. */
function saidOf({ revision }: Mesh, { card, types }: ProxyElsewhere): Omit<ProxyState, "on_node"> {
  if (!card.inForce) return { proxy: "unknown", reason: earlier(card) };
  const refused = types.find(({ type, ackedRevision = 0 }) => type === "LDS" && ackedRevision < revision)?.nack;
  if (refused) return { proxy: "nacked", reason: `it refused LDS of revision ${refused.revision}: ${refused.message}` };
  const has = types.find(({ type }) => type === undefined)?.ackedRevision;
  if (has !== undefined && has >= revision) return { proxy: "synced" };
  const told = has === undefined ? "nothing of it yet" : `revision ${has} of it`;
  return { proxy: "pending", reason: `node ${card.node} told of ${told}, and revision ${revision} is served here` };
}

function nameOf(key: string): string {
  return key.slice(key.indexOf("/") + 1);
}
