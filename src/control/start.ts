/** Starts a whole weft: opens what is in the data directory, joins the layers, listens, and ends well. */
import { hostname } from "node:os";
import { join, resolve } from "node:path";
import type { LedgerReader } from "../ads/index.ts";
import { DEFAULT_LIFETIMES, openAdminToken, openSealKey, WorkloadTokens } from "../ca/index.ts";
import { sleep } from "../lib/clock.ts";
import { type NodeRemovedError, WeftError } from "../lib/errors.ts";
import { lockDirectory } from "../lib/lock.ts";
import { isLoopback } from "../lib/loopback.ts";
import { jwksNeeds } from "../mesh/request-authentication.ts";
import { logger, plainLog } from "../telemetry/log.ts";
import { createMetrics } from "../telemetry/metrics.ts";
import { createTracing, parentFromHeaders } from "../telemetry/tracing.ts";
import { unixNames } from "../workload-api/unix-names.ts";
import { openAdmin } from "./admin-open.ts";
import { listenForProxies } from "./ads-doors.ts";
import { openBundleEndpoint } from "./bundle-endpoint-open.ts";
import { Changes } from "./changes.ts";
import type { Cluster } from "./cluster.ts";
import { heldBy } from "./cluster-calls.ts";
import { openCluster } from "./cluster-open.ts";
import { serveCluster } from "./cluster-serve.ts";
import { createControlPlane } from "./control-plane.ts";
import { openFederation } from "./federation-open.ts";
import { awaitingPeers } from "./federation-peers.ts";
import { openHealth } from "./health-open.ts";
import { keyEncryptionOf, openIdentity } from "./identity.ts";
import { Journal } from "./journal.ts";
import { openJwks } from "./jwks-open.ts";
import { allJwtAuthorities } from "./jwt-authorities.ts";
import { openKept } from "./kept-open.ts";
import { hostPort, writeListening } from "./listening.ts";
import { openNodeState } from "./node-file.ts";
import { openNode } from "./node-open.ts";
import { OwnSockets } from "./own-sockets.ts";
import type { OwnWorkload } from "./own-workload.ts";
import { followPrivate } from "./private-changes.ts";
import { trustPropagation } from "./propagation.ts";
import { type OpenedProxies, openProxies } from "./proxies-open.ts";
import { Reconciler } from "./reconciler.ts";
import { Registrations } from "./registration.ts";
import { createSeal } from "./seal.ts";
import { secretsFrom } from "./secrets.ts";
import { spiffeIdsOf, wasEverThere } from "./spiffe-ids-of.ts";
import { followStanding } from "./standing.ts";
import type { Listening, RunningWeft, StartOptions } from "./start-options.ts";
import { awaitingTrustFiles } from "./trust-files.ts";
import { openWorkloadApi, type WorkloadApi } from "./workload-api.ts";

export type { Listening, RunningWeft, StartOptions } from "./start-options.ts";

/** How long streams get to end by themselves at a shutdown. Envoy keeps its configuration and reconnects; there is nothing to wait for longer. */
const DRAIN_MS = 2_000;
/** How long the last traces may take: a collector that is away must not keep weft from ending. */
const LAST_TRACES_MS = 2_000;

/** @throws WeftError: the port is taken, the node was removed from its mesh (NodeRemovedError), the directory locked, the store or CA unusable; everything opened so far is closed again. */
export async function startWeft(options: StartOptions): Promise<RunningWeft> {
  const closers: (() => unknown)[] = [];
  const { promise: removed, resolve: onRemoved } = Promise.withResolvers<NodeRemovedError>();
  const close = async () => {
    const log = plainLog(logger("run"));
    for (const closer of closers.splice(0).reverse()) {
      try {
        await closer();
      } catch (reason) {
        // A disk that takes no more writes, say: what is left is closed all the same, or the process would go on.
        log.error(`a part of weft did not end well: ${WeftError.from(reason).message}`);
      }
    }
  };
  try {
    return { listening: await open(options, (closer) => closers.push(closer), onRemoved), removed, close };
  } catch (reason) {
    await close();
    throw reason;
  }
}

