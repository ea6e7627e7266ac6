/** Starts a whole weft: opens what is in the data directory, joins the layers, listens, and ends well. */
import { hostname } from "node:os";
import { join, resolve } from "node:path";
import { createAdminServer } from "../admin/index.ts";
import { createAdsServer, type LedgerReader } from "../ads/index.ts";
import { DEFAULT_LIFETIMES, openAdminToken, openSealKey, WorkloadTokens } from "../ca/index.ts";
import { sleep } from "../lib/clock.ts";
import { WeftError } from "../lib/errors.ts";
import { lockDirectory } from "../lib/lock.ts";
import { isLoopback } from "../lib/loopback.ts";
import { jwksNeeds } from "../mesh/request-authentication.ts";
import type { Resource } from "../model/resource.ts";
import { openStore } from "../store/index.ts";
import { logger } from "../telemetry/log.ts";
import { createMetrics } from "../telemetry/metrics.ts";
import { createTracing, parentFromHeaders } from "../telemetry/tracing.ts";
import { unixNames } from "../workload-api/unix-names.ts";
import { AccessTokens } from "./access-tokens.ts";
import { Attestation } from "./attestation.ts";
import { AuditBacklog } from "./audit-backlog.ts";
import { AuditTrail } from "./audit-trail.ts";
import { openBundleEndpoint } from "./bundle-endpoint-open.ts";
import { Changes } from "./changes.ts";
import { clusterNodes } from "./cluster-nodes.ts";
import { openCluster } from "./cluster-open.ts";
import { serveCluster } from "./cluster-serve.ts";
import { createControlPlane } from "./control-plane.ts";
import { openFederation } from "./federation-open.ts";
import { awaitingPeers } from "./federation-peers.ts";
import { ProxyFeeds } from "./feeds.ts";
import { HealthChecks } from "./health.ts";
import { checkCa, keyEncryptionOf, openIdentity } from "./identity.ts";
import { Journal } from "./journal.ts";
import { openJwks } from "./jwks-open.ts";
import { allJwtAuthorities } from "./jwt-authorities.ts";
import { KnownProxies } from "./known-proxies.ts";
import { hostPort, writeListening } from "./listening.ts";
import { meteredStore } from "./metered-store.ts";
import { NodeCards, nodeCard } from "./node-cards.ts";
import { openNodeState } from "./node-file.ts";
import { addressesOfMachine, NodeProbes } from "./node-probes.ts";
import { createObserver } from "./observer.ts";
import { openOwn } from "./own-open.ts";
import { type OwnWorkload, removeOwnEntry } from "./own-workload.ts";
import { openPresence, presenceSaid } from "./presence-open.ts";
import { followPrivate } from "./private-changes.ts";
import { trustPropagation } from "./propagation.ts";
import { Reconciler } from "./reconciler.ts";
import { Registrations } from "./registration.ts";
import { Revocations } from "./revocations.ts";
import { createSeal } from "./seal.ts";
import { secretsFrom } from "./secrets.ts";
import { openServerCertificate, weftSpiffeId } from "./server-certificate.ts";
import { spiffeIdsOf, wasEverThere } from "./spiffe-ids-of.ts";
import { checkStore, followStanding } from "./standing.ts";
import type { Listening, RunningWeft, StartOptions } from "./start-options.ts";
import { awaitingTrustFiles } from "./trust-files.ts";
import { openWorkloadApi, type WorkloadApi, workloadApiCheck } from "./workload-api.ts";
import { WorkloadHealthKeeper } from "./workload-health.ts";

export type { Listening, RunningWeft, StartOptions } from "./start-options.ts";

/** How long streams get to end by themselves at a shutdown. Envoy keeps its configuration and reconnects; there is nothing to wait for longer. */
const DRAIN_MS = 2_000;
/** How long the last traces may take: a collector that is away must not keep weft from ending. */
const LAST_TRACES_MS = 2_000;
const HOUR_MS = 3_600_000;

