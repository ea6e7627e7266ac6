/**
 * Envoy's access logs as the witness: its response flags and details say who decided a request, which a status alone does not. All Envoys
 * append to one file, a line for each request or TCP connection.
 */
import { readFileSync } from "node:fs";

export interface LogEntry {
  /** The request's header x-conformance, "-" on TCP. */
  readonly id: string;
  /** "ADDRESS:PORT" of the peer, and of the listener: it tells whose Envoy this is. */
  readonly remote: string;
  readonly local: string;
  /** The Envoy's own address on its connection upstream, "-" where there is none. */
  readonly upstreamLocal: string;
  readonly flags: readonly string[];
  readonly details: string;
  readonly text: string;
}

/** For MeshConfig's accessLogFormat. The last parts may hold spaces. */
export const ACCESS_LOG_FORMAT = [
  "%REQ(X-CONFORMANCE)%",
  "%DOWNSTREAM_DIRECT_REMOTE_ADDRESS%",
  "%DOWNSTREAM_LOCAL_ADDRESS%",
  "%UPSTREAM_LOCAL_ADDRESS%",
  "%RESPONSE_FLAGS%",
  "%RESPONSE_CODE_DETAILS%/%CONNECTION_TERMINATION_DETAILS%",
  "%UPSTREAM_TRANSPORT_FAILURE_REASON%",
].join(" ");

export class AccessLog {
  readonly path: string;

  constructor(path: string) {
    this.path = path;
  }

  entries(): LogEntry[] {
    const text = readFileSync(this.path, "utf8");
    return text.split("\n").flatMap((line) => {
      const [id, remote, local, upstreamLocal, flags, ...details] = line.split(" ");
      if (!id || !remote || !local || !upstreamLocal || !flags) return [];
      return [{ id, remote, local, upstreamLocal, flags: flags.split(","), details: details.join(" "), text: line }];
    });
  }
}
