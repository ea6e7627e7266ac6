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
export function mtlsReport(mesh: Mesh, ledger: LedgerReader, name: string, namespace: string): MtlsReport {
  const service = findService(mesh, name, namespace);
  const { mode, ports, workloads, details } = serviceMtls(mesh, service);
  return {
    service: service.name,
    mtls_mode: mode,
    workloads: workloads.map(nameOf),
    namespace: service.namespace,
    host: service.host,
    revision: mesh.revision,
    ports,
    details: details.map(({ workload, port, workloadPort, mode: portMode, source }) => {
      const proxy = listenerState(mesh, ledger, mesh.workloads.get(workload), workloadPort);
      const [workloadNamespace = ""] = workload.split("/");
      return {
        workload: nameOf(workload),
        namespace: workloadNamespace,
        port,
        mode: portMode,
        source,
        in_force: proxy === "synced",
        proxy,
      };
    }),
  };
}

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
  ledger: LedgerReader,
  workload: Workload | undefined,
  workloadPort: number,
): MtlsReport["details"][number]["proxy"] {
  const port = workload?.inbound.find((inbound) => inbound.number === workloadPort);
  const record = workload && ledger.proxy(workload.key);
  if (!workload || !port || !record || record.disconnectedAt !== undefined) return "disconnected";
  const name = inboundListenerName(workload, port);
  const listener = inboundResources(mesh, workload, abilitiesOf(record.envoyVersion)).listeners.find((resource) => resource.name === name);
  if (listener && ledger.inForce(workload.key, TYPE.listener, name, listener.version)) return "synced";
  const refused = record.types.some((type) => type.typeUrl === TYPE.listener && type.nack?.resources.some((bad) => bad.name === name));
  return refused ? "nacked" : "pending";
}

function nameOf(key: string): string {
  return key.slice(key.indexOf("/") + 1);
}