async function open(
  options: StartOptions,
  onClose: (closer: () => unknown) => void,
  onRemoved: (reason: NodeRemovedError) => void,
): Promise<Listening> {
  const { data, clock, trustDomain, version, env } = options;
  if (!isLoopback(options.ads.host)) {
    throw new WeftError("invalid", `ADS cannot be served on ${options.ads.host}: it speaks without TLS, and carries private keys`, {
      help: "keep --ads on a loopback address, and run a weft beside the proxies of each machine",
    });
  }
  const log = plainLog(logger("run"));
  onClose(await lockDirectory(data));

  const metrics = createMetrics({ clock, version });
  const nodeState = await openNodeState(data, { asked: options.node || undefined, host: hostname() });
  const node = nodeState.name;
  const tracing = createTracing({ env, version, node });
  onClose(() => Promise.race([tracing.shutdown(), sleep(clock, LAST_TRACES_MS)]));
  // A node that was removed has the store's credentials still; it knows that it was, and changes nothing.
  let expulsion = (): WeftError | undefined => undefined;
  const base = { ...options, node, metrics, tracing, log, onTrouble: log.warning };
  const kept = { ...base, ...(await openKept({ ...base, refusal: () => expulsion() }, onClose)) };
  const { store, revocations } = kept;
  const revision = () => reconciler.mesh?.revision ?? 0;
  // Nobody is connected before ADS listens, and reading the ledger then finds nobody.
  let proxies: LedgerReader | undefined;
  let workloadApi: WorkloadApi | undefined;
  let ownWorkload: OwnWorkload | undefined;
  let joined: Cluster | undefined;
  const federation = openFederation({ data, clock, metrics, allow: options.jwksAllow ?? (() => []) });
  onClose(() => federation.close());
  const { bundleEndpoint } = options;
  const propagation = awaitingTrustFiles(
    trustPropagation({ ledger: () => proxies, mesh: () => reconciler.mesh, federation: () => federation.federation }),
    { ledger: () => proxies, clock },
  );
  const here = openNode({
    ...kept,
    ledger: () => proxies,
    cluster: () => joined,
    revision,
    onChange: () => reconciler.rebuild(),
  });
  const { presence, cards, health: workloadHealth } = here;
  let endServing = () => {};
  const cluster = await openCluster({
    ...kept,
    state: nodeState,
    wanted: options.cluster != null,
    takeOver: options.takeOver ?? false,
    revokedAt: (spiffeId) => revocations.timeOfSvids(spiffeId),
    encryption: keyEncryptionOf(options.ca ?? {}, env.CREDENTIALS_DIRECTORY),
    svidMs: (options.ca?.lifetimes ?? DEFAULT_LIFETIMES).x509SvidMs,
    cards: () => cards.all,
    revision,
    onCertificate: (ends) => metrics.certificateExpiry.set({ certificate: "node" }, ends),
    onExpelled(reason, forgotten) {
      endServing();
      void forgotten.then(() => onRemoved(reason));
    },
    random: Math.random,
  });
  joined = cluster;
  onClose(() => cluster?.close());
  expulsion = () => cluster?.expelled;
  const identity = await openIdentity({
    ...base,
    cluster,
    settings: options.ca ?? {},
    propagation: bundleEndpoint ? awaitingPeers(propagation, { clock, refreshHintMs: bundleEndpoint.refreshHintMs }) : propagation,
    credentials: env.CREDENTIALS_DIRECTORY,
    revokedAt: (spiffeId) => revocations.timeOfSvids(spiffeId),
  });
  onClose(() => identity.close());
  const { authority, svids } = identity;
  const tokens = await WorkloadTokens.open({ dir: data, trustDomain, clock, epochOf: (holder) => revocations.epochOf(holder) });
  const adminToken = await openAdminToken({ dir: data });
  const sealKey = await openSealKey({ dir: data, joined: nodeState.joined !== undefined });
  const seal = createSeal(sealKey, log.error);

  const journal = new Journal(clock);
  onClose(cluster?.records.onChange(() => presence.changed()) ?? (() => {}));
  const jwks = openJwks({ data, clock, metrics, allow: options.jwksAllow ?? (() => []), onChange: () => reconciler.rebuild() });
  onClose(() => jwks.close());
  const { workloadApi: workloadApiAsked = "" } = options;
  const workloadApiPath = workloadApiAsked === "off" ? "off" : resolve(workloadApiAsked || join(data, "workload.sock"));
  const sockets = [options.adsSocket ?? "", workloadApiAsked].filter((path) => path !== "" && path !== "off");
  const ownSockets = new OwnSockets({ data, others: sockets, onTrouble: log.warning });
  /** At which revision it was last asked whether an authority may sign by now what it refused to: a node's annotation may have come. */
  let triedAt = -1;
  const reconciler: Reconciler = new Reconciler({
    store,
    clock,
    trustDomain,
    jwks: () => jwks.keys(),
    jwtAuthorities: () => allJwtAuthorities(authority.bundle(), federation.federation.bundles),
    health: (entries) => here.healthOf(entries),
    open: (document) => ownSockets.shield(seal.open(document)),
    onTrouble: log.warning,
    onRevision({ revision, trace }) {
      const span = parentFromHeaders(trace);
      if (span) journal.heard(revision, span);
    },
    onMesh(mesh, milliseconds) {
      metrics.revision.set(mesh.revision);
      for (const [kind, count] of reconciler.counts()) metrics.resources.set({ kind }, count);
      const span = tracing.startSpan("translate", { parent: journal.built(mesh.revision)?.span, startTime: clock.now() - milliseconds });
      // First: a listener that lets another trust domain in must find how its certificates are verified.
      federation.follow(mesh.federation, mesh.settings.trustDomainAliases);
      feeds.update(mesh);
      jwks.need(jwksNeeds(mesh));
      here.follow(mesh);
      if (mesh.revision !== triedAt) svids.retry((id, { code }) => code === "forbidden" && heldBy(mesh, node).has(id));
      triedAt = mesh.revision;
      registrations.follow();
      known.follow(mesh);
      ads.endStreams((proxy) => attestation.isLost(proxy, mesh), "what proved this stream is not good for its workload any more");
      workloadApi?.changed();
      ownWorkload?.follow();
      span.end();
    },
  });
  onClose(authority.onBundle(() => reconciler.rebuild()));
  onClose(federation.onChange(() => reconciler.rebuild()));
  const registrations: Registrations = new Registrations({ ...kept, reconciler, health: workloadHealth, random: Math.random, presence });
  const users = unixNames();
  const joint = { ...kept, journal, cluster, authority, svids, tokens, registrations, presence, users, reconciler };
  const { ads, attestation, known, feeds }: OpenedProxies = openProxies({
    ...joint,
    secretsOf: secretsFrom({ ...identity, federated: federation }),
    x509SvidMs: options.ca?.lifetimes?.x509SvidMs,
  });
  proxies = ads.ledger;
  const changes = new Changes({ ...joint, seal, ownSockets });
  const health = openHealth({
    ...joint,
    revision,
    ads,
    workloadApi: () => workloadApi,
    ownWorkload: options.inMesh ? () => ownWorkload : null,
  });

  // Listening comes before the first load: a proxy that connects meanwhile waits for it instead of being refused.
  onClose(() => ads.close(DRAIN_MS));
  // Before the streams end: they end with weft, and not because instances went away.
  onClose(() => registrations.close());
  onClose(() => known.close());
  onClose(() => here.close());
  const doors = await listenForProxies({ ads, options, svids, authority, clock, onWarning: log.warning }, onClose);
  await reconciler.start();
  onClose(here.start());
  onClose(followStanding({ ...kept, revision }));
  onClose(followPrivate(kept, () => ads.endStreams((proxy) => attestation.isRevoked(proxy), "what proved this stream was revoked")));
  onClose(() => reconciler.stop());
  workloadApi = await openWorkloadApi({
    ...joint,
    path: workloadApiPath,
    asked: workloadApiAsked !== "",
    mesh: () => reconciler.mesh,
    federated: { current: () => federation.federation.bundles, onChange: (listener) => federation.onChange(listener) },
  });
  onClose(() => workloadApi?.close(DRAIN_MS));

  endServing = () => {
    ads.endStreams(() => true, "this node was removed from the mesh");
    void workloadApi?.close(0);
  };
  if (cluster?.expelled) endServing();
  const served = await serveCluster({
    ...joint,
    listen: options.cluster ?? undefined,
    advertise: options.clusterAddress ?? "",
    sealKey,
    mesh: () => reconciler.mesh,
    reached: (wanted, signal) => reconciler.reached(wanted, signal),
  });
  onClose(() => served?.close());

  const control = createControlPlane({
    ...joint,
    nodes: here.nodes(),
    changes,
    endStreams: (ids, message) => ads.endStreams((proxy) => ids.has(proxy.id) || attestation.isRevoked(proxy), message),
    wasEverThere: (holder) => wasEverThere(holder, store),
    spiffeIdsOf: (holder) => spiffeIdsOf(holder, { store, clock, trustDomain }),
    ledger: ads.ledger,
    elsewhere: here.elsewhere,
    known,
    health,
    jwks,
    federation,
    workloadHealth,
    ads: doors.places,
  });
  const admin = await openAdmin({ ...joint, control, adminToken, attestation, certificate: doors.certificate, rpc: served }, onClose);
  ownWorkload = admin.own;
  const bundles = bundleEndpoint && (await openBundleEndpoint(bundleEndpoint, { svids, authority, clock }));
  onClose(() => bundles?.close());

  const bound: Listening = {
    pid: process.pid,
    ...doors.bound,
    ...admin.bound,
    ...(workloadApi.closedBecause === undefined ? { workload_api: workloadApiPath } : {}),
    ...(bundles ? { bundle_endpoint: hostPort(bundles) } : {}),
    ...(served ? { cluster: hostPort(served) } : {}),
  };
  onClose(writeListening(data, bound));
  return bound;
}
