/** What a token that Envoy adds to calls rests on, tried on a real Envoy: docs/design.md, "Tokens for calls". */
import { afterEach, describe, expect, test } from "bun:test";
import { create } from "@bufbuild/protobuf";
import { ClusterSchema } from "../../src/gen/envoy/config/cluster/v3/cluster_pb.ts";
import { HttpProtocolOptionsSchema } from "../../src/gen/envoy/extensions/upstreams/http/v3/http_protocol_options_pb.ts";
import { TYPE } from "../../src/lib/encoded.ts";
import { encodeResource, packAny } from "../../src/xds/encode.ts";
import { injectingFilters } from "../../src/xds/filters/credential-injector.ts";
import { tokenResource } from "../../src/xds/secret.ts";
import { envoyFor } from "../skip.ts";
import { cluster, endpoint, freePort, listener, routes, startEnvoyLab } from "./envoy-lab.ts";
import { cleanUp, onCleanup } from "./fixture.ts";

afterEach(cleanUp);

const envoy = envoyFor("tokens that a real Envoy adds") ?? "";

const TOKEN = { secret: "jwt-svid:orders", audience: "orders", prefix: "Bearer " };

/** The cluster "a" of envoy-lab.ts, with a token. */
function withToken() {
  const source = { kind: "TokenInjection", namespace: "default", name: "a", file: "a.yaml", line: 1 };
  const httpFilters = injectingFilters({
    hosts: ["a"],
    token: TOKEN,
    header: "authorization",
    trusted: ["default"],
    domain: "mesh.local",
    source,
  });
  const options = create(HttpProtocolOptionsSchema, {
    upstreamProtocolOptions: { case: "explicitHttpConfig", value: { protocolConfig: { case: "httpProtocolOptions", value: {} } } },
    httpFilters,
  });
  const ads = { resourceApiVersion: 2, configSourceSpecifier: { case: "ads", value: {} } } as const;
  const made = create(ClusterSchema, {
    name: "a",
    clusterDiscoveryType: { case: "type", value: 3 },
    edsClusterConfig: { edsConfig: ads },
    typedExtensionProtocolOptions: {
      "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": packAny(HttpProtocolOptionsSchema, options),
    },
  });
  return encodeResource(ClusterSchema, "a", made, []);
}

describe.skipIf(envoy === "")("A token that Envoy adds", () => {
  test("is 401 for the caller while there is none, follows its secret without another cluster, and is gone with the filter", async () => {
    const lab = await startEnvoyLab(envoy, "DELTA_GRPC");
    const port = await freePort();
    const application = Bun.serve({
      port: 0,
      hostname: "127.0.0.1",
      fetch: (request) => new Response(request.headers.get("authorization") ?? "none"),
    });
    onCleanup(() => application.stop(true));
    const rest = [endpoint("a", application.port ?? 0), routes("a"), listener(port)];
    const ask = async () => {
      const response = await fetch(`http://127.0.0.1:${port}/`, { headers: { authorization: "of the application" }, keepalive: false });
      return `${response.status} ${await response.text()}`;
    };
    const untilAnswer = async (expected: (answer: string) => boolean, name: string) => {
      let answer = "";
      const look = async () => {
        answer = await ask().catch(String);
        return expected(answer);
      };
      for (const end = performance.now() + 20_000; !(await look()); ) {
        if (performance.now() > end) throw new Error(`waited in vain for ${name}: ${answer}`);
        await Bun.sleep(20);
      }
      return answer;
    };
    lab.publish(...rest, withToken());
    await untilAnswer((answer) => answer.startsWith("401"), "a refusal");
    await lab.untilAcked(lab.publish(...rest, withToken(), tokenResource(TOKEN, "one")));
    await untilAnswer((answer) => answer === "200 Bearer one", "the first token");
    const clusters = () => lab.ledger.proxy("default/envoy")?.types.find(({ typeUrl }) => typeUrl === TYPE.cluster)?.sentAt;
    const sent = clusters();
    await lab.untilAcked(lab.publish(...rest, withToken(), tokenResource(TOKEN, "two")));
    await untilAnswer((answer) => answer === "200 Bearer two", "the second token");
    expect(clusters()).toBe(sent);
    await lab.untilAcked(lab.publish(...rest, cluster("a")));
    await untilAnswer((answer) => answer === "200 of the application", "what the application sends");
    expect(lab.refusals).toEqual([]);
  }, 60_000);
});
