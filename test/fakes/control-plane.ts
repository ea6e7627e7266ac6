/**
 * A control plane of a few maps. The edges (HTTP, CLI) are tested against it because their promises are about requests, replies and exit
 * codes: here a test can put a NACK, a failing disk or a lost watch in place in one line. The real one is tested behind the same edges
 * with the compiled binary.
 */
import { parseAllDocuments } from "yaml";
import type { CaAnswer } from "../../src/admin/ca-schemas.ts";
import type { Caller } from "../../src/admin/context.ts";
import type {
  ApiResource,
  Applied,
  ApplyRequest,
  ControlPlane,
  DeleteOutcome,
  DeleteRequest,
  Health,
  JwksReport,
  MtlsReport,
  ProxyStatus,
  ServiceSummary,
  WatchMessage,
} from "../../src/admin/control-plane.ts";
import type { NodesControl, OtherNodes } from "../../src/admin/nodes.ts";
import type { Registrar, RegistrationBody } from "../../src/admin/registration.ts";
import { accessControl } from "../../src/control/access-control.ts";
import { AccessTokens } from "../../src/control/access-tokens.ts";
import { type AuditEvent, type AuditMark, type AuditRecord, chain, GENESIS, type RevisionsPage } from "../../src/lib/audit.ts";
import { systemClock } from "../../src/lib/clock.ts";
import { WeftError } from "../../src/lib/errors.ts";
import type { Problem } from "../../src/lib/problem.ts";
import { openMemoryStore } from "../../src/store/index.ts";

type Stored = ApiResource & { readonly metadata: ApiResource["metadata"] };

const keyOf = (kind: string, namespace: string, name: string) => `${kind}/${namespace}/${name}`;

export class FakeControlPlane implements ControlPlane {
  revision = 0;
  readonly resources = new Map<string, Stored>();
  readonly requests: ApplyRequest[] = [];
  readonly log: Extract<WatchMessage, { type: "revision" }>[] = [];
  readonly #watchers = new Set<() => void>();
  lost: string | undefined;
  watching = 0;
  proxyList: ProxyStatus[] = [];
  answers: Partial<ReturnType<ControlPlane["convergence"]>> = {};
  healthNow: Health = { ok: true, parts: (["store", "xds", "ca"] as const).map((part) => ({ part, ok: true, message: "ok" })) };
  isReady = true;
  /** The real ones, kept in memory. */
  readonly access = accessControl(AccessTokens.empty(openMemoryStore({ clock: systemClock }), systemClock));
  /** Those of one weft that is alone with its store. */
  readonly nodes: NodesControl = {
    stale: () => undefined,
    list: () => [{ name: "here", roles: ["authority"], state: "here", revision: this.revision, proxies: this.proxyList.length }],
    createToken: async ({ authority = false }) => ({
      token: "weft_join_x",
      address: "10.0.0.1:15016",
      expires: "2026-01-01T00:15:00Z",
      authority,
    }),
    remove: async (name) => {
      if (name === "gone") return { name, roles: [], state: "removed" };
      throw new WeftError("not_found", `there is no node ${name}`);
    },
  };
  records: AuditRecord[] = [];
  anchor: AuditMark = GENESIS;
  /** Of registrations and health reports. */
  readonly callers: Pick<Registrar, "isAdmin" | "authorization">[] = [];
  readonly healthReports: [string, { ready: boolean; message?: string }][] = [];
  warnings: Problem[] = [];
  caReport: CaAnswer = {
    trustDomain: "mesh.local",
    sequence: 1,
    x509: [
      {
        id: "aa".repeat(20),
        state: "active",
        notBefore: "2026-01-01T00:00:00Z",
        notAfter: "2036-01-01T00:00:00Z",
        next: { step: "prepare-next", at: "2031-01-01T00:00:00Z" },
        subject: "CN=weft CA",
        serial: "0a",
        fingerprint: "ab".repeat(32),
      },
    ],
    jwt: [{ id: "kid-1", state: "active", notBefore: "2026-01-01T00:00:00Z", notAfter: "2036-01-01T00:00:00Z" }],
    rotations: [],
    warnings: [],
    svids: { "spiffe://mesh.local/ns/default/sa/web": { expires: "2026-01-01T01:00:00Z", authority: "aa".repeat(20) } },
  };
  readonly rotated: string[] = [];

