import { expect, test } from "bun:test";
import { Ledger } from "../../src/ads/ledger.ts";
import { SotwSubscription } from "../../src/ads/sotw.ts";
import type { TrustBundle } from "../../src/ca/types.ts";
import { trustPropagation } from "../../src/control/propagation.ts";
import { TYPE } from "../../src/lib/encoded.ts";
import type { Mesh } from "../../src/mesh/types.ts";
import { bundleResources } from "../../src/xds/secret.ts";
import { FakeClock } from "../fakes/clock.ts";

const bundle = (pem: string): TrustBundle => ({
  trustDomain: "mesh.local",
  sequence: 1,
  refreshHint: 300,
  x509: [pem],
  x509Pem: pem,
  jwt: [],
});

/** A proxy's secrets, on a ledger: `give` sends it a bundle, `answer` is its ACK, or NACK. */
function proxy(ledger: Ledger, id: string) {
  const subscription = new SotwSubscription(TYPE.secret);
  const info = { id, node: "n", envoyVersion: "1.40.0", protocol: "sotw" as const, address: "unix" };
  const entry = ledger.open(info, (typeUrl) => (typeUrl === TYPE.secret ? subscription : undefined));
  let nonce = 0;
  let revision = 0;
  return {
    ask: () => subscription.request({ names: ["ROOTCA"], version: "", nonce: "", error: undefined }),
    give: (pem: string) => {
      const resources = bundleResources("mesh.local", pem).filter(({ name }) => name === "ROOTCA");
      subscription.update(new Map(resources.map((resource) => [resource.name, resource])), ++revision);
      expect(subscription.take("additions", String(++nonce))).toBeDefined();
    },
    answer: (error?: string) => subscription.request({ names: ["ROOTCA"], version: "", nonce: String(nonce), error }),
    leave: () => ledger.close(entry),
  };
}

test("A bundle is everywhere when every connected proxy that has one has acknowledged the very bytes; who left may come back", () => {
  const ledger = new Ledger({ clock: new FakeClock() });
  const workloads = new Map([["default/web", { spiffeId: "spiffe://mesh.local/ns/default/sa/web" }]]);
  const propagation = trustPropagation({ ledger: () => ledger, mesh: () => ({ workloads }) as unknown as Mesh });
  const missing = () => propagation.missing(bundle("new"), "x509");
  expect(missing()).toEqual({ connected: [], away: [] });

  const web = proxy(ledger, "default/web");
  // It has no bundle yet: when it asks, it gets the newest.
  expect(missing().connected).toEqual([]);
  web.ask();
  web.give("old");
  expect(missing().connected).toEqual(["default/web"]);
  web.answer();
  expect(missing().connected).toEqual(["default/web"]);
  web.give("new");
  expect(missing().connected).toEqual(["default/web"]);
  web.answer();
  expect(missing()).toEqual({ connected: [], away: [] });
  web.give("newer");
  web.answer("no room");
  expect(propagation.missing(bundle("newer"), "x509").connected).toEqual(["default/web"]);
  expect(propagation.missing(bundle("newer"), "jwt")).toEqual({ connected: [], away: [] });

  web.leave();
  proxy(ledger, "default/gone").leave();
  expect(missing()).toEqual({ connected: [], away: ["default/web"] });
});
