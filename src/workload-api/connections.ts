/** The connections of the Workload API: whose each is, and how many one user has. */
import type { Http2Server, ServerHttp2Session } from "node:http2";
import type { Socket } from "node:net";
import { type Attestation, attest } from "./attest.ts";
import type { WorkloadApiLimits } from "./limits.ts";

export class Connections {
  readonly #callers = new Map<object, Attestation>();
  readonly #sessions = new Set<ServerHttp2Session>();
  readonly #perUid = new Map<number, number>();
  readonly #calls = new Map<number, number>();

  constructor(
    server: Http2Server,
    limits: WorkloadApiLimits,
    hooks: { readonly changed: (by: 1 | -1) => void; readonly refused: (who: string) => void },
  ) {
    server.on("session", (session) => {
      // A peer that resets its connection ends its calls by that.
      session.on("error", () => session.destroy());
      // Gone already where the peer was quick.
      if (!session.socket) return session.destroy();
      const caller = attest(session.socket as Socket);
      const { uid } = caller;
      const taken = uid === undefined ? 0 : (this.#perUid.get(uid) ?? 0);
      if (uid === undefined || taken >= limits.maxConnectionsPerUid) {
        if (uid !== undefined) hooks.refused(caller.who);
        caller.close();
        return session.destroy();
      }
      this.#perUid.set(uid, taken + 1);
      this.#callers.set(session, caller);
      this.#sessions.add(session);
      hooks.changed(1);
      session.on("close", () => {
        if (!this.#callers.delete(session)) return;
        this.#sessions.delete(session);
        count(this.#perUid, uid, -1);
        caller.close();
        hooks.changed(-1);
      });
    });
  }

  /** Undefined where the connection is gone. */
  callerOf(session: object | undefined): Attestation | undefined {
    return session && this.#callers.get(session);
  }

  /** Counts a call of `uid` in or out. Returns how many there are now. */
  count(uid: number, by: 1 | -1): number {
    return count(this.#calls, uid, by);
  }

  /** GOAWAY: no new calls; those that are there go on to their end. */
  sayGoodbye(): void {
    for (const session of this.#sessions) if (!session.closed && !session.destroyed) session.close();
  }

  destroy(): void {
    for (const session of this.#sessions) session.destroy();
  }
}

function count(counts: Map<number, number>, key: number, by: 1 | -1): number {
  const now = (counts.get(key) ?? 0) + by;
  if (now <= 0) counts.delete(key);
  else counts.set(key, now);
  return now;
}