/** @throws WeftError: the port is taken, the directory locked, the store or CA unusable; everything opened so far is closed again. */
export async function startWeft(options: StartOptions): Promise<RunningWeft> {
  const closers: (() => unknown)[] = [];
  const close = async () => {
    for (const closer of closers.splice(0).reverse()) await closer();
  };
  try {
    return { listening: await open(options, (closer) => closers.push(closer)), close };
  } catch (reason) {
    await close();
    throw reason;
  }
}

async function open(options: StartOptions, onClose: (closer: () => unknown) => void): Promise<Listening> {
  const { data, clock, trustDomain, version, env } = options;
  if (!isLoopback(options.ads.host)) {
    throw new WeftError("invalid", `ADS cannot be served on ${options.ads.host}: it speaks without TLS, and carries private keys`, {
      help: "keep --ads on a loopback address, and run a weft beside the proxies of each machine",
    });
  }
  const log = logger("run");
  onClose(await lockDirectory(data));

  const metrics = createMetrics({ clock, version });
  const nodeState = await openNodeState(data, { asked: options.node || undefined, host: hostname() });
  const node = nodeState.name;
  const tracing = createTracing({ env, version, node });
  onClose(() => Promise.race([tracing.shutdown(), sleep(clock, LAST_TRACES_MS)]));
  const { carryOver } = options;
  const { store: opened, board } = await (options.openStore ?? openStore)(options.store, {
    dataDir: data,
    clock,
    carryOver,
    environment: env,
  });
  // A node that was removed has the store's credentials still; it knows that it was, and changes nothing.
  let expulsion = (): WeftError | undefined => undefined;
  const store = meteredStore(opened, metrics, clock, () => expulsion());
  onClose(() => store.close());
  const backlog = new AuditBacklog({
    store,
    path: join(data, "audit-backlog.jsonl"),
    clock,
    onTrouble: (message) => log.warning("{message}", { message }),
  });
  onClose(() => backlog.close());
  const audit = new AuditTrail({ store, clock, backlog });
  onClose(() => audit.close());
  const access = await AccessTokens.open(store, clock);
  const revocations = await Revocations.open(store, clock);
  // Nobody is connected before ADS listens, and reading the ledger then finds nobody.
  let proxies: LedgerReader | undefined;
  let workloadApi: WorkloadApi | undefined;
  let ownWorkload: OwnWorkload | undefined;
  const inMesh = options.inMesh ?? undefined;
  const federation = openFederation({ data, clock, metrics, allow: options.jwksAllow ?? (() => []) });
  onClose(() => federation.close());
  const { bundleEndpoint } = options;
  const propagation = awaitingTrustFiles(
    trustPropagation({ ledger: () => proxies, mesh: () => reconciler.mesh, federation: () => federation.federation }),
    { ledger: () => proxies, clock },
  );
  const cards: NodeCards = new NodeCards({
    node,
    board,
    card: () => nodeCard({ node, presence, store, cluster, revision: reconciler.mesh?.revision ?? 0, version }),
    clock,
    onTrouble: (message) => log.warning(message),
  });
  let endServing = () => {};
  const cluster = await openCluster({
    data,
    state: nodeState,
    trustDomain,
    store,
    wanted: options.cluster != null,
    takeOver: options.takeOver ?? false,
    revokedAt: (spiffeId) => revocations.timeOfSvids(spiffeId),
    encryption: keyEncryptionOf(options.ca ?? {}, env.CREDENTIALS_DIRECTORY),
    svidMs: (options.ca?.lifetimes ?? DEFAULT_LIFETIMES).x509SvidMs,
    cards: () => cards.all,
    revision: () => reconciler.mesh?.revision ?? 0,
    onCertificate: (ends) => metrics.certificateExpiry.set({ certificate: "node" }, ends),
    onExpelled: () => endServing(),
    clock,
    random: Math.random,
    log: plainLog(log),
  });
  onClose(() => cluster?.close());
  expulsion = () => cluster?.expelled;
  const identity = await openIdentity({
    cluster,
    data,
    trustDomain,
    clock,
    metrics,
    settings: options.ca ?? {},
    propagation: bundleEndpoint ? awaitingPeers(propagation, { clock, refreshHintMs: bundleEndpoint.refreshHintMs }) : propagation,
    credentials: env.CREDENTIALS_DIRECTORY,
    revokedAt: (spiffeId) => revocations.timeOfSvids(spiffeId),
  });
  onClose(() => identity.close());
  const { authority, svids } = identity;
  onClose(authority.onBundle(() => reconciler.rebuild()));
  onClose(federation.onChange(() => reconciler.rebuild()));
  const tokens = await WorkloadTokens.open({ dir: data, trustDomain, clock, epochOf: (holder) => revocations.epochOf(holder) });
  const adminToken = await openAdminToken({ dir: data });
  const sealKey = await openSealKey({ dir: data, joined: nodeState.joined !== undefined });
  const seal = createSeal(sealKey, (message) => log.error(message));

  const journal = new Journal(clock);
  const workloadHealth = new WorkloadHealthKeeper({
    path: join(data, "workload-health.json"),
    onChange: () => presence.changed(),
    onTrouble: (message) => log.warning(message),
  });
  const nodes = openPresence({
    data,
    node,
    clock,
    metrics,
    board,
    graceMs: options.presenceGrace,
    nodeGraceMs: options.nodeGrace,
    ledger: () => proxies,
    health: () => workloadHealth,
    removed: () => new Set(cluster?.records.removed.keys()),
    onChange: () => reconciler.rebuild(),
  });
  const { presence } = nodes;
  onClose(cluster?.records.onChange(() => presence.changed()) ?? (() => {}));
  const probes = new NodeProbes({ node, clock, health: workloadHealth, addresses: addressesOfMachine });
  let workloadEntries: readonly Resource<"WorkloadEntry">[] = [];
  const feeds = new ProxyFeeds({
    secretsOf: secretsFrom({ ...identity, federated: federation }),
    clock,
    serves: (proxy, workload) => registrations.serves(proxy, workload) && attestation.holds(proxy, workload),
    onTrouble: ({ id }, reason) =>
      log.error("the configuration of proxy {proxy} could not be made; it keeps what it has. This is a defect of weft: report it", {
        proxy: id,
        reason: WeftError.from(reason),
      }),
  });
  const jwks = openJwks({ data, clock, metrics, allow: options.jwksAllow ?? (() => []), onChange: () => reconciler.rebuild() });
  onClose(() => jwks.close());
  const reconciler: Reconciler = new Reconciler({
    store,
    clock,
    trustDomain,
    jwks: () => jwks.keys(),
    jwtAuthorities: () => allJwtAuthorities(authority.bundle(), federation.federation.bundles),
    health(entries) {
      workloadEntries = entries;
      return presence.health(entries);
    },
    open: (document) => seal.open(document),
    onTrouble: (message) => log.warning(message),
    onRevision({ revision, trace }) {
      const span = parentFromHeaders(trace);
      if (span) journal.heard(revision, span);
    },
    onMesh(mesh, milliseconds) {
      metrics.revision.set(mesh.revision);
      for (const [kind, count] of reconciler.counts()) metrics.resources.set({ kind }, count);
      const span = tracing.startSpan("translate", { parent: journal.find(mesh.revision)?.span, startTime: clock.now() - milliseconds });
      // First: a listener that lets another trust domain in must find how its certificates are verified.
      federation.follow(mesh.federation, mesh.settings.trustDomainAliases);
      feeds.update(mesh);
      jwks.need(jwksNeeds(mesh));
      presence.follow(mesh);
      probes.follow(workloadEntries);
      registrations.follow();
      known.follow(mesh);
      ads.endStreams((proxy) => attestation.isLost(proxy, mesh), "what proved this stream is not good for its workload any more");
      workloadApi?.changed();
      ownWorkload?.follow();
      span.end();
    },
  });
  const registrations: Registrations = new Registrations({
    store,
    reconciler,
    health: workloadHealth,
    clock,
    random: Math.random,
    node,
    presence,
    log: { info: (message) => log.info(message), warning: (message) => log.warning(message) },
  });
  const users = unixNames();
  const attestation: Attestation = new Attestation({
    tokens,
    registrations,
    bundle: () => authority.bundle(),
    mesh: () => reconciler.mesh,
    revocations,
    userNumber: (name) => users.uidOf(name),
    clock,
  });
  const known = new KnownProxies({
    path: join(data, "proxies.json"),
    ledger: () => proxies,
    clock,
    onTrouble: (message) => log.warning(message),
  });
  const streamsChanged = () => {
    known.changed();
    presence.streamsChanged();
  };
  const ads = createAdsServer({
    async authenticate(credentials) {
      if (cluster?.expelled) throw cluster.expelled;
      return await attestation.authenticate(credentials);
    },
    source: registrations.watching(feeds),
    clock,
    // For as long as one that left may come back with an SVID that is still good: a rotation of the CA waits for it.
    rememberMs: Math.max(HOUR_MS, (options.ca?.lifetimes ?? DEFAULT_LIFETIMES).x509SvidMs),
    observer: createObserver({ metrics, tracing, journal, audit, clock, onStreams: streamsChanged }),
  });
  proxies = ads.ledger;
  const changes = new Changes({ clock, store, seal, reconciler, journal, users, tracing, metrics });
  const health = new HealthChecks(
    {
      store: () => checkStore(store, reconciler.mesh?.revision ?? 0),
      xds: () => ads.selfTest(),
      ca: () => checkCa(authority),
      "workload-api": () => workloadApiCheck(workloadApi),
      ...(inMesh ? { "in-mesh": async () => ownWorkload?.status ?? "not registered yet" } : {}),
      presence: async () => presenceSaid(presence.report()),
    },
    clock,
    ({ part, ok }) => metrics.healthy.set({ part }, ok ? 1 : 0),
  );

  // Listening comes before the first load: a proxy that connects meanwhile waits for it instead of being refused.
  const adsSocket = join(data, "ads.sock");
  const adsBound = await ads.listen(options.ads);
  onClose(() => ads.close(DRAIN_MS));
  // Before the streams end: they end with weft, and not because instances went away.
  onClose(() => registrations.close());
  onClose(() => known.close());
  onClose(() => nodes.close());
  onClose(() => probes.close());
  const adsAddress = { host: adsBound.address, port: adsBound.port };
  await ads.listen({ path: adsSocket, mode: 0o660 });
  const publicSocket = options.adsSocket || undefined;
  if (publicSocket) await ads.listen({ path: publicSocket, mode: 0o666 });
  const certificate = options.adsTls || options.adminTls ? await openServerCertificate({ svids, authority, clock }) : undefined;
  onClose(() => certificate?.close());
  if (certificate && !certificate.current())
    log.warning("ADS and the admin API are not served over TLS before an authority has certified this weft");
  const adsTls = options.adsTls && certificate ? await ads.listen({ ...options.adsTls, tls: certificate }) : undefined;
  // Until it has found itself at the Unix socket, no user is believed there.
  await ads.selfTest().catch((reason) => log.warning("{reason}", { reason: WeftError.from(reason).message }));
  await reconciler.start();
  nodes.start((all) => cards.take(all));
  cards.start();
  onClose(() => cards.close());
  onClose(followStanding({ store, revision: () => reconciler.mesh?.revision ?? 0, metrics, clock, log: plainLog(log) }));
  const reread = followPrivate({ store, access, revocations, log: plainLog(log) }, () =>
    ads.endStreams((proxy) => attestation.isRevoked(proxy), "what proved this stream was revoked"),
  );
  onClose(reread);
  onClose(() => reconciler.stop());
  const { workloadApi: workloadApiAsked = "" } = options;
  const workloadApiPath = workloadApiAsked === "off" ? "off" : resolve(workloadApiAsked || join(data, "workload.sock"));
  workloadApi = await openWorkloadApi({
    path: workloadApiPath,
    asked: workloadApiAsked !== "",
    clock,
    mesh: () => reconciler.mesh,
    authority,
    svids,
    federated: { current: () => federation.federation.bundles, onChange: (listener) => federation.onChange(listener) },
    audit,
    metrics,
  });
  onClose(() => workloadApi?.close(DRAIN_MS));

  endServing = () => {
    ads.endStreams(() => true, "this node was removed from the mesh");
    void workloadApi?.close(0);
  };
  if (cluster?.expelled) endServing();
  const reached = (revision: number, signal: AbortSignal) => reconciler.reached(revision, signal);
  const served =
    cluster && options.cluster
      ? await serveCluster({
          cluster,
          listen: options.cluster,
          advertise: options.clusterAddress ?? "",
          trustDomain,
          store,
          sealKey,
          mesh: () => reconciler.mesh,
          reached,
          audit,
          clock,
        })
      : undefined;
  if (!served) cluster?.serveAt("");
  onClose(() => served?.close());

  const control = createControlPlane({
    nodes: clusterNodes({
      card: () => cards.own(),
      cluster,
      store,
      cards: () => cards.all,
      lastSeen: (name) => cards.lastSeen(name),
      onRemove: (name, who) => removeOwnEntry(store, name, who),
      clock,
    }),
    clock,
    changes,
    audit,
    access,
    revocations,
    endStreams: (ids, message) => ads.endStreams((proxy) => ids.has(proxy.id) || attestation.isRevoked(proxy), message),
    wasEverThere: (holder) => wasEverThere(holder, store),
    spiffeIdsOf: (holder) => spiffeIdsOf(holder, { store, clock, trustDomain }),
    reconciler,
    ledger: ads.ledger,
    known,
    users,
    authority,
    svids,
    tokens,
    health,
    jwks,
    federation,
    registrations,
    workloadHealth,
    node,
    presence,
    ads: {
      local: adsAddress,
      socket: resolve(publicSocket ?? adsSocket),
      ...(adsTls && certificate
        ? { tls: { port: adsTls.port, spiffeId: certificate.spiffeId, roots: () => authority.bundle().x509Pem } }
        : {}),
    },
  });
  const admin = createAdminServer({
    control,
    adminToken,
    clock,
    metrics,
    version,
    adminHosts: options.adminHosts,
    identify: (certificates) => attestation.identify(certificates),
    ownSpiffeId: weftSpiffeId(trustDomain),
    adminPrincipals: options.adminPrincipals,
  });
  onClose(() => admin.close());
  const adminAddress = await admin.listen(options.admin);
  const adminSocket = join(data, "admin.sock");
  await admin.listen({ path: adminSocket, mode: 0o600 });
  const adminTls = options.adminTls && certificate ? await admin.listen({ ...options.adminTls, tls: certificate }) : undefined;
  const own = openOwn({
    data,
    node,
    inMesh,
    rpcAddress: cluster?.address ?? "",
    taken: [adminAddress, adminTls, served],
    admin,
    svids,
    authority,
    store,
    reconciler,
    clock,
    isRemoved: () => cluster?.expelled !== undefined,
    log: plainLog(log),
  });
  onClose(() => own.close());
  ownWorkload = own.workload;

  const bundles = bundleEndpoint && (await openBundleEndpoint(bundleEndpoint, { svids, authority, clock }));
  onClose(() => bundles?.close());

  const bound: Listening = {
    pid: process.pid,
    ads: hostPort(adsAddress),
    ads_socket: adsSocket,
    admin: hostPort(adminAddress),
    admin_socket: adminSocket,
    ...(workloadApi.closedBecause === undefined ? { workload_api: workloadApiPath } : {}),
    ...(adsTls ? { ads_tls: hostPort({ host: adsTls.address, port: adsTls.port }) } : {}),
    ...(publicSocket ? { ads_public_socket: publicSocket } : {}),
    ...(adminTls ? { admin_tls: hostPort(adminTls) } : {}),
    ...(bundles ? { bundle_endpoint: hostPort(bundles) } : {}),
    ...(served ? { cluster: hostPort(served) } : {}),
    ...(inMesh && own.socket ? { in_mesh: hostPort(inMesh), in_mesh_socket: own.socket } : {}),
  };
  onClose(writeListening(data, bound));
  return bound;
}

/** Texts as they are, though they hold braces. */
function plainLog(log: ReturnType<typeof logger>) {
  return {
    info: (message: string) => log.info("{message}", { message }),
    warning: (message: string) => log.warning("{message}", { message }),
  };
}
