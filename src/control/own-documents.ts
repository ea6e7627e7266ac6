/** The documents by which weft is a workload of its own mesh: ServiceEntry weft, and a WorkloadEntry for each node, both in the root namespace. */
import { WeftError } from "../lib/errors.ts";
import { OWN_SERVICE_ACCOUNT } from "../mesh/own-workload.ts";
import { ANNOTATION, parseAppAnnotation } from "../model/annotations.ts";
import type { Document, ResourceId, StoredResource } from "../store/store.ts";

const NAMESPACE = "weft-system";
const NAME = "weft";
/** Kubernetes' recommended label: who writes a document without it makes it their own, and weft leaves it alone. */
const MANAGED = { "app.kubernetes.io/managed-by": "weft" } as const;
const SELECTED = { app: NAME } as const;

/** As callers name it. */
const ADMIN_PORT = 15014;
const ADMIN = "http-admin";
/** weft's own listener, with mutual TLS of its own: no sidecar stands before it. */
const RPC = "tls-cluster";
const RPC_PORT = 15016;

/** Where a node is in the mesh. */
export interface OwnPlace {
  readonly node: string;
  /** IP address on which its sidecar takes calls. */
  readonly address: string;
  readonly port: number;
  /** Absolute path of the admin API's socket for the sidecar. */
  readonly socket: string;
  /** Of the node-to-node RPC; undefined where that is off. */
  readonly rpcPort?: number;
}

/**
 * `place`, if its sidecar can be there.
 * @param taken where weft itself listens on TCP
 * @throws WeftError "invalid"
 */
export function ownPlace(place: OwnPlace, taken: readonly ({ readonly host: string; readonly port: number } | undefined)[]): OwnPlace {
  const { address, port, socket } = place;
  if (taken.some((other) => other?.port === port && [address, "0.0.0.0", "::"].includes(other.host))) {
    throw new WeftError("invalid", `--in-mesh: weft itself listens on ${address}:${port}, where its sidecar would`, {
      help: "give the sidecar another port: --in-mesh ADDRESS:PORT",
    });
  }
  const parsed = parseAppAnnotation(appOf(socket));
  if ("error" in parsed) {
    throw new WeftError("invalid", `--in-mesh: ${parsed.error}`, {
      help: "choose a data directory without spaces, commas and '=' in its path",
    });
  }
  return place;
}

const appOf = (socket: string) => `${ADMIN}=unix://${socket}`;

interface ServicePort {
  readonly number: number;
  readonly name: string;
  readonly protocol: string;
}

export const OWN_SERVICE: ResourceId = { kind: "ServiceEntry", namespace: NAMESPACE, name: NAME };
export const ownEntryId = (node: string): ResourceId => ({ kind: "WorkloadEntry", namespace: NAMESPACE, name: `${NAME}-${node}` });

/**
 * Nodes of one mesh may differ: a port that one of them needs stays, and what a newer weft says besides, so that they do not write against each other. What
 * this one says holds, whoever changed it.
 */
export function ownService({ rpcPort }: OwnPlace, before?: Document): Document {
  const admin: ServicePort = { number: ADMIN_PORT, name: ADMIN, protocol: "HTTP" };
  const rpc: ServicePort = { number: RPC_PORT, name: RPC, protocol: "TLS" };
  const spec = (before?.spec ?? {}) as { readonly ports?: readonly ServicePort[] };
  const known = (spec.ports ?? []).flatMap((port) => {
    const own = [admin, rpc].find(({ name }) => name === port.name);
    // A number that another name took is given back.
    return own ?? ([ADMIN_PORT, RPC_PORT].includes(port.number) ? [] : port);
  });
  const missing = [admin, ...(rpcPort === undefined ? [] : [rpc])].filter(({ name }) => !known.some((port) => port.name === name));
  return {
    apiVersion: "networking.istio.io/v1",
    kind: OWN_SERVICE.kind,
    metadata: before?.metadata ?? { name: NAME, namespace: NAMESPACE, labels: { ...MANAGED } },
    spec: {
      ...spec,
      hosts: [`${NAME}.${NAMESPACE}.mesh.local`],
      location: "MESH_INTERNAL",
      resolution: "STATIC",
      ports: [...known, ...missing],
      workloadSelector: { labels: { ...SELECTED } },
    },
  };
}

export function ownEntry({ node, address, port, socket, rpcPort }: OwnPlace): Document {
  return {
    apiVersion: "networking.istio.io/v1",
    kind: "WorkloadEntry",
    metadata: {
      name: ownEntryId(node).name,
      namespace: NAMESPACE,
      labels: { ...MANAGED },
      annotations: { [ANNOTATION.app]: appOf(socket), [ANNOTATION.node]: node },
    },
    spec: {
      address,
      labels: { ...SELECTED },
      serviceAccount: OWN_SERVICE_ACCOUNT,
      ports: { [ADMIN]: port, ...(rpcPort === undefined ? {} : { [RPC]: rpcPort }) },
    },
  };
}

interface Metadata {
  readonly labels?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
}

const metadataOf = ({ document }: StoredResource) => (document.metadata ?? {}) as Metadata;

export const isManaged = (stored: StoredResource): boolean =>
  Object.entries(MANAGED).every(([key, value]) => metadataOf(stored).labels?.[key] === value);

export const nodeOf = (stored: StoredResource): string | undefined => metadataOf(stored).annotations?.[ANNOTATION.node];

/** Whether it is some node's own entry. */
export const isOwnEntry = (stored: StoredResource): boolean =>
  isManaged(stored) &&
  stored.namespace === NAMESPACE &&
  (stored.document.spec as { serviceAccount?: string }).serviceAccount === OWN_SERVICE_ACCOUNT;
