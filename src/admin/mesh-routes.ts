/** What is in force: services, proxies, convergence; and identity: tokens, bootstraps, the CA. */
import type { Hono } from "hono";
import { WeftError } from "../lib/errors.ts";
import { readNamespace } from "../model/index.ts";
import { checkNamespaces } from "./access.ts";
import {
  type AdminContext,
  type AdminEnv,
  callerOf,
  principalOf,
  queryOf,
  type RouteContext,
  reply,
  revisionOf,
  secondsOf,
  workloadOf,
} from "./context.ts";
import type { ControlPlane } from "./control-plane.ts";
import { readObject } from "./input.ts";
import { describe, query } from "./openapi.ts";
import {
  AnySchema,
  BootstrapRequestSchema,
  ConvergenceSchema,
  FindingsSchema,
  JwksListSchema,
  MtlsReportSchema,
  ProxyListSchema,
  RevocationRequestSchema,
  RevocationSchema,
  ServiceListSchema,
  TokenRequestSchema,
  TokenSchema,
} from "./schemas.ts";

export function meshRoutes(app: Hono<AdminEnv>, { control }: RouteContext): void {
  app.get(
    "/v1/services",
    describe({
      id: "listServices",
      summary: "Services, with their mTLS mode and workloads",
      tag: "services",
      parameters: [query("namespace", "Namespace")],
      reply: ServiceListSchema,
    }),
    (c) => reply(c, { items: control.services(readNamespace(queryOf(c, ["namespace"]).namespace ?? "") || undefined) }),
  );

  app.get(
    "/v1/services/:service/mtls",
    describe({
      id: "getServiceMtls",
      summary: "The effective mTLS mode of a service, from the store and the live proxies",
      tag: "services",
      parameters: [query("namespace", 'Where a short name is looked up; "default" where absent.')],
      reply: MtlsReportSchema,
      problems: [404],
    }),
    (c) => reply(c, control.mtls(c.req.param("service"), readNamespace(queryOf(c, ["namespace"]).namespace || "default"))),
  );

  app.get(
    "/v1/check",
    describe({
      id: "checkMesh",
      summary: "Findings across all resources: references that lead nowhere, routes that are never reached, conflicts",
      tag: "resources",
      reply: FindingsSchema,
    }),
    async (c) => {
      queryOf(c, []);
      return reply(c, await control.check());
    },
  );

  app.get(
    "/v1/jwks",
    describe({
      id: "listJwks",
      summary: "The keys by which proxies verify tokens, where a RequestAuthentication refers to them by URI: fetched when, or why not",
      tag: "identity",
      reply: JwksListSchema,
    }),
    (c) => {
      queryOf(c, []);
      return reply(c, { items: control.jwks() });
    },
  );

  app.get(
    "/v1/proxies",
    describe({ id: "listProxies", summary: "Connected proxies, with what each ACKed and refused", tag: "proxies", reply: ProxyListSchema }),
    (c) => {
      queryOf(c, []);
      return reply(c, { items: control.proxies(), ...control.otherNodes() });
    },
  );

  const CONFIG = {
    summary: "A proxy's configuration as pushed, private keys redacted",
    tag: "proxies",
    reply: AnySchema,
    problems: [404],
  } as const;
  app.get("/v1/proxies/:namespace/:name/config", describe({ ...CONFIG, id: "getProxyConfig" }), (c) => {
    queryOf(c, []);
    return reply(c, control.proxyConfig(`${readNamespace(c.req.param("namespace"))}/${c.req.param("name")}`));
  });
  app.get("/v1/proxies/:id/config", describe({ ...CONFIG, id: "getProxyConfigById" }), (c) => {
    queryOf(c, []);
    const { namespace, name } = workloadOf(c.req.param("id"));
    return reply(c, control.proxyConfig(`${namespace}/${name}`));
  });

  app.get(
    "/v1/convergence",
    describe({
      id: "getConvergence",
      summary: "Whether a revision is in force: the proxies that ACKed it, refused it, or have not answered",
      tag: "proxies",
      parameters: [{ ...query("revision", "Revision of the store", "integer"), required: true }],
      reply: ConvergenceSchema,
      problems: [400],
    }),
    (c) => {
      const revision = revisionOf(queryOf(c, ["revision"]).revision ?? "", "revision");
      return reply(c, { revision, ...control.convergence(revision) });
    },
  );
}

