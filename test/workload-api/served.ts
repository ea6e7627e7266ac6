/** A Workload API with a CA of its own, and a client in this process: the kernel names the test itself as the caller. */
import { mkdtempSync, rmSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Client, createClient } from "@connectrpc/connect";
import { createGrpcTransport, Http2SessionManager } from "@connectrpc/connect-node";
import { openAuthority, SvidManager, type TrustBundle } from "../../src/ca/index.ts";
import { SpiffeWorkloadAPI } from "../../src/gen/spiffe/workload_pb.ts";
import { systemClock } from "../../src/lib/clock.ts";
import { serveWorkloadApi, type WorkloadApi, type WorkloadApiOptions } from "../../src/workload-api/index.ts";
import type { Registration } from "../../src/workload-api/registrations.ts";

export const SELF = { uid: process.getuid?.() ?? -1 };
export const HEADER = { headers: { "workload.spiffe.io": "true" } };
export const id = (name: string) => `spiffe://mesh.local/ns/default/sa/${name}`;
export const registered = (name: string, hint = ""): Registration => ({ spiffeId: id(name), unix: SELF, hint });

export interface Served {
  readonly api: WorkloadApi;
  readonly path: string;
  readonly client: Client<typeof SpiffeWorkloadAPI>;
  readonly authority: Awaited<ReturnType<typeof openAuthority>>;
  readonly svids: SvidManager;
  /** What the audit was told, as text. */
  readonly told: string[];
  register(...registrations: readonly Registration[]): void;
  /** The bundles of other trust domains from now on. */
  federate(...bundles: readonly TrustBundle[]): void;
  close(): Promise<void>;
}

export async function serve(options: Partial<WorkloadApiOptions> = {}): Promise<Served> {
  const directory = mkdtempSync(join(tmpdir(), "weft-workload-api-"));
  const path = join(directory, "workload.sock");
  const authority = await openAuthority({
    dir: directory,
    trustDomain: "mesh.local",
    clock: systemClock,
    propagation: { missing: () => ({ connected: [], away: [] }) },
  });
  authority.start();
  const svids = new SvidManager({ authority, clock: systemClock, random: Math.random });
  const told: string[] = [];
  let [registrations, federated]: [readonly Registration[], readonly TrustBundle[]] = [[], []];
  const listeners = new Set<() => void>();
  const api = await serveWorkloadApi({
    path,
    clock: systemClock,
    registrations: () => registrations,
    bundles: {
      own: () => authority.bundle(),
      federated: () => federated,
      onChange(listener) {
        listeners.add(listener);
        const stop = authority.onBundle(listener);
        return () => {
          listeners.delete(listener);
          stop();
        };
      },
    },
    svids,
    issueJwtSvid: (spiffeId, audience) => authority.issueJwtSvid(spiffeId, audience),
    observer: {
      issuing: async (event) => void told.push(`issued ${JSON.stringify(event)}`),
      refused: (event) => told.push(`refused ${event.method} ${event.code}: ${event.reason}`),
    },
    ...options,
  });
  const sessions = new Http2SessionManager("http://localhost", {}, { createConnection: () => connect(path) });
  const client = createClient(SpiffeWorkloadAPI, createGrpcTransport({ baseUrl: "http://localhost", sessionManager: sessions }));
  return {
    api,
    path,
    client,
    authority,
    svids,
    told,
    register(...next) {
      registrations = next;
      api.changed();
    },
    federate(...next) {
      federated = next;
      for (const listener of listeners) listener();
    },
    async close() {
      sessions.abort();
      await api.close(0);
      svids.close();
      authority.close();
      rmSync(directory, { recursive: true, force: true });
    },
  };
}
