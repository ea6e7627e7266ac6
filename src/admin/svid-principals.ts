/** Workloads that may call the admin API over TLS by their X.509-SVID, as the configuration names them. */
import { type Principal, ROLES, type Role } from "./access.ts";

export interface SvidPrincipal {
  readonly spiffeId: string;
  readonly role: Role;
  /** Of an editor: at least one. */
  readonly namespaces: readonly string[];
}

/** Section 2 of the SPIFFE-ID standard; a workload's, so with a path. */
const SPIFFE_ID = /^spiffe:\/\/[a-z0-9._-]{1,255}(?:\/(?!\.{1,2}(?:\/|$))[a-zA-Z0-9._-]+)+$/;
const NAMESPACE = /^[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?$/;

/**
 * "spiffe://mesh.local/ns/ops/sa/deployer=editor:shop,pay;spiffe://mesh.local/ns/ops/sa/root=admin".
 * @returns undefined where it cannot be read, or names one twice
 */
export function parseSvidPrincipals(text: string): readonly SvidPrincipal[] | undefined {
  const principals: SvidPrincipal[] = [];
  for (const item of text.split(";").map((one) => one.trim())) {
    if (item === "") continue;
    const [, spiffeId = "", name, list] = /^([^=\s]+)=([a-z]+)(?::([^:\s]+))?$/.exec(item) ?? [];
    const role = ROLES.find((known) => known === name);
    const namespaces = list?.split(",") ?? [];
    if (!SPIFFE_ID.test(spiffeId) || spiffeId.length > 2048 || !role || !namespaces.every((one) => NAMESPACE.test(one))) return undefined;
    if ((role === "editor") !== namespaces.length > 0 || principals.some((known) => known.spiffeId === spiffeId)) return undefined;
    principals.push({ spiffeId, role, namespaces });
  }
  return principals;
}

/** Whom the configuration makes of `spiffeId`, which was proved; undefined where it does not name it. */
export function principalOfSvid(spiffeId: string, principals: readonly SvidPrincipal[]): Principal | undefined {
  const found = principals.find((one) => one.spiffeId === spiffeId);
  return found && { who: spiffeId, role: found.role, namespaces: found.namespaces };
}