/** A workload's token is its identity. @throws WeftError "forbidden" */
function checkWorkload(c: AdminContext, control: ControlPlane, workload: { readonly namespace: string; readonly name: string }): void {
  const { namespace, name } = workload;
  checkNamespaces(principalOf(c), [{ namespace, what: `workload ${namespace}/${name}` }]);
  if (principalOf(c).role !== "admin" && control.isOwn(workload)) {
    throw new WeftError(
      "forbidden",
      `workload ${namespace}/${name} is weft itself: who has its identity is weft to every proxy, so it is for admins`,
    );
  }
}

export function identityRoutes(app: Hono<AdminEnv>, { control }: RouteContext): void {
  app.post(
    "/v1/tokens",
    describe({
      id: "createToken",
      summary: "A token by which a workload's proxy proves who it is, or by which instances of a WorkloadGroup register",
      tag: "identity",
      body: TokenRequestSchema,
      reply: TokenSchema,
      statuses: [201],
      problems: [400, 404],
    }),
    async (c) => {
      queryOf(c, []);
      const { workload, workload_group: group, ttl } = await readObject(c, TokenRequestSchema);
      const seconds = ttl === undefined ? undefined : secondsOf(ttl, "ttl");
      if (workload !== undefined && group === undefined) {
        checkWorkload(c, control, workloadOf(workload));
        return reply(c, await control.issueToken(workloadOf(workload), callerOf(c), seconds), 201);
      }
      if (group !== undefined && workload === undefined) {
        checkWorkload(c, control, workloadOf(group));
        return reply(c, await control.issueGroupToken(workloadOf(group), callerOf(c), seconds), 201);
      }
      throw new WeftError("invalid", "The body must name either workload or workload_group");
    },
  );

  app.post(
    "/v1/tokens/revoke",
    describe({
      id: "revokeTokens",
      summary:
        "Takes back all tokens of a workload or WorkloadGroup, and all X.509-SVIDs of its SPIFFE IDs, that were made until now; ends the streams that they opened",
      tag: "identity",
      body: RevocationRequestSchema,
      reply: RevocationSchema,
      problems: [400, 404, 503],
    }),
    async (c) => {
      queryOf(c, []);
      const { workload, workload_group: group, ignore_not_found: ahead } = await readObject(c, RevocationRequestSchema);
      const named = workload ?? group;
      if (named === undefined || (workload !== undefined && group !== undefined)) {
        throw new WeftError("invalid", "The body must name either workload or workload_group");
      }
      const { namespace, name } = workloadOf(named);
      checkWorkload(c, control, { namespace, name });
      const kind = workload === undefined ? "WorkloadGroup" : "workload";
      const ended = await control.revokeTokens({ kind, namespace, name }, callerOf(c), { ahead });
      return reply(c, { revoked: `${kind} ${namespace}/${name}`, ...ended });
    },
  );

  app.post(
    "/v1/bootstrap",
    describe({
      id: "createBootstrap",
      summary: "An Envoy bootstrap for a workload, with a new token in it",
      tag: "identity",
      parameters: [query("workload", "NAMESPACE/NAME, instead of a body")],
      body: BootstrapRequestSchema,
      reply: AnySchema,
      statuses: [201],
      problems: [400, 404],
    }),
    async (c) => {
      const named = queryOf(c, ["workload"]).workload;
      const body = named === undefined ? await readObject(c, BootstrapRequestSchema) : { workload: named };
      const { workload, ttl, ...place } = body;
      checkWorkload(c, control, workloadOf(workload));
      const seconds = ttl === undefined ? undefined : secondsOf(ttl, "ttl");
      return reply(
        c,
        await control.bootstrap(workloadOf(workload), callerOf(c), { ...place, ...(seconds === undefined ? {} : { ttlSeconds: seconds }) }),
        201,
      );
    },
  );
}
