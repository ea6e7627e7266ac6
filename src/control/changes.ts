/** Reading and changing what is stored: the path of an apply from text to a committed revision. */
import { checkNamespaces } from "../admin/access.ts";
import type {
  ApiResource,
  Applied,
  ApplyOutcome,
  ApplyRequest,
  ControlPlane,
  DeleteOutcome,
  DeleteRequest,
  WatchMessage,
} from "../admin/control-plane.ts";
import type { Clock } from "../lib/clock.ts";
import { WeftError } from "../lib/errors.ts";
import type { Problem } from "../lib/problem.ts";
import { eachInTurns, inTurns } from "../lib/turns.ts";
import { findExpiredCertificates } from "../mesh/analysis/index.ts";
import { documentOf, type ParsedDocuments, parseInSteps, problem, shownDocument } from "../model/index.ts";
import { type AnyResource, resourceKey } from "../model/resource.ts";
import { canonicalJson } from "../store/canonical.ts";
import type { ApplyResult, Change, Delete, Page, Put, ResourceId, Store, StoredResource, Transaction } from "../store/store.ts";
import type { Metrics } from "../telemetry/metrics.ts";
import { ATTRIBUTE, failSpan, policyType, type Span, type SpanContext, type Tracing, traceParentOf } from "../telemetry/tracing.ts";
import type { UnixNames } from "../workload-api/unix-names.ts";
import { findingsOfChange, momentOf, preview } from "./findings.ts";
import type { Journal } from "./journal.ts";
import { LargeInputs } from "./large-inputs.ts";
import type { OwnSockets } from "./own-sockets.ts";
import { refuseOwnDomain } from "./own-trust-domain.ts";
import type { Reconciler } from "./reconciler.ts";
import type { Seal } from "./seal.ts";
import { findUnknownUsers } from "./unknown-users.ts";

export interface ChangesOptions {
  readonly clock: Clock;
  readonly store: Store;
  /** Closes what the store may not know. */
  readonly seal: Pick<Seal, "close">;
  readonly reconciler: Reconciler;
  readonly journal: Journal;
  /** Of this machine. */
  readonly users: UnixNames;
  readonly ownSockets: Pick<OwnSockets, "refuse">;
  readonly tracing: Tracing;
  readonly metrics: Metrics;
}

type RemoveRequest = Parameters<ControlPlane["remove"]>[0];

export class Changes {
  #options: ChangesOptions;
  #large: LargeInputs;

  constructor(options: ChangesOptions) {
    this.#options = options;
    this.#large = new LargeInputs(options.clock);
  }

  /** Parses, validates and commits all files as one transaction, and returns when the control plane serves the new revision. */
  apply(request: ApplyRequest): Promise<ApplyOutcome> {
    const size = request.files.reduce((sum, { text }) => sum + text.length, 0);
    return this.#large.run(size, () => this.#apply(request));
  }

