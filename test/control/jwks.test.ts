import { describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type JwksCache, JwksKeeper, type JwksStatus, type KeptJwks } from "../../src/control/jwks.ts";
import type { FetchedJwks } from "../../src/control/jwks-fetch.ts";
import { KEPT_BUNDLES, KEPT_KEYS, keptDocuments } from "../../src/control/kept-documents.ts";
import { WeftError } from "../../src/lib/errors.ts";
import type { JwksNeed } from "../../src/mesh/request-authentication.ts";
import { FakeClock } from "../fakes/clock.ts";

const URI = "https://issuer.example/keys";
const SET =
  '{"keys":[{"kty":"EC","crv":"P-256","x":"3TMbKG9DkCAB2L1b2N4nZvaHLIMS7TvedUTXJwSjcnw","y":"HJEDGoTRlv1zC_OF1cWnkM9bdQIfxTposHUnZxc_xd8"}]}';

function needs(...uris: readonly string[]): ReadonlyMap<string, JwksNeed> {
  return new Map(
    uris.map((url) => [url, { source: { url, discovery: false }, timeoutMs: 5_000, issuers: ["https://issuer.example"], sources: [] }]),
  );
}

/** `answers` come one after the other, the last one for good; a text is a failure's message. */
function keeper(answers: readonly (FetchedJwks | string)[], kept: ReadonlyMap<string, KeptJwks> = new Map()) {
  const clock = new FakeClock("2026-01-01T00:00:00Z");
  const fetches: { url: string; timeoutMs: number }[] = [];
  const told: JwksStatus[] = [];
  const saved: ReadonlyMap<string, KeptJwks>[] = [];
  let changes = 0;
  const cache: JwksCache = { load: () => kept, save: (next) => saved.push(next) };
  const made = new JwksKeeper({
    clock,
    cache,
    async fetch({ url }, timeoutMs) {
      const answer = answers[Math.min(fetches.length, answers.length - 1)];
      fetches.push({ url, timeoutMs });
      if (answer === undefined || typeof answer === "string") throw new WeftError("unavailable", answer ?? "nothing");
      return answer;
    },
    onChange: () => changes++,
    onFetched: (status) => told.push(status),
  });
  return { keeper: made, clock, fetches, told, saved, changes: () => changes };
}

