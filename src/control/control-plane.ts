/** The ControlPlane that the admin API serves, joined from its parts. */
import type { CaAnswer } from "../admin/ca-schemas.ts";
import type { ApplyOutcome, ControlPlane, JwksReport } from "../admin/control-plane.ts";
import type { NodesControl } from "../admin/nodes.ts";
import type { LedgerReader, ProxyRecord } from "../ads/index.ts";
import { type OpenedAuthority, type SvidManager, spiffeBundle, type TokenHolder, type WorkloadTokens } from "../ca/index.ts";
import type { Clock } from "../lib/clock.ts";
import { WeftError } from "../lib/errors.ts";
import { reasonAt } from "../mesh/readiness.ts";
import type { Mesh, Workload } from "../mesh/types.ts";
import { ANNOTATION } from "../model/index.ts";
import { envoyBootstrap } from "../proxy/bootstrap.ts";
import { why } from "../why/index.ts";
import type { UnixNames } from "../workload-api/unix-names.ts";
import { describeResource } from "../xds/describe.ts";
import { accessControl } from "./access-control.ts";
import type { AccessTokens } from "./access-tokens.ts";
import { adsOf } from "./ads-places.ts";
import type { AuditTrail } from "./audit-trail.ts";
import type { Changes } from "./changes.ts";
import { convergenceOf } from "./convergence.ts";
import type { FederatedBundles } from "./federation.ts";
import { allFindings } from "./findings.ts";
import type { HealthChecks } from "./health.ts";
import type { JwksKeeper, JwksStatus } from "./jwks.ts";
import type { KnownProxies } from "./known-proxies.ts";
import type { MeshProxies } from "./mesh-proxies.ts";
import { typeName } from "./observer.ts";
import { awayStatus, elsewhereStatus, otherNodesOf, proxyStatus, timestamp } from "./proxy-status.ts";
import type { Reconciler } from "./reconciler.ts";
import { addressIn, createRegistrationApi, type RegistrationApiParts } from "./registration-api.ts";
import { restartNeeded } from "./restarts.ts";
import type { Revocations } from "./revocations.ts";
import { mtlsReport, serviceSummaries } from "./services-view.ts";
import { tooOldFor } from "./too-old.ts";

export interface ControlPlaneParts extends RegistrationApiParts {
  readonly clock: Clock;
  readonly changes: Changes;
  readonly audit: AuditTrail;
  readonly access: AccessTokens;
  readonly revocations: Revocations;
  /** Ends the streams of these proxies, and of those whose certificate is revoked; how many there were. */
  readonly endStreams: (ids: ReadonlySet<string>, message: string) => number;
  /** What the workload, or the group's instances, may hold SVIDs of. @throws WeftError "unavailable" */
  readonly spiffeIdsOf: (holder: TokenHolder) => Promise<readonly string[]>;
  readonly wasEverThere: (holder: TokenHolder) => Promise<boolean>;
  readonly reconciler: Reconciler;
  readonly ledger: LedgerReader;
  /** The proxies of the other nodes. */
  readonly elsewhere: MeshProxies;
  /** Of this machine. */
  readonly users: UnixNames;
  readonly known: Pick<KnownProxies, "away">;
  readonly authority: OpenedAuthority;
  readonly svids: SvidManager;
  readonly tokens: WorkloadTokens;
  readonly health: HealthChecks;
  readonly jwks: JwksKeeper;
  readonly federation: FederatedBundles;
  readonly nodes: NodesControl;
}

function jwksReport({ fetchedAt, ...status }: JwksStatus): JwksReport {
  return { ...status, ...(fetchedAt === undefined ? {} : { fetched_at: timestamp(fetchedAt) }) };
}

