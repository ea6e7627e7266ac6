/** One document as one resource: its envelope, its metadata, its spec, and what they mean together. */
import * as v from "valibot";
import type { Problem } from "../lib/problem.ts";
import { checkAnnotations } from "./annotations.ts";
import { isDnsLabel } from "./check.ts";
import { problem } from "./codes.ts";
import { checkIstioMetadata } from "./istio-metadata.ts";
import { apiVersionsOf, KIND_ALIASES, KINDS, type KindInfo, LATER_KINDS } from "./kinds.ts";
import { type MetadataInput, MetadataSchema, metadataOf, ROOT_NAMESPACE, withoutNulls } from "./metadata.ts";
import { readNoneAsDisable } from "./peer-authentication.ts";
import { sourceOf } from "./places.ts";
import type { AnyResource, Kind } from "./resource.ts";
import { readRootNamespace } from "./root-namespace.ts";
import { type Finding, isMapping, type Path, type Report, suggestion } from "./schema.ts";
import { secretSpec } from "./secret.ts";
import { nearest } from "./suggest.ts";
import { checkWorkload } from "./workload-entry-check.ts";
import type { RawDocument } from "./yaml-reader.ts";

const ENVELOPE = ["apiVersion", "kind", "metadata", "spec", "status"];

/** Kinds of Kubernetes that people apply together with Istio's. */
const KUBERNETES = new Set([
  "ConfigMap",
  "DaemonSet",
  "Deployment",
  "Ingress",
  "Namespace",
  "Pod",
  "Service",
  "ServiceAccount",
  "StatefulSet",
]);

/** The resource of `raw`, unless it has an error, and all problems of it. */
export function parseResource(raw: RawDocument, file: string): { resource?: AnyResource; problems: Problem[] } {
  const problems: Problem[] = [];
  const { value, places } = raw;
  let identity: Problem["resource"];
  const report: Report = (name, message, { path = [], help, atKey, severity } = {}) => {
    problems.push(
      problem(name, { severity, message: messageOf(path, message), file, ...places.find(path, atKey), help, resource: identity }),
    );
  };
  if (!isMapping(value)) {
    report("notAResource", "the document is no mapping with apiVersion, kind, metadata and spec");
    return { problems };
  }
  const info = readKind(value, report);
  if (!info) return { problems };
  const { kind } = info;
  for (const key of Object.keys(value)) {
    if (!info.isFlat && !ENVELOPE.includes(key))
      report("unknownField", "is no known field", { path: [key], atKey: true, help: misplaced(key, info) });
  }
  const metadata = readMetadata(value.metadata, kind, report);
  if (metadata) identity = { kind, namespace: metadata.namespace, name: metadata.name };
  const spec = info.isFlat ? flatBody(value) : value.spec === undefined ? {} : value.spec;
  if (kind === "PeerAuthentication") readNoneAsDisable(spec);
  readRootNamespace(kind, spec);
  const result = v.safeParse(info.schema, spec);
  reportIssues(result.issues ?? [], info.isFlat ? [] : ["spec"], report);
  if (metadata) {
    checkAnnotations(kind, metadata.annotations, report);
    // Part of the names of its route tables (Istio's ValidateGateway).
    if (kind === "Gateway" && !isDnsLabel(metadata.name)) {
      report("badName", `a Gateway's name has no dots, and at most 63 characters: ${metadata.name}`, { path: ["metadata", "name"] });
    }
    if (kind === "MeshConfig" && metadata.namespace !== ROOT_NAMESPACE) {
      report("badMetadata", `a MeshConfig belongs to namespace ${ROOT_NAMESPACE}`, { path: ["metadata", "namespace"] });
    }
  }
  if (!metadata || !result.typed) return { problems };
  const apiVersion = String(value.apiVersion);
  const kept = kind === "Secret" ? secretSpec(result.output as Parameters<typeof secretSpec>[0]) : spec;
  const resource = { apiVersion, kind, metadata, spec: kept, source: sourceOf(file, places) } as AnyResource;
  checkWorkload(resource, report);
  checkIstioMetadata(resource, report);
  return problems.some((found) => found.severity === "error") ? { problems } : { resource, problems };
}

/** What stands beside the envelope. */
function flatBody({ apiVersion: _, kind: __, metadata: ___, ...body }: Readonly<Record<string, unknown>>): unknown {
  return body;
}