describe("Keys by URI", () => {
  test("are fetched when a policy first asks for them, once, and served from then on", async () => {
    const { keeper: keys, clock, fetches, changes } = keeper([{ jwks: "a" }]);
    expect(keys.keys().size).toBe(0);
    keys.need(needs(URI));
    keys.need(needs(URI));
    await clock.advance(0);
    expect(fetches).toEqual([{ url: URI, timeoutMs: 5_000 }]);
    expect([...keys.keys()]).toEqual([[URI, "a"]]);
    expect(changes()).toBe(1);
    expect(keys.status()).toMatchObject([{ uri: URI, state: "ok", fetchedAt: clock.now() }]);
  });

  test("are fetched again every 20 minutes, sooner where the server says so, but not more often than every 5 seconds", async () => {
    const { keeper: keys, clock, fetches, changes } = keeper([{ jwks: "a" }, { jwks: "a", maxAgeMs: 60_000 }, { jwks: "b", maxAgeMs: 0 }]);
    keys.need(needs(URI));
    await clock.advance(20 * 60_000 - 1);
    expect(fetches).toHaveLength(1);
    await clock.advance(1);
    expect(fetches).toHaveLength(2);
    expect(changes()).toBe(1);
    await clock.advance(60_000);
    expect([fetches.length, changes(), keys.keys().get(URI)]).toEqual([3, 2, "b"]);
    await clock.advance(4_999);
    expect(fetches).toHaveLength(3);
    await clock.advance(1);
    expect(fetches).toHaveLength(4);
  });

  test("stay the last good ones while fetching fails, which is told and tried again, less and less often", async () => {
    const {
      keeper: keys,
      clock,
      told,
      fetches,
    } = keeper([{ jwks: "a", maxAgeMs: 5_000 }, "it is down", "it is down", "it is down", { jwks: "b" }]);
    keys.need(needs(URI));
    await clock.advance(5_000);
    expect(keys.status()).toMatchObject([{ state: "stale", error: "it is down" }]);
    expect(keys.keys().get(URI)).toBe("a");
    await clock.advance(1_000);
    await clock.advance(1_999);
    expect(fetches).toHaveLength(3);
    await clock.advance(1);
    await clock.advance(4_000);
    expect(told.map(({ state }) => state)).toEqual(["ok", "stale", "stale", "stale", "ok"]);
    expect(keys.keys().get(URI)).toBe("b");
  });

  test("that never came are missing, and it is said why", async () => {
    const { keeper: keys, clock } = keeper(["the host is no public address"]);
    keys.need(needs(URI));
    await clock.advance(0);
    expect(keys.keys().size).toBe(0);
    expect(keys.status()).toMatchObject([
      { state: "missing", error: "the host is no public address", issuers: ["https://issuer.example"] },
    ]);
  });

  test("that nobody asks for any more are forgotten, and a fetch under way for them changes nothing", async () => {
    const { keeper: keys, clock, saved, changes } = keeper([{ jwks: "a" }]);
    keys.need(needs(URI));
    keys.need(needs());
    await clock.advance(0);
    expect([keys.keys().size, keys.status().length, changes(), clock.pending]).toEqual([0, 0, 0, 0]);
    keys.need(needs(URI));
    await clock.advance(0);
    keys.need(needs());
    expect(saved.at(-1)?.size).toBe(0);
    expect(clock.pending).toBe(0);
  });

  test("of the weft before are there before the first answer, so that a restart refuses no token", async () => {
    const kept = new Map([[URI, { jwks: "old", fetchedAt: 1 }]]);
    const { keeper: keys, clock, changes } = keeper(["it is down"], kept);
    expect(keys.keys().get(URI)).toBe("old");
    keys.need(needs(URI));
    await clock.advance(0);
    expect(keys.keys().get(URI)).toBe("old");
    expect(changes()).toBe(0);
    expect(keys.status()).toMatchObject([{ state: "stale", fetchedAt: 1 }]);
  });

  test("are not asked for after the end", async () => {
    const { keeper: keys, clock, fetches } = keeper([{ jwks: "a" }]);
    keys.need(needs(URI));
    await clock.advance(0);
    keys.close();
    expect(clock.pending).toBe(0);
    expect(fetches).toHaveLength(1);
  });
});

describe("The file of fetched keys", () => {
  test("gives back what was saved, is its owner's alone, and is passed over where it is damaged", () => {
    const directory = mkdtempSync(join(tmpdir(), "weft-jwks-"));
    try {
      const path = join(directory, "jwks.json");
      const troubles: string[] = [];
      const file = keptDocuments(path, KEPT_KEYS, (message) => troubles.push(message));
      expect([file.load().size, troubles]).toEqual([0, []]);
      const kept = new Map([[URI, { jwks: SET, fetchedAt: 7 }]]);
      file.save(new Map([...kept, ["https://odd.example", { jwks: '{"keys":[]}', fetchedAt: 8 }]]));
      expect(file.load()).toEqual(kept);
      expect(statSync(path).mode & 0o777).toBe(0o600);
      const bundles = keptDocuments(join(directory, "federation.json"), KEPT_BUNDLES, (message) => troubles.push(message));
      bundles.save(new Map([["other.example", { document: "{}", fetchedAt: 9, bootstrap: "{ }" }]]));
      expect(bundles.load()).toEqual(new Map([["other.example", { document: "{}", fetchedAt: 9, bootstrap: "{ }" }]]));
      writeFileSync(path, "{");
      writeFileSync(join(directory, "federation.json"), '{"other.example": {"document": 7}}');
      expect([file.load().size, bundles.load().size, troubles.length]).toEqual([0, 0, 2]);
      expect(troubles[0]).toContain("the keys in it are fetched again");
      expect(troubles[1]).toContain("the bundles in it are fetched again");
    } finally {
      rmSync(directory, { recursive: true });
    }
  });
});
