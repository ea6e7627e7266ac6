import { afterEach, expect, test } from "bun:test";
import { connect } from "node:http2";
import { WeftError } from "../../src/lib/errors.ts";
import { grpcMessage } from "../../src/lib/grpc-message.ts";
import { cleanUp, onCleanup, start } from "./fixture.ts";

afterEach(cleanUp);

/** As it stands on the wire: what Envoy logs. */
function refusal({ address, port }: { readonly address: string; readonly port: number }): Promise<string> {
  const session = connect(`http://${address}:${port}`);
  onCleanup(() => session.destroy());
  const call = session.request({
    ":method": "POST",
    ":path": "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources",
    "content-type": "application/grpc",
    te: "trailers",
  });
  call.end(Buffer.alloc(5));
  return new Promise((resolve, reject) => {
    const seen = (headers: Record<string, unknown>) => {
      if (typeof headers["grpc-message"] === "string") resolve(headers["grpc-message"]);
    };
    call.on("response", seen).on("trailers", seen).on("error", reject).resume();
  });
}

test("a refusal is sent in words that Envoy logs as they are, and nothing is encoded that gRPC does not ask for", async () => {
  const { bound } = await start();
  expect(await refusal(bound)).toBe("no valid workload token; run: weft token --workload NAME");
});

test("what a refusal repeats cannot break out of its field", async () => {
  const authenticate = () => Promise.reject(new WeftError("unauthenticated", " 100%\r\ngrpc-status: 0 ü "));
  const { bound } = await start({ authenticate });
  expect(await refusal(bound)).toBe("%20100%25%0D%0Agrpc-status: 0 %C3%BC%20");
});

test("any text can be told, and is read as it was", () => {
  for (const text of ["", "a b", "100%", "%zz", "%ff", "ü", "\u{1f600}", "\n", " a"]) {
    expect(grpcMessage(text)).toMatch(/^(?! )[\x20-\x7e]*$/);
    expect(decodeURIComponent(grpcMessage(text))).toBe(text);
  }
  // Half of a character is none.
  expect(decodeURIComponent(grpcMessage("a\ud83d"))).toBe("a\ufffd");
});
