/** Every metric of weft, by name. Units are in the names: https://prometheus.io/docs/practices/naming/ */
import { readdirSync } from "node:fs";
import { Counter, Gauge, Histogram, Registry } from "prom-client";
import type { Clock } from "../lib/clock.ts";

/** From 1 ms: an endpoint change should reach a proxy within a few. */
const CONVERGENCE_BUCKETS_SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60];
const STORE_BUCKETS_SECONDS = [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5];
const HTTP_BUCKETS_SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];

export type Metrics = ReturnType<typeof createMetrics>;

/** `version` and `clock` describe this process; each call makes a registry of its own. */
export function createMetrics({ clock, version }: { readonly clock: Clock; readonly version: string }) {
  const registry = new Registry();
  const registers = [registry];
  const counter = <L extends string = never>(name: string, help: string, labelNames: readonly L[] = []) =>
    new Counter<L>({ name, help, labelNames, registers });
  const gauge = <L extends string = never>(name: string, help: string, labelNames: readonly L[] = []) =>
    new Gauge<L>({ name, help, labelNames, registers });
  const histogram = <L extends string = never>(name: string, help: string, buckets: number[], labelNames: readonly L[] = []) =>
    new Histogram<L>({ name, help, labelNames, buckets, registers });

  gauge("weft_build_info", "Always 1; the label is weft's version.", ["version"]).set({ version }, 1);
  processMetrics(registers, clock);

  return {
    registry,
    /** type: CDS, EDS, LDS, RDS, VHDS, SDS, ECDS. */
    pushes: counter("weft_pushes_total", "xDS responses sent to proxies.", ["type"]),
    pushedBytes: counter("weft_pushed_bytes_total", "Bytes of xDS resources sent to proxies.", ["type"]),
    acks: counter("weft_acks_total", "xDS responses that proxies accepted.", ["type"]),
    nacks: counter("weft_nacks_total", "xDS responses that proxies refused.", ["type"]),
    convergence: histogram(
      "weft_convergence_seconds",
      "Time from the commit of a change to a proxy's ACK of it.",
      CONVERGENCE_BUCKETS_SECONDS,
      ["type"],
    ),
    /** protocol: delta, sotw. */
    streams: gauge("weft_streams", "Open ADS streams.", ["protocol"]),
    /** reason: a WeftError code ("unauthenticated"), never free text. */
    streamsRefused: counter("weft_streams_refused_total", "ADS streams that were turned away.", ["reason"]),
    /** certificate: ca, jwt-authority, upstream (the first of its chain to end), svid (the earliest in use), node (its own, in a mesh of several). A time, so that it needs no refresh: compare it with time(). */
    certificateExpiry: gauge(
      "weft_certificate_expiry_timestamp_seconds",
      "When a certificate expires, seconds since the epoch: the CA's, the JWT authority's key, the upstream chain, the earliest SVID's, and the node's own.",
      ["certificate"],
    ),
    /** code: of the warning, as GET /v1/ca has it. */
    caWarnings: gauge("weft_ca_warnings", "1 for each thing about the CA that an operator must look at, long before it stops anything.", [
      "code",
    ]),
    /** authority: x509, jwt. reason: scheduled, forced, upstream, key-lost, expired. */
    caRotations: counter("weft_ca_rotations_total", "Authorities that began to sign.", ["authority", "reason"]),
    svidsIssued: counter("weft_svids_issued_total", "X.509-SVIDs that were signed."),
    jwtSvidsIssued: counter("weft_jwt_svids_issued_total", "JWT-SVIDs that were signed for proxies to add to calls."),
    /** result: ok, error. */
    bundleFetches: counter("weft_bundle_fetches_total", "Polls of other trust domains' bundle endpoints.", ["result"]),
    bundleOk: gauge("weft_bundle_ok", "1 where the last poll of a federated trust domain's bundle went well, else 0.", ["trust_domain"]),
    bundleFetched: gauge(
      "weft_bundle_fetched_timestamp_seconds",
      "When the bundle of a federated trust domain was fetched, seconds since the epoch.",
      ["trust_domain"],
    ),
    /** result: ok, error. */
    jwksFetches: counter("weft_jwks_fetches_total", "Fetches of key sets (jwksUri).", ["result"]),
    /** uri: of the key set or the discovery document, without its query. */
    jwksOk: gauge("weft_jwks_ok", "1 where the last fetch of a key set went well, else 0.", ["uri"]),
    /** operation: apply, list, get, history, check. */
    storeOperation: histogram("weft_store_operation_seconds", "Time that a store operation takes.", STORE_BUCKETS_SECONDS, ["operation"]),
    storeInTouch: gauge(
      "weft_store_in_touch",
      "1 where the engine that the store follows is known to have nothing that is not here, else 0; without an engine there is none.",
    ),
    storeBehind: gauge("weft_store_behind_seconds", "Seconds since the engine was last known to have nothing that is not here."),
    storeErrors: counter("weft_store_errors_total", "Store operations that failed.", ["operation"]),
    workloadApiOpen: gauge("weft_workload_api_open", "Connections to the Workload API, and calls under way.", ["what"]),
    workloadApiCalls: counter("weft_workload_api_calls_total", "Responses of the Workload API, streams' messages among them.", [
      "method",
      "code",
    ]),
    workloadApiServed: gauge("weft_workload_api_served", "1 where the Workload API's socket is open, else 0."),

    /** change: arrived, left, returned (of the endpoints), kept (though it may be gone), confirmed (it is there after all). */
    presenceChanges: counter("weft_presence_changes_total", "What presence did with workloads that belong to a node.", ["change"]),
    /** state: away, held-back (back, and must stay for longer), kept (in the endpoints, though it may be gone). */
    presenceWorkloads: gauge("weft_presence_workloads", "Workloads that belong to a node, by what is unusual of their presence.", [
      "state",
    ]),
    presenceFrozen: gauge("weft_presence_frozen", "1 while nothing can be known of other nodes, and what was known last holds, else 0."),

    /** result: applied, unchanged, invalid, conflict, error. */
    applies: counter("weft_apply_total", "Applies, by result.", ["result"]),
    resources: gauge("weft_resources", "Stored resources.", ["kind"]),
    revision: gauge("weft_revision", "The store's revision that is served."),
    /** result: ok, or the part that failed. */
    healthy: gauge("weft_healthy", "1 where the part was well at its last check, else 0.", ["part"]),
    httpRequests: counter("weft_http_requests_total", "Admin API requests.", ["method", "route", "code"]),
    httpDuration: histogram("weft_http_request_seconds", "Time to answer an admin API request.", HTTP_BUCKETS_SECONDS, ["route"]),
  };
}

/**
 * prom-client's own defaults run under Bun, but most of them are Node's (heap spaces that are always 0, an event loop monitor that wakes
 * the process 100 times a second), so only the process metrics that every Prometheus client has are made here.
 */
function processMetrics(registers: Registry[], clock: Clock): void {
  const startedAt = clock.now() / 1000 - process.uptime();
  new Counter({
    name: "process_cpu_seconds_total",
    help: "User and system CPU time spent.",
    registers,
    collect() {
      const { user, system } = process.cpuUsage();
      this.reset();
      this.inc((user + system) / 1e6);
    },
  });
  new Gauge({
    name: "process_resident_memory_bytes",
    help: "Resident memory size.",
    registers,
    collect() {
      this.set(process.memoryUsage.rss());
    },
  });
  new Gauge({ name: "process_start_time_seconds", help: "Start of the process, seconds since the epoch.", registers }).set(startedAt);
  new Gauge({
    name: "process_open_fds",
    help: "Open file descriptors.",
    registers,
    collect() {
      try {
        this.set(readdirSync("/proc/self/fd").length);
      } catch {
        this.remove(); // a system without /proc: better no number than a wrong one
      }
    },
  });
}
