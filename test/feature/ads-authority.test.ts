import { afterEach, expect, test } from "bun:test";
import { connect as connectHttp2 } from "node:http2";
import { connect } from "node:net";
import { cleanUp, onCleanup, start } from "./fixture.ts";

afterEach(cleanUp);

const METHOD = "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources";

test("what a client calls the server, and a path that is none, ends no more than its own request", async () => {
  const { bound } = await start();
  const answerTo = async (headers: Readonly<Record<string, string>>) => {
    const session = connectHttp2("http://localhost", { createConnection: () => connect(bound.port, bound.address) });
    onCleanup(() => session.destroy());
    return await new Promise<string>((resolve) => {
      session.on("error", (reason) => resolve(`connection: ${reason.message}`));
      const stream = session.request({ ":method": "POST", ":path": METHOD, "content-type": "application/grpc", ...headers });
      stream.on("response", (response) => resolve(`status ${response[":status"]}`));
      stream.on("error", (reason) => resolve(`stream: ${reason.message}`));
      stream.on("close", () => resolve("closed"));
      stream.end();
    });
  };
  for (const authority of ["%2Frun%2Fads.sock", "["]) expect(await answerTo({ ":authority": authority })).toBe("status 200");
  expect(await answerTo({ ":authority": "a b" })).not.toContain("connection");
  expect(await answerTo({ ":path": "//[" })).not.toContain("connection");
  expect(await answerTo({})).toBe("status 200");
});
