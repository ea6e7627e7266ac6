import { expect, test } from "bun:test";
import fc from "fast-check";
import { hasWildcard, letsGo } from "../../src/ads/traits.ts";
import { TYPE, type TypeUrl } from "../../src/lib/encoded.ts";
import { BAD, COUNTEREXAMPLES, type Step } from "./ads-steps.ts";
import { DeltaModelClient, type Manners, SotwModelClient } from "./model-client.ts";
import { type Contents, snapshot } from "./resources.ts";

const TYPES: readonly TypeUrl[] = [TYPE.cluster, TYPE.endpoint, TYPE.listener, TYPE.route, TYPE.extension];
const NAMES = ["a", "b", "c"] as const;

const contents: fc.Arbitrary<Contents> = fc.record(
  Object.fromEntries(TYPES.map((type) => [type, fc.dictionary(fc.constantFrom(...NAMES), fc.constantFrom("1", "2", "3", BAD))])),
);
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 2, arbitrary: fc.record({ do: fc.constant("publish" as const), contents }) },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constantFrom("subscribe" as const, "subscribe" as const, "unsubscribe" as const),
      type: fc.constantFrom(...TYPES),
      name: fc.constantFrom("*", ...NAMES),
    }),
  },
  { weight: 6, arbitrary: fc.record({ do: fc.constantFrom("send" as const, "serve" as const, "read" as const) }) },
);
const manners: fc.Arbitrary<Manners> = fc.record({ names: fc.boolean(), partial: fc.boolean() });

type Client = DeltaModelClient | SotwModelClient;

/** Runs the steps, then lets everything come to rest; returns the last contents and revision. */
function play(client: Client, steps: readonly Step[]) {
  let latest: Contents = {};
  let revision = 1;
  client.publish(snapshot(revision, latest));
  for (const next of steps) {
    if (next.do === "publish") {
      latest = next.contents;
      revision += 1;
      client.publish(snapshot(revision, latest));
    } else if (next.do === "subscribe" || next.do === "unsubscribe") {
      if (next.name !== "*" || hasWildcard(next.type)) client[next.do](next.type, next.name);
    } else client[next.do]();
  }
  let rounds = 0;
  for (let busy = true; busy; rounds += 1) {
    expect(rounds).toBeLessThan(300);
    const moved = [client.serve(), client.send(), client.read()];
    busy = moved.includes(true);
  }
  return { latest, revision };
}

function verify(client: Client, latest: Contents, revision: number, deletes: boolean) {
  const now = snapshot(revision, latest);
  for (const type of TYPES) {
    const subscription = client.subscription(type);
    if (!subscription) continue;
    const map = now.resources.get(type) ?? new Map();
    const refused = new Set(subscription.refusedNames);
    for (const name of NAMES) {
      if (!client.wants(type, name)) continue;
      const has = client.cache(type).get(name)?.version;
      const bad = latest[type]?.[name] === BAD;
      if (bad) expect(has).not.toBe(map.get(name)?.version);
      else if (map.has(name) || (deletes && !letsGo(type)) || hasWildcard(type)) expect(has).toBe(map.get(name)?.version);
      expect(refused.has(name)).toBe(bad);
    }
    expect(subscription.status).toBe(refused.size > 0 ? "NACKED" : "SYNCED");
    expect(subscription.settledRevision).toBe(revision);
    if (refused.size === 0) expect(subscription.ackedRevision).toBe(revision);
  }
}

for (const protocol of ["delta", "sotw"] as const) {
  test(`${protocol}: whatever happens in whatever order, a client ends with exactly what it subscribes to of the latest snapshot`, () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 120, size: "max" }), manners, (steps, how) => {
        const isBad = (resource: { any: Uint8Array }) => new TextDecoder().decode(resource.any).endsWith(`=${BAD}`);
        const client: Client = protocol === "delta" ? new DeltaModelClient(isBad, how) : new SotwModelClient(isBad, how);
        const { latest, revision } = play(client, steps);
        verify(client, latest, revision, protocol === "delta");
      }),
      { numRuns: 1000, examples: COUNTEREXAMPLES },
    );
  }, 20_000);
}
