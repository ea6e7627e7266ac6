/** gRPC frames that lie, before and after the caller proved who it is. */
import { envelope, FLAG, FRAME, frame, Http2Peer } from "../http2.ts";
import { adsHeaders, CLUSTER, deltaRequest } from "../siege.ts";
import type { Attack, Door, Result } from "../types.ts";

const MEBIBYTE = 1024 * 1024;

/** What may follow the headers of a call: bytes of its DATA. */
function bodies(): readonly (readonly [string, Uint8Array])[] {
  const request = deltaRequest(CLUSTER);
  return [
    ["a message of 4 GiB, of which 1 kB comes", envelope(Buffer.alloc(1_024), { length: 0xffff_ffff })],
    ["a message of 5 MiB", envelope(Buffer.alloc(5 * MEBIBYTE))],
    ["a compressed flag", envelope(request, { flags: 1 })],
    ["unknown flags", envelope(request, { flags: 0x7e })],
    ["an end-of-stream flag, as Connect has it", envelope(Buffer.from("{}"), { flags: 2 })],
    ["a cut head", Buffer.from([0, 0, 0])],
    ["random bytes as a message", envelope(Uint8Array.from({ length: 4_096 }, (_, index) => (index * 7_919 + (index >> 3)) & 255))],
    ["a field of a length beyond the message", envelope(Buffer.from([0x12, 0xff, 0xff, 0xff, 0xff, 0x0f, 1, 2]))],
    ["a varint without an end", envelope(Buffer.alloc(64, 0xff))],
    ["groups in groups, 10,000 deep", envelope(Buffer.alloc(10_000, 0x0b))],
    ["a Struct of 10,000 levels in node.metadata", envelope(nestedStruct(10_000))],
    ["no type_url", envelope(new Uint8Array())],
    [
      "100,000 names in one request",
      envelope(
        deltaRequest(
          CLUSTER,
          Array.from({ length: 100_001 }, (_, index) => `n${index}`),
        ),
      ),
    ],
    ["100 types", Buffer.concat(Array.from({ length: 100 }, (_, index) => envelope(deltaRequest(`type.googleapis.com/x${index}`))))],
    ["100,000 empty messages", Buffer.alloc(500_000)],
  ];
}

/** node { metadata { fields { "a": struct { fields ... } } } }, by hand and from the inside out: an encoder would not go so deep. */
function nestedStruct(levels: number): Uint8Array {
  const heads: Buffer[] = [];
  let size = 0;
  const wrap = (head: readonly number[]) => {
    heads.push(Buffer.from(head));
    size += head.length;
  };
  const lengthOf = (count: number): number[] => (count < 128 ? [count] : [(count & 127) | 128, ...lengthOf(count >>> 7)]);
  // Of a map's entry: key 1 "a", value 2; Value.struct_value 5; Struct.fields 1.
  for (let level = 0; level < levels; level += 1) {
    wrap([0x2a, ...lengthOf(size)]);
    wrap([0x0a, 1, 0x61, 0x12, ...lengthOf(size)]);
    wrap([0x0a, ...lengthOf(size)]);
  }
  wrap([0x1a, ...lengthOf(size)]);
  wrap([0x0a, ...lengthOf(size)]);
  return Buffer.concat(heads.reverse());
}

async function send(door: Door, headers: ReturnType<typeof adsHeaders>, body: Uint8Array): Promise<Http2Peer | undefined> {
  const socket = await door.open().catch(() => undefined);
  if (!socket) return undefined;
  const peer = new Http2Peer(socket);
  await peer.write(peer.request(1, headers));
  for (let at = 0; at < body.length; at += 16_384)
    if (!(await peer.write(frame(FRAME.data, 0, 1, body.subarray(at, at + 16_384)), 200))) break;
  return peer;
}

async function lie(door: Door, times: number, token: string | undefined): Promise<Result> {
  const all = bodies();
  let ended = 0;
  let gotIn = 0;
  for (let index = 0; index < times; index += 1) {
    const [, body = new Uint8Array()] = all[index % all.length] ?? [];
    const peer = await send(door, adsHeaders(token), body);
    if (!peer) continue;
    for (let wait = 0; wait < 100 && !peer.ended.has(1) && !peer.closed; wait += 1) await Bun.sleep(5);
    if (peer.ended.has(1) || peer.closed) ended += 1;
    if (token === undefined && (peer.data.get(1)?.length ?? 0) > 0) gotIn += 1;
    peer.socket.destroy();
  }
  return { attempts: times, gotIn, note: `${ended} ended by weft` };
}

export const GRPC: readonly Attack[] = [
  {
    name: "gRPC frames that lie, without a token",
    by: "stranger",
    on: "ads",
    times: [600, 15],
    run: (_, door, times) => lie(door, times, undefined),
  },
  {
    name: "gRPC frames that lie, with a token",
    by: "workload",
    on: "ads",
    times: [600, 15],
    run: (siege, door, times) => lie(door, times, siege.tokens.orders),
  },
  {
    name: "a gRPC body of any size, without a token",
    by: "stranger",
    on: "ads",
    times: [400, 40],
    async run(_, door, times) {
      // MiB, in frames that the window allows or not.
      let sent = 0;
      while (sent < times) {
        const socket = await door.open().catch(() => undefined);
        if (!socket) break;
        const peer = new Http2Peer(socket);
        peer.polite = false;
        await peer.write(peer.request(1, adsHeaders(undefined)));
        const piece = frame(FRAME.data, 0, 1, Buffer.alloc(16_384));
        for (let at = 0; at < 64 * 8 && (await peer.write(piece, 200)); at += 1);
        sent += 8;
        socket.destroy();
      }
      return { attempts: sent, gotIn: 0, note: "MiB" };
    },
  },
  {
    name: "streams that are not for gRPC: paths, methods, headers",
    by: "stranger",
    on: "ads",
    times: [500, 50],
    async run(siege, door, times) {
      const paths = [
        "/",
        "/../../etc/passwd",
        "/%2e%2e/",
        "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
        `/${"a".repeat(8_000)}`,
        "/\u0000",
        "*",
      ];
      let gotIn = 0;
      for (let index = 0; index < times; index += 1) {
        const socket = await door.open().catch(() => undefined);
        if (!socket) continue;
        const peer = new Http2Peer(socket);
        const headers = adsHeaders(siege.tokens.orders, paths[index % paths.length] ?? "/").map(
          ([name, value]) =>
            [
              name,
              name === ":method" && index % 3 === 0 ? (["GET", "CONNECT", "TRACE"][index % 9 === 0 ? 0 : 1] ?? "GET") : value,
            ] as const,
        );
        await peer.write(Buffer.concat([peer.request(1, headers), frame(FRAME.data, FLAG.endStream, 1, envelope(deltaRequest(CLUSTER)))]));
        for (let wait = 0; wait < 60 && !peer.ended.has(1) && !peer.closed; wait += 1) await Bun.sleep(5);
        if ((peer.data.get(1)?.length ?? 0) > 5) gotIn += 1;
        socket.destroy();
      }
      return { attempts: times, gotIn };
    },
  },
];
