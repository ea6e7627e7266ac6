/** A readiness probe with all its defaults: what a WorkloadGroup says, and `weft proxy run` does. */
export interface ProbePlan {
  readonly initialDelayMs: number;
  readonly timeoutMs: number;
  readonly periodMs: number;
  /** So many successes in a row make ready, and so many failures unready. At least 1. */
  readonly successThreshold: number;
  readonly failureThreshold: number;
  readonly method: ProbeMethod;
}

/** `host` is an IP address, or in a WorkloadGroup's probe a name. Where none is given, the application is on this machine's loopback: the workload's own address is its sidecar's. */
export type ProbeMethod =
  | {
      readonly type: "http";
      readonly scheme: "http" | "https";
      readonly host?: string;
      readonly port: number;
      /** With its query. */
      readonly path: string;
      readonly headers: readonly (readonly [name: string, value: string])[];
    }
  | { readonly type: "tcp"; readonly host?: string; readonly port: number }
  | { readonly type: "exec"; readonly command: readonly string[] }
  | { readonly type: "grpc"; readonly host?: string; readonly port: number; readonly service: string };