  #apply(request: ApplyRequest): Promise<ApplyOutcome> {
    return this.#traced(request.parent, async (span) => {
      const { resources, problems: parsed } = await this.#validate(request, span);
      if (request.principal) {
        // A dry run that says "unchanged" of a Secret would confirm a guess.
        const asked = request.dryRun ? resources.filter(({ kind }) => kind === "Secret") : resources;
        checkNamespaces(request.principal, asked.map(targetOf));
      }
      refuseOwnDomain(resources, this.#options.reconciler.trustDomain);
      const { clock, users, ownSockets } = this.#options;
      ownSockets.refuse(resources);
      const problems = [...parsed, ...findExpiredCertificates(resources, clock.now()), ...findUnknownUsers(resources, users)];
      span.setAttribute(ATTRIBUTE.policyType, policyType(resources.map((resource) => resource.kind)));
      const puts = await eachInTurns(resources, (resource) => this.#putOf(resource, request));
      const { reconciler } = this.#options;
      const before = momentOf(reconciler);
      if (request.dryRun) {
        const found = await findingsOfChange(before, preview(before, reconciler.trustDomain, { puts: resources }), resources);
        return this.#dryRun(puts, [...problems, ...found]);
      }
      const outcome = await this.#commit({ puts, deletes: [], who: request.who, from: request.from }, span);
      // After the commit: the proxies do not wait for the analysis.
      return { ...outcome, problems: [...problems, ...(await findingsOfChange(before, momentOf(reconciler), resources))] };
    });
  }

  remove({ kind, namespace, name, expect, ...rest }: RemoveRequest): Promise<ApplyOutcome> {
    const item = { kind, namespace, name, expect };
    return this.#traced(rest.parent, async (span) => {
      await this.#find(item);
      const { missing: _, ...outcome } = await this.#remove({ ...rest, items: [item] }, span);
      return outcome;
    });
  }

  /** Commits the deletes of all that are there as one transaction. */
  removeAll(request: DeleteRequest): Promise<DeleteOutcome> {
    return this.#traced(request.parent, (span) => this.#remove(request, span));
  }

  async #remove({ items, who, from, dryRun, principal }: DeleteRequest, span: Span): Promise<DeleteOutcome> {
    if (principal && !dryRun) {
      checkNamespaces(
        principal,
        items.map(({ kind, namespace, name }) => ({ kind, namespace, what: `${kind} ${namespace}/${name}` })),
      );
    }
    span.setAttribute(ATTRIBUTE.policyType, policyType(items.map(({ kind }) => kind)));
    const seen = new Set<string>();
    const deletes: Delete[] = [];
    const dry: Change[] = [];
    const missing: ResourceId[] = [];
    for (const item of items) {
      const id = idOf(item);
      const key = resourceKey(id.kind, id.namespace, id.name);
      if (seen.has(key)) throw new WeftError("invalid", `${id.kind} ${id.namespace}/${id.name} is named twice`);
      seen.add(key);
      const found = await this.#options.store.get(id);
      // With a resourceVersion the caller has seen it: that it is gone is news.
      checkExpected(item, item.expect, found);
      if (!found) missing.push(id);
      else {
        deletes.push({ ...id, expect: item.expect });
        dry.push({ ...id, action: "deleted", resource: found });
      }
    }
    const { reconciler } = this.#options;
    const before = momentOf(reconciler);
    if (dryRun || deletes.length === 0) {
      const problems = await findingsOfChange(before, preview(before, reconciler.trustDomain, { deletes }), []);
      return { revision: before?.mesh.revision ?? 0, applied: dry.map(appliedOf), problems, missing };
    }
    const outcome = await this.#commit({ puts: [], deletes, who, from }, span);
    return { ...outcome, problems: await findingsOfChange(before, momentOf(reconciler), []), missing };
  }

  async list(...[filter, page]: Parameters<ControlPlane["list"]>): ReturnType<ControlPlane["list"]> {
    const { store } = this.#options;
    const { revision, resources, next }: Page = page ? await store.listPage(filter, page) : await store.list(filter);
    return { revision, items: resources.map(apiResourceOf), next };
  }

  async get(kind: string, namespace: string, name: string): Promise<ApiResource> {
    return apiResourceOf(await this.#find({ kind, namespace, name }));
  }

  async *watch(since: number, signal: AbortSignal): AsyncIterable<WatchMessage> {
    for await (const event of this.#options.store.watch(since, signal)) {
      if (event.type === "lost") yield event;
      else {
        const changes = event.changes.map((change) => ({ ...appliedOf(change), resource: apiResourceOf(change.resource) }));
        yield { type: "revision", revision: event.revision, changes };
      }
    }
  }

  async #traced<Outcome extends ApplyOutcome>(parent: SpanContext | undefined, work: (span: Span) => Promise<Outcome>): Promise<Outcome> {
    const { tracing, metrics } = this.#options;
    const span = tracing.startSpan("apply", { parent });
    try {
      const outcome = await work(span);
      const changed = outcome.applied.some((applied) => applied.action !== "unchanged");
      metrics.applies.inc({ result: changed ? "applied" : "unchanged" });
      span.end();
      return outcome;
    } catch (reason) {
      const { code } = WeftError.from(reason);
      metrics.applies.inc({ result: code === "invalid" || code === "conflict" ? code : "error" });
      failSpan(span, reason);
      throw reason;
    }
  }

  async #validate(request: ApplyRequest, parent: Span): Promise<ParsedDocuments> {
    const span = this.#options.tracing.startSpan("validate", { parent: parent.spanContext() });
    try {
      const parsed = await parseFiles(request);
      span.end();
      return parsed;
    } catch (reason) {
      failSpan(span, reason);
      throw reason;
    }
  }

  async #commit(transaction: Transaction, parent: Span): Promise<ApplyOutcome> {
    const { store, reconciler, journal, tracing } = this.#options;
    const span = tracing.startSpan("store", { parent: parent.spanContext() });
    let result: ApplyResult;
    try {
      result = await store.apply({ ...transaction, trace: traceParentOf(parent.spanContext()) });
      span.setAttribute(ATTRIBUTE.revision, result.revision);
      span.end();
    } catch (reason) {
      failSpan(span, reason);
      throw reason;
    }
    const { revision, changes } = result;
    if (changes.some((change) => change.action !== "unchanged")) journal.began(revision, parent.spanContext());
    for (const change of changes) if (change.action === "unchanged") reconciler.moved(change.resource);
    await reconciler.reached(revision);
    return { revision, applied: changes.map(appliedOf), problems: [] };
  }

  async #find(id: ResourceId): Promise<StoredResource> {
    const found = await this.#options.store.get(id);
    if (found) return found;
    throw new WeftError("not_found", `${id.kind} ${id.namespace}/${id.name} does not exist`, {
      help: `weft get ${id.kind} -n ${id.namespace} lists what there is`,
    });
  }

  async #putOf(resource: AnyResource, { expect, principal }: ApplyRequest): Promise<Put> {
    const id = { kind: resource.kind, namespace: resource.metadata.namespace, name: resource.metadata.name };
    const put = {
      ...id,
      document: this.#options.seal.close(documentOf(await this.#asWritten(resource, id, principal?.role !== "editor"))),
      source: { ...resource.source },
    };
    if (expect === "present") return { ...put, expect: (await this.#find(id)).revision };
    if (expect !== undefined) return { ...put, expect };
    const { resourceVersion } = resource.metadata;
    if (resourceVersion === undefined) return put;
    if (!/^\d+$/.test(resourceVersion)) {
      throw new WeftError(
        "conflict",
        `${id.kind} ${id.namespace}/${id.name}: resourceVersion "${resourceVersion}" is none of this store's`,
        {
          help: "remove metadata.resourceVersion, or take it from `weft get -o yaml`",
        },
      );
    }
    return { ...put, expect: Number(resourceVersion) };
  }

  /**
   * Without the creationTimestamp that the store itself gave out: what `weft get` prints must be unchanged when it is applied. Age decides among
   * resources, of other namespaces' too, so `mayDate` is for those who may change all of them.
   */
  async #asWritten(resource: AnyResource, id: ResourceId, mayDate: boolean): Promise<AnyResource> {
    const { creationTimestamp, ...metadata } = resource.metadata;
    if (creationTimestamp === undefined) return resource;
    const found = await this.#options.store.get(id);
    const written = (found?.document.metadata as { readonly creationTimestamp?: string } | undefined)?.creationTimestamp;
    if (written === creationTimestamp) return resource;
    return !mayDate || (written === undefined && found?.createdAt === creationTimestamp) ? { ...resource, metadata } : resource;
  }

  /** What an apply would do, by the same comparison as the store makes; commits nothing. */
  async #dryRun(puts: readonly Put[], problems: readonly Problem[]): Promise<ApplyOutcome> {
    const applied = await eachInTurns(puts, async (put): Promise<Applied> => {
      const found = await this.#options.store.get(put);
      checkExpected(put, put.expect, found);
      const same = found && canonicalJson(found.document) === canonicalJson(put.document);
      const action = same ? "unchanged" : found ? "updated" : "created";
      return { ...idOf(put), action, resourceVersion: found ? String(found.revision) : "" };
    });
    return { revision: this.#options.reconciler.mesh?.revision ?? 0, applied, problems };
  }
}

