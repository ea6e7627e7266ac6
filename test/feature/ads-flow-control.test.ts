import { afterEach, expect, test } from "bun:test";
import { connect as connectHttp2 } from "node:http2";
import { connect } from "node:net";
import { create, toBinary } from "@bufbuild/protobuf";
import { DeltaDiscoveryRequestSchema } from "../../src/gen/weft/ads/v1/discovery_pb.ts";
import { TYPE } from "../../src/lib/encoded.ts";
import { cleanUp, onCleanup, start, until } from "./fixture.ts";
import { frame, preface, rawDeltaRequest } from "./raw-http2.ts";

afterEach(cleanUp);

const { cluster: CDS, endpoint: EDS } = TYPE;

test("a reader that takes nothing from its connection gets what is true when it reads again, not what it missed", async () => {
  const pushed: string[] = [];
  const { source, bound } = await start({
    observer: { pushed: ({ typeUrl, revision }) => pushed.push(`${typeUrl.split(".").at(-1)} r${revision}`) },
  });
  // Larger than the HTTP/2 window, so that what comes after it waits for the peer.
  source.publish({ [CDS]: { a: "x".repeat(1_000_000) }, [EDS]: { a: "0" } });
  const session = connectHttp2(`http://${bound.address}:${bound.port}`);
  onCleanup(() => session.destroy());
  const path = "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources";
  const stream = session.request({
    ":method": "POST",
    ":path": path,
    "content-type": "application/grpc",
    authorization: "Bearer default/slow",
  });
  stream.pause();
  for (const fields of [{ typeUrl: CDS }, { typeUrl: EDS, resourceNamesSubscribe: ["a"] }]) {
    const message = toBinary(DeltaDiscoveryRequestSchema, create(DeltaDiscoveryRequestSchema, fields));
    const frame = Buffer.alloc(5);
    frame.writeUInt32BE(message.length, 1);
    stream.write(Buffer.concat([frame, message]));
  }
  await until(() => pushed.length === 1 && stream.readableLength > 0, "the first push");
  for (let i = 1; i <= 10; i += 1) source.publish({ [CDS]: { a: "x".repeat(1_000_000) }, [EDS]: { a: String(i) } });
  expect(pushed).toEqual(["Cluster r1"]);
  stream.resume();
  await until(() => pushed.length === 2, "the second push");
  expect(pushed).toEqual(["Cluster r1", "ClusterLoadAssignment r11"]);
});

test("a peer that raises INITIAL_WINDOW_SIZE again and again goes on receiving", async () => {
  const { source, bound } = await start();
  const size = 3_000_000;
  source.publish({ [EDS]: { a: "x".repeat(size) } });
  const socket = connect(bound.port, bound.address);
  onCleanup(() => socket.destroy());
  let bytes = 0;
  let window = 65_535;
  socket.on("data", (data) => {
    bytes += data.length;
    if (bytes < window / 2) return;
    window = Math.min(window * 2, 8_000_000);
    const value = Buffer.alloc(6);
    value.writeUInt16BE(4);
    value.writeUInt32BE(window, 2);
    socket.write(frame(4, 0, 0, value));
    const more = Buffer.alloc(4);
    more.writeUInt32BE(window);
    socket.write(frame(8, 0, 0, more));
  });
  socket.write(preface);
  socket.write(rawDeltaRequest(1, { typeUrl: EDS, resourceNamesSubscribe: ["a"] }));
  await until(() => bytes > size, "the rest", 2_000);
});
