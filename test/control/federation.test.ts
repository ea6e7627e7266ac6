import { describe, expect, test } from "bun:test";
import { spiffeBundle } from "../../src/ca/index.ts";
import { openAuthority } from "../../src/ca/open-authority.ts";
import type { TrustBundle } from "../../src/ca/types.ts";
import { FederatedBundles, type FederationCache, type FederationStatus, type KeptBundle } from "../../src/control/federation.ts";
import { judgeBundle } from "../../src/control/federation-judge.ts";
import { allJwtAuthorities } from "../../src/control/jwt-authorities.ts";
import { buildMesh } from "../../src/mesh/build.ts";
import type { FederatedDomain } from "../../src/mesh/federation.ts";
import { inTemporaryDirectory } from "../ca/temporary.ts";
import { FakeClock } from "../fakes/clock.ts";
import { OPTIONS, resource, resourcesOf, workload } from "../mesh/harness.ts";

const OTHER = "other.example";
const NO_ALIASES: readonly string[] = [];

async function bundleOf(trustDomain: string): Promise<TrustBundle> {
  let bundle: TrustBundle | undefined;
  await inTemporaryDirectory(async (dir) => {
    const authority = await openAuthority({ dir, trustDomain, clock: new FakeClock(Date.now()) });
    bundle = authority.bundle();
    authority.close();
  });
  if (!bundle) throw new Error("no bundle");
  return bundle;
}

const [one, two] = await Promise.all([bundleOf(OTHER), bundleOf(OTHER)]);
const text = (bundle: TrustBundle, more: Partial<TrustBundle> = {}) => JSON.stringify(spiffeBundle({ ...bundle, ...more }));
/** `one` and then `two` published beside it. */
const both: TrustBundle = { ...one, sequence: one.sequence + 1, x509: [...one.x509, ...two.x509], x509Pem: one.x509Pem + two.x509Pem };

const domain = (more: Partial<FederatedDomain> = {}): FederatedDomain => ({
  trustDomain: OTHER,
  url: "https://bundle.other.example/",
  source: { kind: "TrustDomain", namespace: "weft-system", name: OTHER, file: "td.yaml", line: 5 },
  ...more,
});

/** A keeper whose endpoint answers what `answer` holds, and fails where that is an Error. */
function keeper({ kept = new Map<string, KeptBundle>(), random = (): number => 0 } = {}) {
  const clock = new FakeClock(1_700_000_000_000);
  const state = {
    answer: text(one) as string | Error,
    asked: 0,
    saved: kept as ReadonlyMap<string, KeptBundle>,
    polled: [] as FederationStatus[],
  };
  const cache: FederationCache = {
    load: () => state.saved,
    save: (next) => {
      state.saved = next;
    },
  };
  const federated = new FederatedBundles({
    clock,
    random,
    cache,
    fetch: async () => {
      state.asked += 1;
      if (state.answer instanceof Error) throw state.answer;
      return state.answer;
    },
    onPolled: (status) => state.polled.push(status),
    onForgotten: () => {},
  });
  const settle = () => new Promise<void>((resolve) => setImmediate(resolve));
  return { clock, state, federated, settle };
}

describe("A bundle that was fetched", () => {
  test("is taken where its sequence grew, whatever it adds and takes away", () => {
    const known = judgeBundle(OTHER, text(one), undefined);
    const grown = judgeBundle(OTHER, text(both), known);
    expect(grown.x509.length).toBe(2);
    expect(judgeBundle(OTHER, text(two, { sequence: both.sequence + 1 }), grown).x509).toEqual(two.x509);
  });

  test("is the known one, the same object, where it says the same", () => {
    const known = judgeBundle(OTHER, text(one), undefined);
    expect(judgeBundle(OTHER, text(one), known)).toBe(known);
  });

  test.each([
    ["whose sequence went back", text(both, { sequence: one.sequence - 1 }), "spiffe_sequence went back"],
    ["whose sequence is gone", JSON.stringify({ keys: spiffeBundle(one).keys }), "spiffe_sequence went back"],
    ["that takes a root away without saying so", text(two, { sequence: one.sequence }), "lacks"],
    ["that is cut off", text(one).slice(0, 80), "no SPIFFE bundle"],
    ["that is a page for people", "<html>", "no SPIFFE bundle"],
    [
      "whose roots are no certificates",
      JSON.stringify({ spiffe_sequence: one.sequence + 5, keys: [{ use: "x509-svid", kty: "EC", x5c: ["AAAA"] }] }),
      "none of its 1",
    ],
    ["that is suddenly empty", JSON.stringify({ spiffe_sequence: one.sequence, keys: [] }), "lacks"],
  ])("%s is not taken", (_, answer, why) => {
    const known = judgeBundle(OTHER, text(one), undefined);
    expect(() => judgeBundle(OTHER, answer, known)).toThrow(why);
  });

  test("takes everything back where it is empty and its sequence grew", () => {
    const known = judgeBundle(OTHER, text(one), undefined);
    expect(judgeBundle(OTHER, JSON.stringify({ spiffe_sequence: one.sequence + 1, keys: [] }), known).x509).toEqual([]);
  });

  test("is not taken as the first one where it holds no root", () => {
    expect(() => judgeBundle(OTHER, '{"keys": []}', undefined)).toThrow("holds no root");
  });
});