function messageOf(path: Path, message: string): string {
  if (path.length === 0) return message;
  let place = "";
  for (const part of path) {
    if (typeof part === "number") place += `[${part}]`;
    else place += /^[A-Za-z0-9_-]+$/.test(part) ? `${place ? "." : ""}${part}` : `[${JSON.stringify(part)}]`;
  }
  return `${place}: ${message}`;
}

function reportIssues(issues: readonly v.BaseIssue<unknown>[], prefix: Path, report: Report): void {
  for (const issue of issues) {
    const path = [...prefix, ...(issue.path ?? []).map((item) => item.key as string | number)];
    const { name, severity, help, atKey } = issue.requirement as Finding;
    report(name, issue.message, { path, severity, help, atKey });
  }
}

/** What kind the document is, if weft serves it in that version. */
function readKind(value: Readonly<Record<string, unknown>>, report: Report): KindInfo | undefined {
  const { apiVersion, kind: written } = value;
  if (typeof written !== "string" || typeof apiVersion !== "string") {
    for (const key of ["apiVersion", "kind"]) {
      if (value[key] === undefined)
        report("notAResource", `the document has no ${key}`, { help: closeKey(value, key) ?? versionHint(key, written) });
      else if (typeof value[key] !== "string") report("wrongType", "must be a string", { path: [key] });
    }
    return undefined;
  }
  const kind = Object.hasOwn(KIND_ALIASES, written) ? (KIND_ALIASES[written] ?? written) : written;
  if (!Object.hasOwn(KINDS, kind)) {
    const at = { path: ["kind"] };
    if (LATER_KINDS.has(kind)) report("notYet", `kind ${kind} is not translated yet`, at);
    else {
      let help = `kinds: ${Object.keys(KINDS).join(", ")}`;
      if (KUBERNETES.has(kind))
        help = "kinds of Kubernetes have no meaning without Kubernetes: a ServiceEntry describes a service, a WorkloadEntry an instance";
      const near = nearest(kind, [...Object.keys(KINDS), ...LATER_KINDS]);
      report("unknownKind", `there is no kind ${JSON.stringify(kind)}`, { ...at, help: near ? `did you mean ${near}?` : help });
    }
    return undefined;
  }
  const info: KindInfo = KINDS[kind as Kind];
  const known = apiVersionsOf(info);
  if (!known.includes(apiVersion)) {
    const wanted = known.length > 1 ? `one of ${known.join(", ")}` : known.join();
    report("badApiVersion", `must be ${wanted} for ${kind}, not ${JSON.stringify(apiVersion)}`, { path: ["apiVersion"] });
  }
  return info;
}

function closeKey(value: Readonly<Record<string, unknown>>, key: string): string | undefined {
  const near = nearest(
    key,
    Object.keys(value).filter((other) => !ENVELOPE.includes(other)),
  );
  return near && `is ${near} meant to be ${key}?`;
}

/** What to write where the kind stands there and its version does not. */
function versionHint(key: string, kind: unknown): string | undefined {
  if (key !== "apiVersion" || typeof kind !== "string" || !Object.hasOwn(KINDS, kind)) return undefined;
  return `add apiVersion: ${apiVersionsOf(KINDS[kind as Kind])[0]}`;
}

/** A field of the spec that stands beside it is the usual reason for an unknown one. */
function misplaced(key: string, info: KindInfo): string {
  const fields = Object.keys((info.schema as unknown as { readonly entries: object }).entries);
  if (fields.includes(key)) return `${key} belongs under spec: check the indentation`;
  if (["name", "namespace", "labels", "annotations"].includes(key)) return `${key} belongs under metadata: check the indentation`;
  return suggestion(key, ENVELOPE.slice(0, 4));
}

function readMetadata(input: unknown, kind: Kind, report: Report) {
  if (input === undefined) {
    report("missing", "the document has no metadata.name", { help: "add metadata: {name: ...}" });
    return undefined;
  }
  const result = v.safeParse(MetadataSchema, isMapping(input) ? withoutNulls(input) : input);
  reportIssues(result.issues ?? [], ["metadata"], report);
  return result.typed ? metadataOf(result.output as MetadataInput, kind) : undefined;
}
