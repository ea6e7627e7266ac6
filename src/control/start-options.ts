/** What a weft is started with, and what a running one says of itself. */
import type { SvidPrincipal } from "../admin/index.ts";
import type { Clock } from "../lib/clock.ts";
import type { NodeRemovedError } from "../lib/errors.ts";
import type { openStore } from "../store/index.ts";
import type { BundleEndpointSettings } from "./bundle-endpoint.ts";
import type { CaSettings } from "./identity.ts";

export interface StartOptions {
  readonly data: string;
  readonly ads: { readonly host: string; readonly port: number };
  readonly admin: { readonly host: string; readonly port: number };
  readonly trustDomain: string;
  readonly store: string;
  /** Opens it; by its URL where absent. */
  readonly openStore?: typeof openStore;
  /** Whether a database that belongs to another store, or a log that was lost, is gone on with (OpenStoreOptions). */
  readonly carryOver?: boolean;
  /** Names besides loopback's under which the admin API is reached. */
  readonly adminHosts: () => readonly string[];
  /** Where ADS and the admin API are served over TLS: any address may be one. Nowhere where absent. */
  readonly adsTls?: { readonly host: string; readonly port: number } | null;
  readonly adminTls?: { readonly host: string; readonly port: number } | null;
  /** Absolute path of a further Unix socket for ADS, which every user may open: each proves who it is. None where absent or "". */
  readonly adsSocket?: string;
  /** Path of the Workload API's socket: "" or absent is DATA/workload.sock, "off" none. */
  readonly workloadApi?: string;
  /** Who may call the admin API over TLS by an X.509-SVID; nobody where absent. */
  readonly adminPrincipals?: () => readonly SvidPrincipal[];
  /** What is not public and may be asked for keys all the same (lib/public-address.ts); nothing where absent. */
  readonly jwksAllow?: () => readonly string[];
  /** Where weft's own sidecar takes calls (own-workload.ts); weft is no workload of its mesh where absent. */
  readonly inMesh?: { readonly host: string; readonly port: number } | null;
  /** This node's name; the data directory's or the host's where absent or "". */
  readonly node?: string;
  /** Where an authority serves other nodes; nowhere where absent. */
  readonly cluster?: { readonly host: string; readonly port: number } | null;
  /** All authorities of the mesh are lost: this node becomes one. */
  readonly takeOver?: boolean;
  /** HOST:PORT at which they reach it; where it listens where absent or "". */
  readonly clusterAddress?: string;
  /** How long a workload's proxy, and a node, may be away before their endpoints are taken out, in milliseconds; defaults where absent. */
  readonly presenceGrace?: number;
  readonly nodeGrace?: number;
  /** Where other trust domains fetch the bundle; nowhere where absent. */
  readonly bundleEndpoint?: BundleEndpointSettings;
  readonly ca?: CaSettings;
  readonly version: string;
  readonly clock: Clock;
  readonly env: Readonly<Record<string, string | undefined>>;
}

/** Written to DATA/listening.json: what was bound, for scripts and the CLI. */
export interface Listening {
  readonly pid: number;
  readonly ads: string;
  readonly ads_socket: string;
  /** Those that were asked for. */
  readonly ads_tls?: string;
  readonly ads_public_socket?: string;
  readonly admin_tls?: string;
  readonly bundle_endpoint?: string;
  /** Where other nodes reach this authority. */
  readonly cluster?: string;
  /** Where its own sidecar takes calls, and the socket on which that is served. */
  readonly in_mesh?: string;
  readonly in_mesh_socket?: string;
  readonly admin: string;
  readonly admin_socket: string;
  /** Where the SPIFFE Workload API is served; absent where it is not. */
  readonly workload_api?: string;
}

export interface RunningWeft {
  readonly listening: Listening;
  /** Resolves when the node was removed from its mesh: it has ended its streams, and is to be closed. */
  readonly removed: Promise<NodeRemovedError>;
  /** Ends well: stops taking changes, tells proxies to reconnect elsewhere or later, flushes traces, releases the data directory. */
  close(): Promise<void>;
}
