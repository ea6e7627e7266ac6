import { expect, setDefaultTimeout, test } from "bun:test";
import { connect } from "node:net";
import { FLAG, FRAME, frame, Http2Peer, headerBlock } from "../../scripts/lib/abuse/http2.ts";
import { adsHeaders } from "../../scripts/lib/abuse/siege.ts";
import { HEADER, registered, serve } from "./served.ts";

setDefaultTimeout(30_000);

test("A connection that opens call after call and resets each is ended, and another of the same user is served", async () => {
  const weft = await serve({ limits: { callRate: { burst: 20, perSecond: 1 } } });
  try {
    weft.register(registered("billing"));
    const peer = new Http2Peer(connect(weft.path));
    const call = headerBlock([...adsHeaders(undefined, "/SpiffeWorkloadAPI/FetchX509SVID"), ["workload.spiffe.io", "false"]]);
    const flood = Array.from({ length: 2_000 }, (_, index) => {
      const stream = 1 + 2 * index;
      return Buffer.concat([
        frame(FRAME.headers, FLAG.endHeaders, stream, call),
        frame(FRAME.rstStream, 0, stream, Buffer.from([0, 0, 0, 8])),
      ]);
    });
    const closed = new Promise<void>((resolve) => peer.socket.once("close", () => resolve()));
    peer.socket.write(Buffer.concat(flood));
    await closed;
    expect(weft.told.length).toBeLessThanOrEqual(20);
    const answer = await weft.client.fetchJWTSVID({ audience: ["a"] }, HEADER);
    expect(answer.svids).toHaveLength(1);
  } finally {
    await weft.close();
  }
});
