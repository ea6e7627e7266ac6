/**
 * SPIFFE IDs, by the SPIFFE-ID standard, section 2 (https://github.com/spiffe/spiffe/blob/main/standards/SPIFFE-ID.md). An ID is valid
 * or it is not: it is never normalised, because two spellings of one identity are how policies are got around.
 */
import { WeftError } from "../lib/errors.ts";

export interface SpiffeId {
  readonly trustDomain: string;
  /** "" or "/a/b". */
  readonly path: string;
}

const SCHEME = "spiffe://";
/** 2.3: longer ones should not be made; nobody has to take them. */
const LONGEST_ID = 2048;
/** 2.1: a trust domain's name, as a URI's host (RFC 3986, 3.2.2). */
const LONGEST_TRUST_DOMAIN = 255;
const TRUST_DOMAIN = /^[a-z0-9._-]+$/;
const SEGMENT = /^[a-zA-Z0-9._-]+$/;

/** `name` itself. @throws WeftError "invalid" saying what is wrong with it. */
export function parseTrustDomain(name: string): string {
  if (name === "") throw invalid("the trust domain is empty", 'give a name such as "mesh.local"');
  if (name.startsWith(SCHEME)) throw invalid(`trust domain "${name}" has a scheme`, `write it as "${name.slice(SCHEME.length)}"`);
  if (name.length > LONGEST_TRUST_DOMAIN) throw invalid(`the trust domain is longer than ${LONGEST_TRUST_DOMAIN} characters`);
  if (!TRUST_DOMAIN.test(name)) {
    throw invalid(`trust domain "${name}" is not valid`, 'use lower-case letters, digits, ".", "-" and "_" only; no port, no path');
  }
  return name;
}

/** @throws WeftError "invalid" saying what is wrong with it. */
export function parseSpiffeId(id: string): SpiffeId {
  if (id.length > LONGEST_ID) throw invalid(`the SPIFFE ID is longer than ${LONGEST_ID} bytes`);
  if (!id.startsWith(SCHEME)) throw invalid(`"${id}" is no SPIFFE ID`, `it must start with "${SCHEME}"`);
  const rest = id.slice(SCHEME.length);
  const slash = rest.indexOf("/");
  const trustDomain = parseTrustDomain(slash < 0 ? rest : rest.slice(0, slash));
  const path = slash < 0 ? "" : rest.slice(slash);
  for (const segment of path.split("/").slice(1)) checkSegment(segment, id);
  return { trustDomain, path };
}

/** "spiffe://TRUST_DOMAIN/PATH". */
export function formatSpiffeId({ trustDomain, path }: SpiffeId): string {
  return `${SCHEME}${trustDomain}${path}`;
}

/** The ID of a trust domain itself, which its CA certificate carries. */
export function trustDomainId(trustDomain: string): string {
  return formatSpiffeId({ trustDomain: parseTrustDomain(trustDomain), path: "" });
}

/** spiffe://TRUST_DOMAIN/ns/NAMESPACE/sa/SERVICE_ACCOUNT, as Istio names workloads. @throws WeftError "invalid" */
export function workloadSpiffeId(trustDomain: string, namespace: string, serviceAccount: string): string {
  const path = `/ns/${namespace}/sa/${serviceAccount}`;
  const id = formatSpiffeId({ trustDomain, path });
  parseSpiffeId(id);
  // A name with a slash would be a different, longer path, and someone else's identity.
  if (namespace.includes("/") || serviceAccount.includes("/")) throw invalid(`"${id}": a name in it contains a slash`);
  return id;
}

/** What weft keeps for itself: no workload's ID, which begins with /ns/, lies there. */
const RESERVED = "/weft";
const NODE = `${RESERVED}/node/`;

/** Whether the path of an ID is weft's own, and no workload's. */
export const isReserved = (path: string): boolean => path === RESERVED || path.startsWith(`${RESERVED}/`);

/** spiffe://TRUST_DOMAIN/weft/node/NAME: a weft that is part of the mesh, as the others know it. @throws WeftError "invalid" */
export function nodeSpiffeId(trustDomain: string, node: string): string {
  const id = formatSpiffeId({ trustDomain, path: `${NODE}${node}` });
  parseSpiffeId(id);
  if (node.includes("/")) throw invalid(`"${id}": the node's name contains a slash`);
  return id;
}

/** The node whose ID it is; undefined where it is none's. */
export function nodeOfSpiffeId({ path }: SpiffeId): string | undefined {
  const node = path.startsWith(NODE) ? path.slice(NODE.length) : "";
  return node === "" || node.includes("/") ? undefined : node;
}

function checkSegment(segment: string, id: string): void {
  if (segment === "") throw invalid(`SPIFFE ID "${id}" has an empty path segment`, "no slash at the end, none doubled");
  if (segment === "." || segment === "..") throw invalid(`SPIFFE ID "${id}" has a relative path segment "${segment}"`);
  if (!SEGMENT.test(segment)) {
    throw invalid(`SPIFFE ID "${id}" has a path segment that is not valid`, 'use letters, digits, ".", "-" and "_" only');
  }
}

function invalid(message: string, help?: string): WeftError {
  return new WeftError("invalid", message, { help });
}