/** @throws WeftError "invalid" with every error of every file; the warnings come back. */
async function parseFiles(request: ApplyRequest): Promise<ParsedDocuments> {
  const resources: AnyResource[] = [];
  const problems: Problem[] = [];
  const seen = new Map<string, AnyResource>();
  for (const file of request.files) {
    const parsed = await inTurns(parseInSteps(file.text, file.file));
    problems.push(...parsed.problems);
    for (const resource of parsed.resources) {
      const key = resourceKey(resource.kind, resource.metadata.namespace, resource.metadata.name);
      const first = seen.get(key);
      if (first) problems.push(duplicate(resource, first));
      seen.set(key, resource);
      resources.push(resource);
    }
  }
  const errors = problems.filter((found) => found.severity === "error");
  if (errors.length > 0) {
    const count = errors.length === 1 ? "1 error" : `${errors.length} errors`;
    throw new WeftError("invalid", `nothing was applied: ${count} in the input`, { problems });
  }
  if (resources.length === 0) throw new WeftError("invalid", "the input holds no resource");
  const [only] = resources;
  if (request.only && only) {
    const { kind, namespace, name } = request.only;
    const matches = only.kind === kind && only.metadata.namespace === namespace && only.metadata.name === name;
    if (resources.length !== 1 || !matches) {
      throw new WeftError("invalid", `the body must hold exactly ${kind} ${namespace}/${name}`, {
        help: "make kind, metadata.namespace and metadata.name those of the address, or use POST /v1/apply",
      });
    }
  }
  return { resources, problems };
}

