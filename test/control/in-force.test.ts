/** What a node's card says of its proxies. */
import { expect, test } from "bun:test";
import type { ProxyRecord } from "../../src/ads/index.ts";
import { inForceHere } from "../../src/control/in-force.ts";
import { TYPE } from "../../src/lib/encoded.ts";

interface Said {
  readonly clusters?: number;
  readonly listeners?: number;
  readonly refused?: { readonly revision: number; readonly message: string };
}

/** Nothing but what the card asks, of proxies with a stream each: test/cluster/mesh-wide.test.ts has the real ledger with real streams. */
function ledgerOf(proxies: Readonly<Record<string, Said>>) {
  return {
    ackedRevision(id: string) {
      const { clusters, listeners } = proxies[id] ?? {};
      return clusters === undefined || listeners === undefined ? undefined : Math.min(clusters, listeners);
    },
    streams(id: string): readonly ProxyRecord[] {
      const said = proxies[id];
      if (!said) return [];
      const { clusters, listeners, refused } = said;
      const nack = refused && { ...refused, version: "", at: 0, resources: [] };
      return [
        {
          id,
          node: id,
          envoyVersion: "1.40.0",
          protocol: "delta",
          address: "",
          connectedAt: 0,
          status: nack ? "NACKED" : "SYNCED",
          types: [
            { typeUrl: TYPE.cluster, status: "SYNCED", ackedRevision: clusters, settledRevision: clusters, resources: 1 },
            { typeUrl: TYPE.route, status: "NOT_SUBSCRIBED", resources: 0 },
            {
              typeUrl: TYPE.listener,
              status: nack ? "NACKED" : "SYNCED",
              ackedRevision: listeners,
              settledRevision: 9,
              resources: 1,
              nack,
            },
          ],
        },
      ];
    },
  };
}

const cardOf = (proxies: Readonly<Record<string, Said>>, ids = Object.keys(proxies)) => inForceHere(9, ids, ledgerOf(proxies));
const all = (count: number, said: (index: number) => Said) =>
  Object.fromEntries(Array.from({ length: count }, (_, index) => [`shop/p-${String(index).padStart(3, "0")}`, said(index)]));
const well: Said = { clusters: 9, listeners: 9 };

test("A card of a node whose proxies all have what it serves says that revision, and nothing else", () => {
  expect(cardOf({})).toEqual({ revision: 9 });
  expect(cardOf(all(1_000, () => well))).toEqual({ revision: 9 });
});

test("A proxy that is behind is named with what it has, and one that has asked for nothing, or is gone, with nothing", () => {
  const proxies = { "shop/a": well, "shop/b": { clusters: 9, listeners: 7 }, "shop/c": { clusters: 9 } };
  expect(cardOf(proxies, [...Object.keys(proxies), "shop/gone", "shop/b"])).toEqual({
    revision: 9,
    behind: [{ id: "shop/c" }, { id: "shop/gone" }, { id: "shop/b", acked: 7 }],
  });
});

test("A refusal is named with its type and the first 200 characters of Envoy's words, apart from what else the proxy has", () => {
  const refused = { revision: 8, message: `${"x".repeat(200)}END` };
  expect(cardOf({ "shop/a": well, "shop/b": { clusters: 9, listeners: 7, refused } })).toEqual({
    revision: 9,
    behind: [
      {
        id: "shop/b",
        acked: 9,
        refused: [{ type: "LDS", revision: 8, at: "1970-01-01T00:00:00.000Z", reason: `${"x".repeat(200)}...`, acked: 7, settled: 9 }],
      },
    ],
  });
});

test("Where more are behind than a card names, its revision is what all the others have, and it says how many more lack what is served", () => {
  const proxies = { ...all(40, (index) => ({ clusters: 9, listeners: index < 3 ? 5 : 8 })), "shop/well": well };
  const { revision, behind, more } = cardOf(proxies);
  expect([revision, behind?.map(({ id }) => id), more]).toEqual([8, ["shop/p-000", "shop/p-001", "shop/p-002"], 37]);
  const steps = cardOf(all(40, (index) => ({ clusters: 9, listeners: index % 9 })));
  expect(steps.behind?.length).toBeLessThanOrEqual(16);
  // Of every one that is not named it is true.
  const named = new Set(steps.behind?.map(({ id }) => id));
  const rest = Object.entries(all(40, (index) => ({ listeners: index % 9 }))).filter(([id]) => !named.has(id));
  expect(Math.min(...rest.map(([, { listeners = 0 }]) => listeners))).toBe(steps.revision);
  expect(rest.length).toBe(steps.more ?? 0);
});

test("Refusals come first, and a card stays below 3 kB however many there are, and however long their words", () => {
  const refused = { revision: 9, message: '"é'.repeat(5_000) };
  const proxies = { ...all(20, () => ({ clusters: 3, listeners: 3 })), "shop/z": { clusters: 9, listeners: 8, refused } };
  expect(cardOf(proxies).behind?.[0]).toMatchObject({ id: "shop/z", refused: [{ type: "LDS" }] });
  const many = cardOf(all(500, () => ({ clusters: 9, listeners: 8, refused })));
  expect(Buffer.byteLength(JSON.stringify(many))).toBeLessThan(3_000);
  expect(many.behind?.length).toBeGreaterThan(0);
  expect([many.revision, (many.more ?? 0) + (many.behind?.length ?? 0)]).toEqual([8, 500]);
});
