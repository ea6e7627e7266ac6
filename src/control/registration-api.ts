/** WorkloadGroups as the admin API serves them: who may register what, and report what. */
import type { Registrar, RegistrationControl } from "../admin/registration.ts";
import type { WorkloadIdentity, WorkloadTokens } from "../ca/index.ts";
import { WeftError } from "../lib/errors.ts";
import { buildMesh } from "../mesh/build.ts";
import { ANNOTATION, parseAddressPort, resourceFromStored } from "../model/index.ts";
import { probePlanOf } from "../model/readiness-probe.ts";
import type { AnyResource } from "../model/resource.ts";
import { serviceAccountOf } from "../model/workload-group.ts";
import { envoyBootstrap } from "../proxy/bootstrap.ts";
import { type AdsPlaces, adsOf } from "./ads-places.ts";
import type { AuditTrail } from "./audit-trail.ts";
import type { Presence } from "./presence.ts";
import { timestamp } from "./proxy-status.ts";
import type { Reconciler } from "./reconciler.ts";
import type { Registrations } from "./registration.ts";
import { entryOf } from "./registration-request.ts";
import type { WorkloadHealthKeeper } from "./workload-health.ts";

export interface RegistrationApiParts {
  readonly audit: AuditTrail;
  readonly registrations: Registrations;
  readonly workloadHealth: WorkloadHealthKeeper;
  readonly tokens: WorkloadTokens;
  readonly reconciler: Reconciler;
  readonly ads: AdsPlaces;
  /** This node's name. */
  readonly node: string;
  readonly presence: Pick<Presence, "isShared">;
}

export function createRegistrationApi({
  audit,
  registrations,
  workloadHealth,
  tokens,
  reconciler,
  ads,
  node,
  presence,
}: RegistrationApiParts): RegistrationControl {
  return {
    async issueGroupToken(name, caller, ttlSeconds) {
      const group = registrations.group(name);
      const serviceAccount = serviceAccountOf(group.spec);
      await audit.done({ ...caller, action: "issue-token", targets: [`WorkloadGroup ${nameOf(name)}`] });
      const { token, expiresAt } = await tokens.issueForGroup(
        { ...name, serviceAccount },
        ttlSeconds === undefined ? undefined : ttlSeconds * 1000,
      );
      return { token, expires: timestamp(expiresAt), workload_group: nameOf(name) };
    },

    async register({ ads: reachedAt, ...request }, caller) {
      // Whose token it is comes before anything that tells what there is.
      const bearer = caller.isAdmin ? undefined : await tokens.verifyGroupHeader(caller.authorization);
      if (bearer && nameOf(bearer) !== nameOf(request.group)) {
        throw new WeftError("forbidden", `this token is for instances of WorkloadGroup ${nameOf(bearer)}, not ${nameOf(request.group)}`, {
          help: `weft token --workload-group ${nameOf(request.group)} makes one`,
        });
      }
      const serviceAccount = serviceAccountOf(registrations.group(request.group).spec);
      if (bearer && bearer.serviceAccount !== serviceAccount) {
        throw new WeftError(
          "forbidden",
          `this token is for service account ${bearer.serviceAccount}, and the group has ${serviceAccount} by now`,
          {
            help: `weft token --workload-group ${nameOf(request.group)} makes a new one`,
          },
        );
      }
      const place = adsOf(ads, { ads: reachedAt });
      const { workload, group } = registrations.register(request);
      await audit.done({
        who: bearer ? `token of WorkloadGroup ${nameOf(bearer)}` : caller.who,
        from: caller.from,
        action: "register",
        targets: [`workload ${nameOf(workload)}`],
      });
      // Again: it may have been revoked while that was written down, and what is issued now is of the new epoch.
      if (bearer) await tokens.verifyGroupHeader(caller.authorization);
      const { token, expiresAt } = await tokens.issue(workload, undefined, workload.registered);
      const { probe } = group.spec;
      const entry = resourceFromStored({ ...entryOf(group, workload.registered), createdAt: timestamp(0) });
      return {
        workload: nameOf(workload),
        expires: timestamp(expiresAt),
        bootstrap: envoyBootstrap({
          workload,
          token,
          ads: place,
          envoyAdmin: addressIn(entry, ANNOTATION.envoyAdmin),
          prometheus: addressIn(entry, ANNOTATION.prometheus),
          process: processOf(entry, workload),
        }),
        ...(probe ? { probe: probePlanOf(probe, workload.registered.address) } : {}),
      };
    },

    async reportHealth(workload, health, caller) {
      await authorize(workload, caller);
      const key = nameOf(workload);
      const known = reconciler.mesh?.workloads.get(key);
      if (known?.group === undefined) {
        throw new WeftError("not_found", `no instance of a WorkloadGroup is registered as ${key}`, {
          help: "its proxy registers it when it connects",
        });
      }
      if (presence.isShared && known.node !== undefined && known.node !== node) {
        throw new WeftError("conflict", `${key} is registered with node ${known.node}, and this is ${node}`, {
          help: "report to the node that its proxy is connected to: others believe no one else",
        });
      }
      workloadHealth.report(key, health);
    },
  };

  async function authorize(workload: { readonly namespace: string; readonly name: string }, caller: Registrar): Promise<void> {
    if (caller.isAdmin) return;
    const bearer = await tokens.verifyHeader(caller.authorization);
    if (nameOf(bearer) === nameOf(workload)) return;
    throw new WeftError("forbidden", `this token is ${nameOf(bearer)}'s, and says nothing of ${nameOf(workload)}`);
  }

  /** How its Envoy is to be started, which the mesh says once the workload is in it. */
  function processOf(entry: AnyResource, workload: WorkloadIdentity) {
    const deciding = reconciler.built.filter(({ kind }) => kind === "ProxyConfig" || kind === "MeshConfig");
    const { processes } = buildMesh([...deciding, entry], { revision: 0, trustDomain: reconciler.trustDomain });
    return processes.get(nameOf(workload));
  }
}

const nameOf = ({ namespace, name }: { readonly namespace: string; readonly name: string }) => `${namespace}/${name}`;

/** The address that an annotation of a WorkloadEntry names, such as weft.dev/envoy-admin; undefined where it has none. */
export function addressIn(entry: AnyResource | undefined, annotation: string): { address: string; port: number } | undefined {
  const text = entry?.metadata.annotations[annotation];
  const parsed = text === undefined ? undefined : parseAddressPort(text);
  return parsed && "value" in parsed ? parsed.value : undefined;
}