function targetOf({ kind, metadata: { namespace, name }, source }: AnyResource): { kind: string; namespace: string; what: string } {
  return { kind, namespace, what: `${source.file}:${source.lines[""] ?? 1}: ${kind} ${namespace}/${name}` };
}

function duplicate(resource: AnyResource, first: AnyResource): Problem {
  const { kind, metadata, source } = resource;
  return problem("duplicateResource", {
    message: `${kind} ${metadata.namespace}/${metadata.name} stands in ${first.source.file}:${first.source.lines[""] ?? 1} already`,
    file: source.file,
    line: source.lines[""] ?? 1,
    column: 1,
    help: "keep one of the two",
    resource: { kind, namespace: metadata.namespace, name: metadata.name },
  });
}

function checkExpected(id: ResourceId, expect: number | "absent" | undefined, found: StoredResource | undefined): void {
  const actual = found?.revision ?? "absent";
  if (expect === undefined || expect === actual) return;
  throw new WeftError("conflict", `${id.kind} ${id.namespace}/${id.name} is at resourceVersion ${actual}, not ${expect}`);
}

function idOf(resource: ResourceId): ResourceId {
  return { kind: resource.kind, namespace: resource.namespace, name: resource.name };
}

function appliedOf(change: Change): Applied {
  return { ...idOf(change), action: change.action, resourceVersion: String(change.resource.revision) };
}

/** The stored document with the metadata that the store keeps, as Kubernetes' clients know it; private values of Secrets replaced. */
export function apiResourceOf(stored: StoredResource): ApiResource {
  const shown = shownDocument(stored.document) as { apiVersion: string; metadata?: Record<string, unknown>; spec?: unknown };
  const metadata = {
    creationTimestamp: stored.createdAt,
    ...shown.metadata,
    name: stored.name,
    namespace: stored.namespace,
    uid: stored.uid,
    resourceVersion: String(stored.revision),
  };
  return { ...shown, kind: stored.kind, metadata, ...(stored.kind === "Secret" ? {} : { spec: shown.spec ?? {} }) };
}