export function createControlPlane(parts: ControlPlaneParts): ControlPlane {
  const { changes, audit, reconciler, ledger, elsewhere, authority, svids, tokens, health, jwks } = parts;

  const mesh = (): Mesh => {
    if (reconciler.mesh) return reconciler.mesh;
    throw new WeftError("unavailable", "weft is still loading its resources: try again in a moment");
  };
  const workloadOf = ({ namespace, name }: { namespace: string; name: string }): Workload => {
    const found = mesh().workloads.get(`${namespace}/${name}`);
    if (found) return found;
    throw new WeftError("not_found", `there is no workload ${namespace}/${name}`, {
      help: `apply a WorkloadEntry of that name first; there are: ${[...mesh().workloads.keys()].slice(0, 10).join(", ") || "none"}`,
    });
  };
  /** Those that left count for as long as their workload is registered: afterwards nobody expects them back. */
  const expected = (record: Pick<ProxyRecord, "id" | "disconnectedAt">) =>
    record.disconnectedAt === undefined || reconciler.mesh === undefined || reconciler.mesh.workloads.has(record.id);
  const unreadyBecause = (id: string) => {
    const why = reconciler.mesh?.unready.get(id);
    return why && reasonAt(why, parts.clock.now());
  };
  const uncertifiedBecause = (id: string) => {
    const spiffeId = reconciler.mesh?.workloads.get(id)?.spiffeId;
    if (spiffeId === undefined || svids.current(spiffeId)) return undefined;
    const failure = svids.failureOf(spiffeId);
    return failure && (failure.help === undefined ? failure.message : `${failure.message}; ${failure.help}`);
  };
  const statuses = () => {
    const { mesh: now } = reconciler;
    const told = ledger
      .proxies()
      .filter(expected)
      .map((record) => {
        const { id } = record;
        const uncertified = uncertifiedBecause(id);
        return proxyStatus(record, {
          restart: restartNeeded(record, now),
          unready: unreadyBecause(id),
          tooOld: tooOldFor(record, now),
          uncertified,
        });
      });
    const away = parts.known.away().filter(expected).map(awayStatus);
    const others = elsewhere.all().map((proxy) => elsewhereStatus(proxy, unreadyBecause(proxy.id)));
    if (away.length + others.length === 0) return told;
    // Who left this node for another is not away.
    const here = [...told, ...away].filter(({ id, connected }) => connected || elsewhere.of(id).length === 0);
    return [...here, ...others].sort((a, b) => (a.id < b.id ? -1 : a.id > b.id ? 1 : 0));
  };
  /** What is new of it since `before`: a change tells of what it has to do with. */
  const withRestarts = async <Outcome extends ApplyOutcome>(change: () => Promise<Outcome>): Promise<Outcome> => {
    const before = reconciler.mesh;
    const outcome = await change();
    const needs = ledger.connected().flatMap((proxy) => {
      if (before?.workloads.has(proxy.id) && before.processes.get(proxy.id) === reconciler.mesh?.processes.get(proxy.id)) return [];
      const reason = restartNeeded(proxy, reconciler.mesh);
      return reason && restartNeeded(proxy, before) !== reason ? [{ proxy: proxy.id, reason }] : [];
    });
    return needs.length === 0 ? outcome : { ...outcome, needs_restart: needs };
  };

  /** null where only another node could know, and that is not heard of. */
  const isConnected = (id: string): boolean | null => {
    const record = ledger.proxy(id);
    if (record !== undefined && record.disconnectedAt === undefined) return true;
    const node = reconciler.mesh?.workloads.get(id)?.node;
    const where = node === undefined ? undefined : elsewhere.stateOf(node).state;
    const isElsewhere = elsewhere.of(id).length > 0;
    if (elsewhere.stale() && (isElsewhere || (where !== undefined && where !== "here"))) return null;
    return where === "away" && !isElsewhere ? null : isElsewhere;
  };

  return {
    ...createRegistrationApi(parts),
    apply: (request) => withRestarts(() => changes.apply(request)),
    remove: (request) => withRestarts(() => changes.remove(request)),
    removeAll: (request) => withRestarts(() => changes.removeAll(request)),
    list: (filter, page) => changes.list(filter, page),
    get: (kind, namespace, name) => changes.get(kind, namespace, name),
    watch: (since, signal) => changes.watch(since, signal),

    services: (namespace) => serviceSummaries(mesh(), parts.clock.now(), namespace),
    mtls: (service, namespace) => mtlsReport(mesh(), ledger, elsewhere, service, namespace),
    check: () => allFindings(reconciler, parts.clock.now(), parts.federation.status(), parts.users),
    why: (request) => why(mesh(), request, { now: parts.clock.now(), isConnected }),
    jwks: () => jwks.status().map(jwksReport),
    proxies: statuses,
    otherNodes: () => otherNodesOf(elsewhere),

    proxyConfig(id) {
      const record = ledger.proxy(id);
      if (!record || record.disconnectedAt !== undefined) {
        const [other] = elsewhere.of(id);
        if (other) {
          const help = "ask that node: nodes tell each other what their proxies have taken, and not what they sent them";
          throw new WeftError("not_found", `proxy ${id} is connected to node ${other.card.node}, not to this one`, { help });
        }
        const there = statuses().flatMap((proxy) => (proxy.connected && proxy.on_node === undefined ? [proxy.id] : []));
        throw new WeftError("not_found", `proxy ${id} is not connected`, { help: `connected are: ${there.join(", ") || "none"}` });
      }
      const resources = ledger.resources(id).map((resource) => ({
        type: typeName(resource.typeUrl),
        name: resource.name,
        version: resource.version,
        sources: resource.sources,
        config: describeResource(resource),
      }));
      return { id, revision: mesh().revision, resources };
    },

    access: accessControl(parts.access),
    nodes: parts.nodes,
    audit: (filter) => audit.read(filter),
    revisions: (after) => audit.revisions(after),
    refused: (refusal) => audit.refused(refusal),

    isOwn: ({ namespace, name }) => reconciler.mesh?.workloads.get(`${namespace}/${name}`)?.own === true,

    async issueToken(workload, caller, ttlSeconds) {
      const { key } = workloadOf(workload);
      await audit.done({ ...caller, action: "issue-token", targets: [`workload ${key}`] });
      const { token, expiresAt } = await tokens.issue(workload, ttlSeconds === undefined ? undefined : ttlSeconds * 1000);
      return { token, expires: timestamp(expiresAt), workload: key };
    },

    async revokeTokens(holder, caller, { ahead = false } = {}) {
      if (!ahead && !(await parts.wasEverThere(holder))) {
        throw new WeftError(
          "not_found",
          `there is no ${holder.kind} ${holder.namespace}/${holder.name}, and there was none: nothing was revoked`,
          {
            help: "look at the name and its namespace; --ignore-not-found (ignore_not_found over HTTP) revokes all the same",
          },
        );
      }
      const spiffeIds = await parts.spiffeIdsOf(holder);
      await parts.revocations.revoke(holder, spiffeIds, caller);
      const key = `${holder.namespace}/${holder.name}`;
      const own =
        holder.kind === "workload" ? [key] : [...mesh().workloads.values()].flatMap((one) => (one.group === key ? [one.key] : []));
      const streams = parts.endStreams(new Set(own), "what proved this stream was revoked");
      for (const spiffeId of spiffeIds) svids.recheck(spiffeId);
      return { streams, spiffe_ids: spiffeIds };
    },

    async bootstrap(workload, caller, { ttlSeconds, ...place } = {}) {
      const { key, unixUser } = workloadOf(workload);
      const ads = adsOf(parts.ads, place);
      if (place.unix && unixUser === undefined) {
        throw new WeftError("invalid", `WorkloadEntry ${key} does not say which user runs its proxy`, {
          help: `add the annotation ${ANNOTATION.unixUser}: "1001", the number of that user`,
        });
      }
      const issue = async () => {
        await audit.done({ ...caller, action: "issue-token", targets: [`workload ${key}`] });
        return (await tokens.issue(workload, ttlSeconds === undefined ? undefined : ttlSeconds * 1000)).token;
      };
      const entry = reconciler.resource(`WorkloadEntry/${key}`);
      return envoyBootstrap({
        workload,
        ...(place.unix ? {} : { token: await issue() }),
        ads,
        envoyAdmin: addressIn(entry, ANNOTATION.envoyAdmin),
        prometheus: addressIn(entry, ANNOTATION.prometheus),
        process: mesh().processes.get(key),
      });
    },

    convergence: (revision) =>
      convergenceOf(
        ledger.proxies().filter((record) => record.disconnectedAt === undefined),
        revision,
        elsewhere,
      ),

    ca: () => caAnswer(authority, svids),
    async rotateCa(target, caller) {
      await audit.done({ ...caller, action: "rotate-ca", targets: [`authority ${target}`] });
      await authority.rotate(target === "all" ? ["x509", "jwt"] : [target]);
      return caAnswer(authority, svids);
    },
    bundle: () => spiffeBundle(authority.bundle()),
    health: () => health.run(),
    ready: () => reconciler.mesh !== undefined,
  };
}

function caAnswer(authority: OpenedAuthority, svids: SvidManager): CaAnswer {
  const inUse = [...svids.inUse()].map(({ spiffeId, notAfter, authorityId }) => [
    spiffeId,
    { expires: timestamp(notAfter), authority: authorityId },
  ]);
  return { ...authority.report(), svids: Object.fromEntries(inUse) };
}
