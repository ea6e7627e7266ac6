export { serveWorkloadApi, type WorkloadApi } from "./server.ts";
export type { Bundles, WorkloadApiObserver, WorkloadApiOptions } from "./types.ts";