describe("Federated bundles", () => {
  test("are fetched at once, then by their refresh hint, and told of when they change", async () => {
    const { clock, state, federated, settle } = keeper();
    let told = 0;
    federated.onChange(() => told++);
    federated.follow([domain()], NO_ALIASES);
    expect(federated.federation).toEqual({ domains: [OTHER], bundles: [], aliases: [] });
    await settle();
    expect(federated.federation.bundles.map(({ x509 }) => x509)).toEqual([one.x509]);
    expect([state.asked, told]).toEqual([1, 2]);
    await clock.advance(one.refreshHint * 1_000 - 1);
    await settle();
    expect(state.asked).toBe(1);
    state.answer = text(both);
    await clock.advance(1);
    await settle();
    expect([state.asked, told]).toEqual([2, 3]);
    expect(federated.federation.bundles[0]?.x509.length).toBe(2);
  });

  test("are polled before the hint is over, never after, at most each 5 seconds", async () => {
    const { clock, state, federated, settle } = keeper({ random: () => 1 });
    state.answer = text(one, { refreshHint: 1 });
    federated.follow([domain()], NO_ALIASES);
    await settle();
    await clock.advance(3_999);
    await settle();
    expect(state.asked).toBe(1);
    await clock.advance(2);
    await settle();
    expect(state.asked).toBe(2);
  });

  test("stay while polls fail or bring what is older, and say so", async () => {
    const { clock, state, federated, settle } = keeper();
    state.answer = text(both);
    federated.follow([domain()], NO_ALIASES);
    await settle();
    const { federation } = federated;
    for (const answer of [new Error("away"), text(one), "{}"]) {
      state.answer = answer;
      await clock.advance(both.refreshHint * 1_000);
      await settle();
      expect(federated.federation).toBe(federation);
      expect(federated.status()[0]).toMatchObject({ state: "stale", sequence: both.sequence });
    }
    expect(state.polled.map((status) => status.state)).toEqual(["ok", "stale", "stale", "stale"]);
  });

  test("are asked for ever more rarely while there is none", async () => {
    const { clock, state, federated, settle } = keeper();
    state.answer = new Error("away");
    federated.follow([domain()], NO_ALIASES);
    await settle();
    for (const wait of [1_000, 2_000, 4_000]) {
      const { asked } = state;
      await clock.advance(wait - 1);
      await settle();
      expect(state.asked).toBe(asked);
      await clock.advance(1);
      await settle();
      expect(state.asked).toBe(asked + 1);
    }
    expect(federated.status()[0]).toMatchObject({ state: "missing", error: "away" });
  });

  test("are there after a restart before the endpoint answers", async () => {
    const first = keeper();
    first.federated.follow([domain()], NO_ALIASES);
    await first.settle();
    const second = keeper({ kept: new Map(first.state.saved) });
    second.state.answer = new Error("away");
    second.federated.follow([domain()], NO_ALIASES);
    expect(second.federated.federation.bundles[0]?.x509).toEqual(one.x509);
  });

  test("begin with the bundle in the resource, and with another one that is written there later", async () => {
    const { state, federated, settle } = keeper();
    state.answer = new Error("away");
    federated.follow([domain({ bootstrap: text(one) })], NO_ALIASES);
    expect(federated.federation.bundles[0]?.x509).toEqual(one.x509);
    await settle();
    expect(federated.status()[0]).toMatchObject({ state: "stale" });
    federated.follow([domain({ bootstrap: text(two) })], NO_ALIASES);
    expect(federated.federation.bundles[0]?.x509).toEqual(two.x509);
  });

  test("go with their TrustDomain, from the data directory too", async () => {
    const { clock, state, federated, settle } = keeper();
    federated.follow([domain()], NO_ALIASES);
    await settle();
    expect([...state.saved.keys()]).toEqual([OTHER]);
    federated.follow([], NO_ALIASES);
    expect(federated.federation).toEqual({ domains: [], bundles: [], aliases: [] });
    expect([...state.saved.keys()]).toEqual([]);
    await clock.advance(3_600_000);
    await settle();
    expect(state.asked).toBe(1);
  });
});

describe("JWT-SVIDs of another trust domain", () => {
  test("are verified by its own keys, under its own issuer, and by no one else's", async () => {
    const own = await bundleOf("mesh.local");
    const authorities = allJwtAuthorities(own, [one]);
    const kids = (issuer: string) => (JSON.parse(authorities.get(issuer) ?? "{}").keys as { kid: string }[]).map(({ kid }) => kid);
    expect([...authorities.keys()].sort()).toEqual(["spiffe://mesh.local", `spiffe://${OTHER}`]);
    expect(kids(`spiffe://${OTHER}`)).toEqual(one.jwt.flatMap(({ kid }) => kid ?? []));
    expect(kids("spiffe://mesh.local")).toEqual(own.jwt.flatMap(({ kid }) => kid ?? []));

    const resources = resourcesOf(
      workload("orders-1", "orders", "10.0.0.1"),
      resource("RequestAuthentication", "tokens", `{jwtRules: [{issuer: 'spiffe://${OTHER}', audiences: [orders]}]}`),
    );
    const [rule] = buildMesh(resources, { ...OPTIONS, jwtAuthorities: authorities }).authentication.get("default/orders-1")?.rules ?? [];
    expect(rule?.keys.jwks).toBe(authorities.get(`spiffe://${OTHER}`));
    const [unknown] = buildMesh(resources, OPTIONS).authentication.get("default/orders-1")?.rules ?? [];
    expect(unknown?.keys.jwks).toBeUndefined();
  });

  test("never pass for the own trust domain's, even where another bundle bears its name", async () => {
    const own = await bundleOf("mesh.local");
    const forged = await bundleOf("mesh.local");
    expect(allJwtAuthorities(own, [forged])).toEqual(allJwtAuthorities(own, []));
  });
});
