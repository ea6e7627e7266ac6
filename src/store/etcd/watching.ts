/** One watch on a member: what comes of a range of keys after a revision, until it ends for any reason. */
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { WatchCreateRequestSchema, WatchResponse } from "../../gen/etcd/rpc_pb.ts";
import { type EtcdClient, unlessAborted } from "./client.ts";
import { type EtcdFailure, failureOf } from "./failure.ts";
import type { Member, Session } from "./member.ts";

export type WatchInit = MessageInitShape<typeof WatchCreateRequestSchema>;

/** What a watch says next: events, or that it ended ("ended", with the reason where it is known). */
export type Watched =
  | { readonly type: "events"; readonly response: WatchResponse }
  | { readonly type: "ended"; readonly reason: EtcdFailure | undefined };

export class Watching {
  readonly member: Member;
  readonly #client: EtcdClient;
  readonly #stop: ReturnType<EtcdClient["stopper"]>;
  readonly #responses: AsyncIterator<WatchResponse>;
  readonly #headers: Record<string, string>;
  #reading = false;
  #arrived: Watched | undefined;
  #wake = () => {};

  private constructor(
    client: EtcdClient,
    member: Member,
    session: Session,
    headers: Record<string, string>,
    create: WatchInit,
    signal: AbortSignal,
  ) {
    this.#client = client;
    this.member = member;
    this.#headers = headers;
    this.#stop = client.stopper(signal);
    const stopped = this.#stop.signal;
    async function* requests() {
      yield { requestUnion: { case: "createRequest" as const, value: create } };
      // The watch lives as long as the stream of requests.
      await new Promise<void>((resolve) => {
        if (stopped.aborted) resolve();
        stopped.addEventListener("abort", () => resolve(), { once: true });
      });
    }
    this.#responses = session.watch.watch(requests(), { headers, signal: stopped })[Symbol.asyncIterator]();
  }

  /** @throws EtcdFailure where the preferred member cannot be reached */
  static async open(client: EtcdClient, create: WatchInit, signal: AbortSignal): Promise<Watching> {
    const member = client.preferred;
    let session: Session | undefined;
    try {
      session = await client.open(member, signal);
      const headers = await client.streamHeaders(session, member, signal);
      return new Watching(client, member, session, headers, create, signal);
    } catch (reason) {
      const failure = failureOf(member.name, reason);
      if (!signal.aborted) client.turnAway(member, failure, session);
      throw failure;
    }
  }

  /** What comes next; undefined where nothing does for `milliseconds`, or until it is closed. One caller at a time. */
  async next(milliseconds: number): Promise<Watched | undefined> {
    if (!this.#reading) {
      this.#reading = true;
      void this.#read().then((watched) => {
        this.#arrived = watched;
        this.#wake();
      });
    }
    // Not a race with the promise of the reading: that may stand for days, and would keep each of these waits.
    if (!this.#arrived) {
      const waiting = this.#client.stopper(this.#stop.signal);
      this.#wake = waiting.abort;
      await this.#client.pause(milliseconds, waiting.signal);
      waiting.release();
    }
    const watched = this.#arrived;
    if (watched) {
      this.#arrived = undefined;
      this.#reading = false;
    }
    return watched;
  }

  close(): void {
    this.#stop.abort();
    this.#stop.release();
  }

  async #read(): Promise<Watched> {
    try {
      for (;;) {
        const { value: response, done } = await unlessAborted(this.#responses.next(), this.#stop.signal);
        if (done) return { type: "ended", reason: undefined };
        this.member.heardAt = this.#client.clock.monotonic();
        if (response.canceled) return { type: "ended", reason: this.#canceled(response) };
        if (response.events.length > 0) return { type: "events", response };
      }
    } catch (reason) {
      return { type: "ended", reason: this.#stop.signal.aborted ? undefined : failureOf(this.member.name, reason) };
    }
  }

  #canceled({ compactRevision, cancelReason }: WatchResponse): EtcdFailure | undefined {
    // Whoever watches reads again from its place, and watches from there.
    if (compactRevision > 0n) return undefined;
    const failure = failureOf(this.member.name, new Error(cancelReason || "watch canceled"));
    if (failure.cure === "token") this.#client.dropToken(this.#headers);
    return failure;
  }
}
