/** One ADS stream: requests and snapshots come in, responses go out as fast as the peer takes them. */
import { Code, ConnectError } from "@connectrpc/connect";
import type { Node } from "../gen/envoy/config/core/v3/base_pb.ts";
import type { Clock } from "../lib/clock.ts";
import type { ProxySnapshot } from "../lib/encoded.ts";
import { WeftError } from "../lib/errors.ts";
import type { Admission, Place } from "./admission.ts";
import type { Deadlines } from "./deadlines.ts";
import { nonceField, sizeOf } from "./encode.ts";
import { toConnectError } from "./errors.ts";
import type { GrpcCall } from "./grpc-call.ts";
import type { Ledger } from "./ledger.ts";
import type { LedgerEntry } from "./ledger-entry.ts";
import type { AdsLimits } from "./limits.ts";
import { isTypeUrl, Subscriptions } from "./order.ts";
import type { Answer, Push } from "./push.ts";
import type { Subscription } from "./subscription.ts";
import type { AdsObserver, AnswerEvent, Credentials, ProxyIdentity, SnapshotSource } from "./types.ts";
import type { Variant } from "./variant.ts";

export interface StreamOptions {
  /** Whose the stream is, once its node.id is known. @throws WeftError "unauthenticated", "forbidden" */
  readonly identify: (nodeId: string) => ProxyIdentity;
  /** Whose it is before it says so: a proof that is taken back ends the stream also before its first request. */
  readonly proven?: ProxyIdentity | undefined;
  readonly address: string;
  readonly transport: Credentials["transport"];
  /** Begins all nonces of this stream, and of no other. */
  readonly id: string;
  readonly source: SnapshotSource;
  readonly ledger: Ledger;
  readonly observer: AdsObserver;
  readonly clock: Clock;
  readonly limits: AdsLimits;
  /** How long a stream may be open without a request. */
  readonly firstRequests: Deadlines;
  /** Says when the first request may be taken in. Absent: at once. */
  readonly admission?: Admission;
  /** Called once, when the stream ends. */
  readonly onEnd?: () => void;
}

/** So much may be due of one stream before no more is read of it: what many send faster than it is done in turn would else pile up here. */
const MOST_DUE = 16;

export class AdsStream<Request, S extends Subscription> {
  private readonly options: StreamOptions;
  private readonly variant: Variant<Request, S>;
  private readonly call: GrpcCall;
  private readonly subscriptions: Subscriptions<S>;
  private readonly sentAt = new Map<string, number>();
  private entry: LedgerEntry | undefined;
  private identity: ProxyIdentity | undefined;
  private unsubscribe: (() => void) | undefined;
  private cancelFirst: (() => void) | undefined;
  private place: Place | undefined;
  /** From its first request on until it is in sync; what is done for it meanwhile is done in turn, and how much of that is still to do. */
  private isComing = false;
  private due = 0;
  /** Requests that came before the stream's turn; undefined from then on. */
  private early: Request[] | undefined = [];
  private count = 0;
  private ended = false;
  private awake = false;

  constructor(options: StreamOptions, variant: Variant<Request, S>, call: GrpcCall) {
    this.options = options;
    this.variant = variant;
    this.call = call;
    this.subscriptions = new Subscriptions((typeUrl) => variant.create(typeUrl));
  }

  /** Whose it is; undefined before its first request, unless what opened it is one workload's alone. */
  get proxy(): ProxyIdentity | undefined {
    return this.identity ?? this.options.proven;
  }

  /** Ends the stream: with a status where there is an error, else cleanly. The first call counts. */
  end(reason: string, error?: ConnectError): void {
    if (this.ended) return;
    this.ended = true;
    this.call.end(error);
    this.close(reason);
  }

  /** Serves requests from now on, until it is ended. */
  start(): void {
    this.cancelFirst = this.options.firstRequests.begin(() => {
      this.end("no request", new ConnectError("no request came in time", Code.DeadlineExceeded));
    });
    this.call.start({
      message: (bytes) => this.request(this.variant.decode(bytes)),
      finished: () => this.finish(),
      failed: (error) => this.end(error.rawMessage, error),
      ready: () => this.wake(),
      closed: () => this.end("the connection was lost"),
    });
  }

  /**
   * Sends what there is to send, one response at a time: each is made when the peer has taken the one before, so what changes meanwhile is in
   * the next, once.
   */
  private send(): void {
    this.awake = false;
    try {
      while (!this.ended && this.call.ready) {
        const push = this.subscriptions.take(`${this.options.id}.${this.count + 1}`);
        if (!push) {
          if (this.isComing && this.inSync) this.leavePlace();
          break;
        }
        this.sent(push);
        this.call.send(nonceField(push.nonce), this.variant.body(push.parcel));
      }
      if (this.due === 0) this.place?.waits();
    } catch (reason) {
      const error = toConnectError(reason);
      this.end(error.rawMessage, error);
    }
  }

  /** After what came before, so that each answer is on record. */
  private finish(): void {
    if (this.due > 0) this.inTurn(() => this.end("ended by the proxy"));
    else this.end("ended by the proxy");
  }

  private request(request: Request): void {
    if (!this.early) {
      // It has answered; that other streams' turns come first is not its slowness.
      this.place?.works();
      // In the order in which they came.
      if (this.isComing || this.due > 0) this.inTurn(() => this.receive(request));
      else this.receive(request);
      if (this.due > MOST_DUE) this.call.pause();
      return;
    }
    this.early.push(request);
    if (this.early.length > 1) return;
    this.cancelFirst?.();
    const { admission } = this.options;
    if (!admission) {
      this.begun();
      return;
    }
    this.isComing = true;
    this.place = admission.enter(() => this.begun());
    // Where that was at once.
    if (this.due > 0) this.place.works();
    if (this.ended) this.leavePlace();
    // What it sends meanwhile waits with it.
    else if (this.early) this.call.pause();
  }

