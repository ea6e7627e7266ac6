/** What ADS rests on, tried on a real Envoy: docs/design.md, "The ledger" and "xDS order". */
import { afterEach, describe, expect, test } from "bun:test";
import { TYPE } from "../../src/lib/encoded.ts";
import { envoyFor } from "../skip.ts";
import { cluster, endpoint, extension, freePort, get, keptConnection, listener, routes, startEnvoyLab } from "./envoy-lab.ts";
import { cleanUp, onCleanup, until } from "./fixture.ts";

afterEach(cleanUp);

const envoy = envoyFor("ADS with a real Envoy") ?? "";

function startApplication(): number {
  const server = Bun.serve({ port: 0, hostname: "127.0.0.1", fetch: () => new Response("hello") });
  onCleanup(() => server.stop(true));
  return server.port ?? 0;
}

for (const api of ["DELTA_GRPC", "GRPC"] as const) {
  describe.skipIf(envoy === "")(`Envoy on ${api}`, () => {
    test("an endpoint assignment that Envoy refuses without naming it holds back no other", async () => {
      const lab = await startEnvoyLab(envoy, api);
      const names = Array.from({ length: 16 }, (_, i) => `cluster-${i}`);
      const assignment = (name: string) => endpoint(name, 80, name === "cluster-5" ? "no address" : "127.0.0.1");
      lab.publish(...names.map(cluster), ...names.map(assignment));
      const record = () => lab.ledger.proxy("default/envoy")?.types.find(({ typeUrl }) => typeUrl === TYPE.endpoint);
      await until(() => record()?.nack?.resources.length === 1 && record()?.resources === 15, "the search's end", 20_000);
      expect(record()?.nack).toMatchObject({
        resources: [{ name: "cluster-5" }],
        message: expect.stringContaining("malformed IP address"),
      });
      for (const { message } of lab.refusals) expect(message).not.toContain("cluster-5");
      await lab.untilAcked(lab.publish(...names.map(cluster), ...names.map((name) => endpoint(name, 80))));
      expect(record()).toMatchObject({ status: "SYNCED", resources: 16 });
    }, 60_000);

    test("requests on open connections go on where a listener lets go of an extension that is gone with it", async () => {
      const lab = await startEnvoyLab(envoy, api);
      const port = await freePort();
      const rest = [cluster("a"), endpoint("a", startApplication()), routes("a")];
      lab.publish(...rest, extension("authz"), listener(port, "authz"));
      await lab.untilServing(port);
      const request = keptConnection(port);
      expect(await request()).toBe(200);
      await lab.untilAcked(lab.publish(...rest, listener(port)));
      expect(await get(port)).toBe(200);
      expect(await request()).toBe(200);
    }, 60_000);

    test("no request fails while a cluster is replaced by another, route and all", async () => {
      const lab = await startEnvoyLab(envoy, api);
      const port = await freePort();
      const application = startApplication();
      const mesh = (name: string) => [cluster(name), endpoint(name, application), routes(name), listener(port)];
      lab.publish(...mesh("a"));
      await lab.untilServing(port);
      const request = keptConnection(port);
      const seen = new Set<number>();
      for (const name of ["b", "a", "b"]) {
        const revision = lab.publish(...mesh(name));
        while (lab.ledger.ackedRevision("default/envoy") !== revision) seen.add(await request());
        seen.add(await request());
        seen.add(await get(port));
      }
      expect([...seen]).toEqual([200]);
      expect(lab.ledger.proxy("default/envoy")?.types.find(({ typeUrl }) => typeUrl === TYPE.cluster)?.resources).toBe(1);
    }, 60_000);
  });
}