  async apply(request: ApplyRequest) {
    this.requests.push(request);
    const problems: Problem[] = [];
    const documents: { apiVersion: string; kind: string; metadata: { name: string; namespace?: string }; spec: Record<string, unknown> }[] =
      [];
    for (const { text, file } of request.files) {
      for (const document of parseAllDocuments(text)) {
        const line = text.slice(0, document.range?.[0] ?? 0).split("\n").length;
        const value = document.toJS();
        if (typeof value?.kind === "string" && typeof value.metadata?.name === "string" && !value.spec?.bad) documents.push(value);
        else problems.push({ code: "WF0199", severity: "error", message: "spec.bad is bad", file, line, column: 3, help: "leave it out" });
      }
    }
    if (problems.length > 0) throw new WeftError("invalid", `${problems.length} problems`, { problems });
    const { only, expect, dryRun } = request;
    const changes = documents.map((document): Applied & { resource: ApiResource } => {
      const { kind, metadata } = document;
      const namespace = metadata.namespace ?? "default";
      if (only && (only.kind !== kind || only.name !== metadata.name || only.namespace !== namespace)) {
        throw new WeftError("invalid", `The body is ${keyOf(kind, namespace, metadata.name)}, the path another`);
      }
      const before = this.resources.get(keyOf(kind, namespace, metadata.name));
      const met =
        expect === undefined ||
        (expect === "absent" ? !before : expect === "present" ? before !== undefined : before?.metadata.resourceVersion === String(expect));
      if (!met) throw new WeftError("conflict", "It has changed since", { help: "read it again" });
      const unchanged = before !== undefined && JSON.stringify(before.spec) === JSON.stringify(document.spec);
      const resourceVersion = unchanged ? before.metadata.resourceVersion : String(this.revision + 1);
      const resource = {
        ...document,
        metadata: { ...metadata, namespace, uid: "0000", resourceVersion, creationTimestamp: "2026-01-01T00:00:00Z" },
      };
      const action = unchanged ? "unchanged" : before ? "updated" : "created";
      return { kind, namespace, name: metadata.name, action, resourceVersion, resource };
    });
    return this.#commit(changes, dryRun);
  }