  /** It is this stream's turn. */
  private begun(): void {
    const early = this.early ?? [];
    this.early = undefined;
    this.place?.works();
    this.call.resume();
    try {
      for (const request of early) if (!this.ended) this.receive(request);
    } catch (reason) {
      const error = toConnectError(reason);
      this.end(error.rawMessage, error);
    }
  }

  /** With its listeners (its secrets, where it has only these) answered it has all that it takes to serve, but for what those refer to, which it asks for now. */
  private get inSync(): boolean {
    if (this.subscriptions.get(this.variant.last)?.settledRevision === undefined) return false;
    for (const subscription of this.subscriptions.all()) if (subscription.answerDue || subscription.pending) return false;
    return true;
  }

  private receive(request: Request): void {
    const { limits } = this.options;
    const { typeUrl, node } = this.variant.head(request);
    if (typeUrl === "") throw new WeftError("invalid", "an aggregated stream needs a type_url in every request");
    const known = this.subscriptions.get(typeUrl);
    if (!known && this.subscriptions.size >= limits.maxTypes) {
      throw new WeftError("too_large", `a stream may ask for at most ${limits.maxTypes} resource types`);
    }
    // First: with a snapshot, what the request leads to is the same for all who see the same.
    if (!this.entry) this.begin(node);
    const subscription = known ?? this.subscriptions.of(typeUrl);
    const answer = this.variant.apply(subscription, request);
    if (subscription.subscribed > limits.maxNames) {
      throw new WeftError("too_large", `a stream may subscribe to at most ${limits.maxNames} resources of a type`);
    }
    this.answered(typeUrl, answer);
    this.wake();
  }

  private begin(node: Node | undefined): void {
    const { identify, address, transport, ledger, observer, source } = this.options;
    const { protocol } = this.variant;
    const name = node?.id ?? "";
    const proxy = identify(name);
    this.identity = proxy;
    const info = {
      id: proxy.id,
      node: name,
      envoyVersion: envoyVersion(node),
      metadata: boundedMetadata(node),
      protocol,
      address,
      transport,
    };
    this.entry = ledger.open(info, (typeUrl) => this.subscriptions.get(typeUrl));
    observer.streamOpened?.({ proxy, protocol, node: name, address });
    const take = (snapshot: ProxySnapshot) => {
      if (this.subscriptions.update(snapshot)) this.wake();
    };
    this.unsubscribe = source.subscribe(proxy, take, { envoyVersion: info.envoyVersion, protocol });
  }

  private sent(push: Push): void {
    this.count += 1;
    this.sentAt.set(push.typeUrl, this.options.clock.monotonic());
    this.entry?.sent(push);
    const event = this.event(push);
    if (event) this.options.observer.pushed?.({ ...event, resources: push.resources.length, bytes: sizeOf(push) });
  }

  private answered(typeUrl: string, answer: Answer): void {
    if (answer.kind !== "ack" && answer.kind !== "nack") return;
    const { clock, observer } = this.options;
    const now = clock.monotonic();
    const milliseconds = now - (this.sentAt.get(typeUrl) ?? now);
    const event = this.event(answer.push);
    if (answer.kind === "ack") {
      this.entry?.acked(answer.push);
      if (event) observer.acked?.({ ...event, milliseconds });
    } else {
      this.entry?.nacked(answer);
      if (event) observer.nacked?.({ ...event, milliseconds, message: answer.message });
    }
  }

  private event({ typeUrl, revision, nonce }: Push): AnswerEvent | undefined {
    return this.identity && isTypeUrl(typeUrl) ? { proxy: this.identity, typeUrl, revision, nonce } : undefined;
  }

  private leavePlace(): void {
    this.isComing = false;
    this.place?.leave();
    this.place = undefined;
  }

  private close(reason: string): void {
    this.cancelFirst?.();
    this.leavePlace();
    this.unsubscribe?.();
    this.unsubscribe = undefined;
    this.subscriptions.close();
    this.options.onEnd?.();
    if (!this.entry) return;
    const { ledger, observer } = this.options;
    ledger.close(this.entry);
    if (this.identity) observer.streamClosed?.({ proxy: this.identity, protocol: this.variant.protocol, reason });
  }

  /** What is to be sent is sent when all that is known now is taken in. */
  private wake(): void {
    if (this.awake || this.ended) return;
    this.awake = true;
    if (this.isComing || this.due > 0) this.inTurn(() => this.send());
    else queueMicrotask(() => this.send());
  }

  private inTurn(task: () => void): void {
    const { admission } = this.options;
    this.due += 1;
    admission?.inTurn(() => {
      this.due -= 1;
      if (this.ended) return;
      if (this.due === MOST_DUE) this.call.resume();
      try {
        task();
      } catch (reason) {
        const error = toConnectError(reason);
        this.end(error.rawMessage, error);
      }
    });
  }
}

/** What is remembered of each proxy, also for a while after it left, must not be as large as a message. */
const LONGEST_METADATA = 65_536;

function boundedMetadata(node: Node | undefined): unknown {
  return JSON.stringify(node?.metadata ?? {}).length > LONGEST_METADATA ? undefined : node?.metadata;
}

function envoyVersion(node: Node | undefined): string {
  const agent = node?.userAgentVersionType;
  if (agent?.case === "userAgentVersion") return agent.value;
  const version = agent?.case === "userAgentBuildVersion" ? agent.value.version : undefined;
  return version ? `${version.majorNumber}.${version.minorNumber}.${version.patch}` : "";
}
