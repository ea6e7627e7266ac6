/** What ADS reports, as metrics, spans and log lines. */
import type { AdsObserver, AnswerEvent } from "../ads/types.ts";
import type { Clock } from "../lib/clock.ts";
import { TYPE, type TypeUrl } from "../lib/encoded.ts";
import { Sparingly } from "../lib/sparingly.ts";
import { logger } from "../telemetry/log.ts";
import type { Metrics } from "../telemetry/metrics.ts";
import { ATTRIBUTE, failSpan, type Span, type Tracing } from "../telemetry/tracing.ts";
import type { AuditTrail } from "./audit-trail.ts";
import type { Journal } from "./journal.ts";

/** The short names that operators know the types by, in the order in which they are pushed. */
export const TYPE_NAMES: ReadonlyMap<TypeUrl, string> = new Map([
  [TYPE.cluster, "CDS"],
  [TYPE.endpoint, "EDS"],
  [TYPE.listener, "LDS"],
  [TYPE.route, "RDS"],
  [TYPE.virtualHost, "VHDS"],
  [TYPE.secret, "SDS"],
  [TYPE.extension, "ECDS"],
]);

export function typeName(typeUrl: TypeUrl): string {
  return TYPE_NAMES.get(typeUrl) ?? typeUrl;
}

/** In a minute: refusals cost their sender nothing, and a log fills a disk. The audit and the metrics count them all. */
const MOST_REFUSALS_TOLD = 50;

/** Without the port, which is another one each time. */
const hostOf = (address: string) => address.replace(/:\d+$/, "");

export function createObserver(options: {
  readonly metrics: Metrics;
  readonly tracing: Tracing;
  readonly journal: Journal;
  readonly audit: Pick<AuditTrail, "refused">;
  readonly clock: Clock;
  /** A stream came or went. */
  readonly onStreams: () => void;
}): AdsObserver {
  const { metrics, tracing, journal, audit, clock, onStreams } = options;
  const log = logger("ads");
  /** Push spans that wait for their answer, by "proxy nonce"; only of changes that are remembered, only when tracing. */
  const pushes = new Map<string, Span>();
  const refusals = new Sparingly({
    clock,
    most: MOST_REFUSALS_TOLD,
    windowMs: 60_000,
    onMore: (count) => log.warning("{count} more ADS streams were refused in the last minute; `weft audit` says whose", { count }),
  });
  const pushesOf = perType((type) => metrics.pushes.labels({ type }));
  const pushedBytesOf = perType((type) => metrics.pushedBytes.labels({ type }));
  const acksOf = perType((type) => metrics.acks.labels({ type }));
  const convergenceOf = perType((type) => metrics.convergence.labels({ type }));
  const keyOf = (event: AnswerEvent) => `${event.proxy.id} ${event.nonce}`;

  const answered = (event: AnswerEvent, refusal?: string) => {
    const push = pushes.get(keyOf(event));
    if (!push) return;
    pushes.delete(keyOf(event));
    const attributes = { ...attributesOf(event), [ATTRIBUTE.nack]: refusal !== undefined };
    const ack = tracing.startSpan("ack", { parent: push.spanContext(), attributes });
    if (refusal === undefined) ack.end();
    else failSpan(ack, refusal);
    push.end();
  };

  return {
    streamOpened({ proxy, protocol, node, address }) {
      metrics.streams.inc({ protocol });
      onStreams();
      log.info("proxy {proxy} connected", { proxy: proxy.id, protocol, node, address });
    },
    streamClosed({ proxy, protocol, reason }) {
      metrics.streams.dec({ protocol });
      onStreams();
      for (const [key, span] of pushes) {
        if (!key.startsWith(`${proxy.id} `)) continue;
        pushes.delete(key);
        failSpan(span, "the stream ended before the answer");
      }
      log.info("proxy {proxy} disconnected", { proxy: proxy.id, reason });
    },
    refused({ code, reason, address }) {
      metrics.streamsRefused.inc({ reason: code });
      audit.refused({ who: "unknown", from: `ads ${hostOf(address)}`, action: "ads-stream", targets: [], reason: `${code}: ${reason}` });
      refusals.tell(() => log.warning("an ADS stream was refused: {reason}", { reason, address }));
    },
    pushed(event) {
      pushesOf(event.typeUrl).inc();
      pushedBytesOf(event.typeUrl).inc(event.bytes);
      if (!tracing.enabled) return;
      const change = journal.pushed(event.revision, clock.monotonic());
      if (!change) return;
      const attributes = { ...attributesOf(event), [ATTRIBUTE.resources]: event.resources };
      pushes.set(keyOf(event), tracing.startSpan("push", { parent: change.span, attributes }));
    },
    acked(event) {
      acksOf(event.typeUrl).inc();
      const now = clock.monotonic();
      const change = journal.pushed(event.revision, now - event.milliseconds);
      if (change?.at !== undefined) convergenceOf(event.typeUrl).observe((now - change.at) / 1000);
      answered(event);
    },
    nacked(event) {
      const type = typeName(event.typeUrl);
      metrics.nacks.inc({ type });
      log.error("proxy {proxy} refused {type}: {message}; what it had stays in force, `weft proxies {proxy}` names the YAML line", {
        proxy: event.proxy.id,
        type,
        message: event.message,
        revision: event.revision,
      });
      answered(event, event.message);
    },
  };
}

/** A metric's child for each type, looked up by its labels once: every push and every answer counts. */
function perType<Child>(make: (type: string) => Child): (typeUrl: TypeUrl) => Child {
  const children = new Map<TypeUrl, Child>();
  return (typeUrl) => {
    const child = children.get(typeUrl) ?? make(typeName(typeUrl));
    children.set(typeUrl, child);
    return child;
  };
}

function attributesOf(event: AnswerEvent) {
  return { [ATTRIBUTE.proxy]: event.proxy.id, [ATTRIBUTE.xdsType]: typeName(event.typeUrl), [ATTRIBUTE.revision]: event.revision };
}
