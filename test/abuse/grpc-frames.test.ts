/** gRPC frames of any content on a real ADS server, from callers with and without a right to a stream. */
import { afterEach, expect, setDefaultTimeout, test } from "bun:test";
import { connect } from "node:net";
import fc from "fast-check";
import { envelope, FLAG, FRAME, frame, Http2Peer } from "../../scripts/lib/abuse/http2.ts";
import { adsHeaders, deltaRequest } from "../../scripts/lib/abuse/siege.ts";
import { TYPE } from "../../src/lib/encoded.ts";
import { cleanUp, start } from "../feature/fixture.ts";
import { hold } from "./seeds.ts";

setDefaultTimeout(60_000);
afterEach(cleanUp);

const piece = fc.oneof(
  fc.uint8Array({ maxLength: 300 }),
  fc
    .tuple(fc.uint8Array({ maxLength: 100 }), fc.nat(255), fc.nat(2 ** 32 - 1))
    .map(([bytes, flags, length]) => envelope(bytes, { flags, length })),
  fc.uint8Array({ maxLength: 100 }).map((bytes) => envelope(bytes)),
  fc.constant(envelope(deltaRequest(TYPE.cluster))),
);

test("no frames get anything without a right to it, and whoever has one is served beside them", async () => {
  const { source, bound, delta } = await start();
  source.publish({ [TYPE.cluster]: { a: "1" } });
  const play = async (token: string, pieces: readonly Uint8Array[]) => {
    const socket = connect(bound.port, bound.address);
    const peer = new Http2Peer(socket);
    await peer.write(peer.request(1, adsHeaders(token)));
    for (const bytes of pieces) await peer.write(frame(FRAME.data, 0, 1, bytes));
    await peer.write(frame(FRAME.data, FLAG.endStream, 1));
    const until = performance.now() + 5_000;
    while (!peer.ended.has(1) && !peer.closed && performance.now() < until) await Bun.sleep(1);
    socket.destroy();
    return { ended: peer.ended.has(1) || peer.closed, bytes: peer.data.get(1)?.length ?? 0 };
  };
  await hold(
    "gRPC frames",
    fc.asyncProperty(fc.array(piece, { maxLength: 4 }), async (pieces) => {
      expect(await play("nobody", pieces)).toEqual({ ended: true, bytes: 0 });
      expect((await play("default/orders", pieces)).ended).toBe(true);
    }),
    40,
  );
  const client = delta();
  client.subscribe(TYPE.cluster);
  expect((await client.take(TYPE.cluster)).resources.size).toBe(1);
});
