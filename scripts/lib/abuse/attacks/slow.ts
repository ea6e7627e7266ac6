/** Peers that take their time, or never say anything: they cost weft a place each, and nobody else may notice. */
import type { Socket } from "node:net";
import { systemClock } from "../../../../src/lib/clock.ts";
import { envelope, FLAG, FRAME, frame, Http2Peer, preface } from "../http2.ts";
import { adsHeaders, CLUSTER, deltaRequest } from "../siege.ts";
import type { Attack, Door, Result } from "../types.ts";

async function openMany(door: Door, count: number, greet: (socket: Socket, index: number) => void): Promise<Socket[]> {
  const sockets: Socket[] = [];
  let next = 0;
  const worker = async () => {
    for (let index = next++; index < count; index = next++) {
      const socket = await door.open().catch(() => undefined);
      if (!socket) continue;
      // A reset is what the server may do.
      socket.on("error", () => {});
      // What nobody reads never ends: it would count as open after weft has closed it.
      socket.resume();
      greet(socket, index);
      sockets.push(socket);
    }
  };
  await Promise.all(Array.from({ length: 32 }, worker));
  return sockets;
}

/** Holds `count` connections open for a while, writing to each now and then. */
async function hold(
  door: Door,
  count: number,
  greet: (socket: Socket, index: number) => void,
  drip: (socket: Socket) => void,
  holdMs: number,
): Promise<Result> {
  const sockets = await openMany(door, count, greet);
  const until = systemClock.monotonic() + holdMs;
  const open = () => sockets.filter((socket) => !socket.destroyed && !socket.readableEnded).length;
  const most = open();
  while (systemClock.monotonic() < until && open() > 0) {
    for (const socket of sockets) if (!socket.destroyed && socket.writable) drip(socket);
    await Bun.sleep(500);
  }
  const left = open();
  for (const socket of sockets) socket.destroy();
  return { attempts: count, gotIn: 0, note: `${most} open, ${left} after ${Math.round(holdMs / 1000)} s` };
}

const HTTP1_START = "GET /v1/services HTTP/1.1\r\nhost: 127.0.0.1\r\n";
const silently = () => {};

export const SLOW: readonly Attack[] = [
  {
    name: "slowloris: half a preface, half a header block",
    by: "stranger",
    on: "http2",
    times: [2_000, 200],
    run: (_, door, times) => {
      const half = frame(FRAME.headers, FLAG.endHeaders, 1, Buffer.alloc(200)).subarray(0, 30);
      const greet = (socket: Socket, index: number) => {
        socket.write([Buffer.from("PRI * HT"), preface(), Buffer.concat([preface(), half])][index % 3] ?? "");
      };
      return hold(door, times, greet, silently, times > 500 ? 18_000 : 1_000);
    },
  },
  {
    name: "slowloris: headers without an end, a byte at a time",
    by: "stranger",
    on: "admin",
    times: [2_000, 200],
    run: (_, door, times) =>
      hold(
        door,
        times,
        (socket) => socket.write(HTTP1_START),
        (socket) => socket.write("a"),
        times > 500 ? 70_000 : 1_000,
      ),
  },
  {
    name: "bodies that never come",
    by: "stranger",
    on: "admin",
    times: [1_000, 100],
    run: (_, door, times) => {
      const start = "POST /v1/apply HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: 1000000\r\n\r\n{";
      return hold(door, times, (socket) => socket.write(start), silently, times > 500 ? 70_000 : 1_000);
    },
  },
  {
    name: "10,000 connections that say nothing",
    by: "stranger",
    on: () => true,
    times: [10_000, 500],
    run: (_, door, times) => hold(door, times, silently, silently, 2_000),
  },
  {
    name: "pipelined requests, answers not read",
    by: "stranger",
    on: "admin",
    times: [200_000, 20_000],
    async run(_, door, times) {
      const socket = await door.open();
      socket.on("error", () => {});
      socket.pause();
      const requests = Buffer.from("GET /metrics HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n".repeat(100));
      const until = systemClock.monotonic() + 10_000;
      let sent = 0;
      while (sent < times && systemClock.monotonic() < until && !socket.destroyed && socket.writable) {
        sent += 100;
        if (!socket.write(requests)) {
          const waited = systemClock.monotonic();
          while (socket.writableNeedDrain && !socket.destroyed && systemClock.monotonic() - waited < 2_000) await Bun.sleep(5);
          if (socket.writableNeedDrain) break;
        }
      }
      await Bun.sleep(500);
      const refused = socket.destroyed;
      socket.destroy();
      return { attempts: sent, gotIn: 0, note: refused ? "cut" : "" };
    },
  },
  {
    name: "slow readers: subscribe to everything, take nothing",
    by: "workload",
    on: "ads",
    times: [500, 50],
    async run(siege, door, times) {
      const peers: Http2Peer[] = [];
      for (let index = 0; index < times; index += 1) {
        const socket = await door.open().catch(() => undefined);
        if (!socket) continue;
        // A window of no byte: what is to be sent stays with the server.
        const peer = new Http2Peer(socket, preface([[4, 0]]));
        peers.push(peer);
        await peer.write(peer.request(1, adsHeaders(siege.tokens.orders), envelope(deltaRequest(CLUSTER))));
        socket.pause();
      }
      const until = systemClock.monotonic() + (times > 100 ? 5_000 : 1_000);
      // Each asks again and again for what it does not take.
      while (systemClock.monotonic() < until) {
        for (const peer of peers) {
          const again = envelope(
            deltaRequest(
              `type.googleapis.com/x`,
              Array.from({ length: 50 }, (_, index) => `n${index}`),
            ),
          );
          if (!peer.closed && peer.socket.writableLength === 0) peer.socket.write(frame(FRAME.data, 0, 1, again));
        }
        await Bun.sleep(20);
      }
      for (const { socket } of peers) socket.destroy();
      return { attempts: times, gotIn: 0 };
    },
  },
];