  async remove(request: Parameters<ControlPlane["remove"]>[0]) {
    const { kind, namespace, name, expect, dryRun } = request;
    const resource = await this.get(kind, namespace, name);
    if (expect !== undefined && String(expect) !== resource.metadata.resourceVersion)
      throw new WeftError("conflict", "It has changed since");
    return this.#commit(
      [{ kind, namespace, name, action: "deleted", resourceVersion: resource.metadata.resourceVersion, resource }],
      dryRun,
    );
  }

  async removeAll({ items, dryRun }: DeleteRequest): Promise<DeleteOutcome> {
    const changes: (Applied & { readonly resource: ApiResource })[] = [];
    const missing: DeleteOutcome["missing"][number][] = [];
    for (const { kind, namespace, name, expect } of items) {
      const resource = this.resources.get(keyOf(kind, namespace, name));
      if (expect !== undefined && String(expect) !== resource?.metadata.resourceVersion)
        throw new WeftError("conflict", "It has changed since");
      if (!resource) missing.push({ kind, namespace, name });
      else changes.push({ kind, namespace, name, action: "deleted", resourceVersion: resource.metadata.resourceVersion, resource });
    }
    return { ...this.#commit(changes, dryRun), missing };
  }

  #commit(changes: readonly (Applied & { readonly resource: ApiResource })[], dryRun: boolean) {
    const applied = changes.map(({ resource: _, ...rest }) => rest);
    const real = changes.filter((change) => change.action !== "unchanged");
    if (!dryRun && real.length > 0) {
      this.revision++;
      for (const { kind, namespace, name, action, resource } of real) {
        if (action === "deleted") this.resources.delete(keyOf(kind, namespace, name));
        else this.resources.set(keyOf(kind, namespace, name), resource);
      }
      this.log.push({ type: "revision", revision: this.revision, changes: real });
      for (const wake of this.#watchers) wake();
    }
    return { revision: this.revision, applied, problems: this.warnings };
  }

  loseWatches(reason: string): void {
    this.lost = reason;
    for (const wake of this.#watchers) wake();
  }

  async list(filter: { kind?: string; namespace?: string }) {
    const items = [...this.resources.values()].filter(
      (one) => (!filter.kind || one.kind === filter.kind) && (!filter.namespace || one.metadata.namespace === filter.namespace),
    );
    return { revision: this.revision, items };
  }

  async get(kind: string, namespace: string, name: string) {
    const found = this.resources.get(keyOf(kind, namespace, name));
    if (!found) throw new WeftError("not_found", `There is no ${kind} ${namespace}/${name}`);
    return found;
  }

  async *watch(since: number, signal: AbortSignal): AsyncIterable<WatchMessage> {
    this.watching++;
    let wake = () => {};
    const notify = () => wake();
    this.#watchers.add(notify);
    signal.addEventListener("abort", notify);
    try {
      let at = since;
      while (!signal.aborted) {
        if (this.lost) {
          yield { type: "lost", reason: this.lost };
          return;
        }
        const next = this.log.find((message) => message.revision > at);
        if (next) {
          at = next.revision;
          yield next;
        } else {
          await new Promise<void>((resolve) => {
            wake = resolve;
          });
        }
      }
    } finally {
      this.#watchers.delete(notify);
      this.watching--;
    }
  }

  services(namespace?: string): readonly ServiceSummary[] {
    const orders: ServiceSummary = {
      service: "orders",
      namespace: "default",
      host: "orders.default.mesh.local",
      ports: [{ number: 8080, name: "http", protocol: "HTTP" }],
      mtls_mode: "STRICT",
      workloads: ["orders-v1-7f8d", "orders-v2-9a2e"],
      endpoints: 2,
    };
    return !namespace || namespace === "default" ? [orders] : [];
  }

  findings: Problem[] = [];
  async check() {
    return { revision: this.revision, problems: this.findings };
  }

  keySets: JwksReport[] = [];
  jwks() {
    return this.keySets;
  }

  /** What POST /v1/why answers. */
  whyAnswer: object = {};
  whyRequests: unknown[] = [];
  why(request: unknown): object {
    this.whyRequests.push(request);
    return this.whyAnswer;
  }

  mtls(service: string, namespace: string): MtlsReport {
    const found = this.services(namespace).find((one) => one.service === service);
    if (!found)
      throw new WeftError("not_found", `There is no service "${service}" in namespace ${namespace}`, { help: "there are: orders" });
    const { mtls_mode, workloads, host } = found;
    return {
      service,
      mtls_mode,
      workloads,
      namespace,
      host,
      revision: this.revision,
      ports: [{ port: 8080, name: "http", mode: "STRICT" }],
      details: workloads.map((workload) => ({
        workload,
        namespace,
        port: 8080,
        mode: "STRICT",
        source: { kind: "PeerAuthentication", namespace, name: "default", file: "mesh.yaml", line: 12 },
        in_force: true,
        proxy: "synced",
      })),
    };
  }

  proxies = () => this.proxyList;
  otherNodesNow: OtherNodes = {};
  otherNodes = () => this.otherNodesNow;

  proxyConfig(id: string): unknown {
    if (!this.proxyList.some((proxy) => proxy.id === id)) throw new WeftError("not_found", `No proxy ${id} is connected`);
    return { id, clusters: [] };
  }

  isOwn() {
    return false;
  }

  async issueToken(workload: { namespace: string; name: string }, _caller: Caller, ttlSeconds = 3600) {
    return {
      token: `token-for-${workload.name}-${ttlSeconds}`,
      expires: "2026-01-01T01:00:00Z",
      workload: `${workload.namespace}/${workload.name}`,
    };
  }

  async issueGroupToken(group: { namespace: string; name: string }, _caller: Caller, ttlSeconds = 3600) {
    const workload_group = `${group.namespace}/${group.name}`;
    return { token: `token-for-group-${group.name}-${ttlSeconds}`, expires: "2026-01-01T01:00:00Z", workload_group };
  }

  async register({ group, address }: RegistrationBody, { isAdmin, authorization }: Registrar) {
    this.callers.push({ isAdmin, authorization });
    const workload = `${group.namespace}/${group.name}-${address}`;
    return { workload, expires: "2026-01-01T01:00:00Z", bootstrap: { node: { id: workload } } };
  }

  async reportHealth(
    workload: { namespace: string; name: string },
    health: { ready: boolean; message?: string },
    { isAdmin, authorization }: Registrar,
  ) {
    this.callers.push({ isAdmin, authorization });
    this.healthReports.push([`${workload.namespace}/${workload.name}`, health]);
  }

  readonly revoked: string[] = [];

  async revokeTokens(
    { kind, namespace, name }: { kind: string; namespace: string; name: string },
    _: Caller,
    { ahead = false }: { readonly ahead?: boolean } = {},
  ) {
    if (name === "ghost" && !ahead) throw new WeftError("not_found", `there is no ${kind} ${namespace}/${name}, and there was none`);
    this.revoked.push(`${kind} ${namespace}/${name}`);
    return { streams: 1, spiffe_ids: ["spiffe://mesh.local/ns/default/sa/orders"] };
  }

  async bootstrap(workload: { namespace: string; name: string }) {
    if (workload.name === "nobody") throw new WeftError("not_found", "There is no WorkloadEntry default/nobody");
    return { node: { id: `${workload.namespace}/${workload.name}`, cluster: "yes" }, admin: { address: "127.0.0.1" } };
  }

  async audit({ after, limit }: { after: number; limit: number }) {
    const { sequence, hash } = this.records.at(-1) ?? GENESIS;
    return { head: { sequence, hash }, anchor: this.anchor, records: this.records.filter((one) => one.sequence > after).slice(0, limit) };
  }

  /** What the history says where it is not what the records say. */
  history: RevisionsPage | undefined;

  async revisions(after: number): Promise<RevisionsPage> {
    const changes = this.records.filter(({ action, outcome }) => action === "apply" && outcome === "done");
    const told = changes.map(({ revision, targets }) => ({ revision, targets }));
    const { revisions, ...ends } = this.history ?? { revision: told.at(-1)?.revision ?? 0, compacted: 0, revisions: told };
    return { ...ends, revisions: revisions.filter(({ revision }) => revision > after).slice(0, 1_000) };
  }

  refused(refusal: Omit<AuditEvent, "outcome" | "count"> & { readonly reason: string }) {
    this.records.push(
      chain(this.records.at(-1) ?? this.anchor, { ...refusal, outcome: "refused" }, "2026-01-01T00:00:00.000Z", this.revision),
    );
  }

  convergence = () => ({ acked: [], nacked: [], pending: [], still_nacked: [], ...this.answers });
  ca = () => this.caReport;
  async rotateCa(target: string) {
    this.rotated.push(target);
    return this.caReport;
  }
  bundle = () => ({ keys: [], spiffe_sequence: 1 });
  health = async () => this.healthNow;
  ready = () => this.isReady;
}

/** A proxy as `weft proxies` sees it; NACKED where `nack` is given. */
export function fakeProxy(id: string, nack?: string): ProxyStatus {
  const [namespace = "", workload = ""] = id.split("/");
  const source = { kind: "VirtualService", namespace: "default", name: "orders", file: "mesh.yaml", line: 31 };
  const at = "2026-01-01T00:00:00Z";
  return {
    id,
    workload,
    namespace,
    node: id,
    envoy_version: "1.40.0",
    protocol: "delta",
    address: "127.0.0.1:40000",
    connected: true,
    connected_at: at,
    status: nack ? "NACKED" : "SYNCED",
    types: [
      { type: "CDS", status: "SYNCED", sent_revision: 1, acked_revision: 1, sent_at: at, acked_at: at, resources: 3 },
      nack
        ? {
            type: "LDS",
            status: "NACKED",
            sent_revision: 1,
            sent_at: at,
            resources: 2,
            nack: { revision: 1, at, message: nack, resources: [{ name: "inbound", sources: [source] }] },
          }
        : { type: "LDS", status: "SYNCED", sent_revision: 1, acked_revision: 1, sent_at: at, acked_at: at, resources: 2 },
    ],
  };
}
