import { expect, test } from "bun:test";
import fc from "fast-check";
import { RequestContents } from "../../src/ads/request-content.ts";
import { hasWildcard } from "../../src/ads/traits.ts";
import { TYPE, type TypeUrl } from "../../src/lib/encoded.ts";
import { BAD, type Step } from "./ads-steps.ts";
import { DeltaModelClient, SotwModelClient } from "./model-client.ts";
import { type Contents, snapshot } from "./resources.ts";

const TYPES: readonly TypeUrl[] = [TYPE.cluster, TYPE.endpoint, TYPE.listener, TYPE.extension];
const NAMES = ["a", "b", "c"] as const;
const CLIENTS = 4;

const contents: fc.Arbitrary<Contents> = fc.record(
  Object.fromEntries(TYPES.map((type) => [type, fc.dictionary(fc.constantFrom(...NAMES), fc.constantFrom("1", "2", "3", BAD))])),
);
const act: fc.Arbitrary<Step> = fc.oneof(
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
/** A step that all clients take, or all but one: so they go together for a while, and part. */
const step = fc.record({ act, without: fc.option(fc.integer({ min: 0, max: CLIENTS - 1 })) });

const isBad = (resource: { any: Uint8Array }) => new TextDecoder().decode(resource.any).endsWith(`=${BAD}`);
const manners = { names: true, partial: false };

for (const protocol of ["delta", "sotw"] as const) {
  test(`${protocol}: proxies that are served together are sent what each would be sent alone, message by message`, () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 80, size: "max" }), (steps) => {
        const make = () => (protocol === "delta" ? new DeltaModelClient(isBad, manners) : new SotwModelClient(isBad, manners));
        const together = Array.from({ length: CLIENTS }, make);
        const alone = Array.from({ length: CLIENTS }, make);
        let revision = 0;
        const publish = (next: Contents) => {
          revision += 1;
          const shared = snapshot(revision, next);
          for (const client of together) client.publish(shared);
          // The same resources in maps of its own.
          for (const client of alone) client.publish(snapshot(revision, next));
        };
        publish({});
        for (const { act: next, without } of steps) {
          if (next.do === "publish") {
            publish(next.contents);
            continue;
          }
          if ("name" in next && next.name === "*" && !hasWildcard(next.type)) continue;
          for (const clients of [together, alone]) {
            for (const [at, client] of clients.entries()) {
              if (at === without) continue;
              if (next.do === "subscribe" || next.do === "unsubscribe") client[next.do](next.type, next.name);
              else client[next.do]();
            }
          }
        }
        for (const [at, client] of together.entries()) {
          const other = alone[at];
          expect(client.received).toEqual(other?.received ?? []);
          for (const type of TYPES) {
            const one = client.subscription(type);
            const two = other?.subscription(type);
            expect(one?.status).toBe(two?.status);
            expect([one?.ackedRevision, one?.settledRevision, one?.size]).toEqual([two?.ackedRevision, two?.settledRevision, two?.size]);
            expect([...(one?.resources() ?? [])].map(({ name }) => name).sort()).toEqual(
              [...(two?.resources() ?? [])].map(({ name }) => name).sort(),
            );
          }
        }
      }),
      { numRuns: 500 },
    );
  }, 30_000);
}

test("requests that name the same in another order mean the same, others do not", () => {
  const requests = new RequestContents();
  const number = requests.of("", ["a", "b"], []);
  expect(number).toBeNumber();
  expect(requests.of("", ["b", "a"], [])).toBe(number);
  expect(requests.of("", ["a", "b"], [])).toBe(number);
  for (const other of [requests.of("", ["a", "c"], []), requests.of("", [], ["a", "b"]), requests.of("1", ["a", "b"], [])]) {
    expect(other).toBeNumber();
    expect(other).not.toBe(number);
  }
  expect(requests.of("", ["a", "a"], [])).toBeUndefined();
});

test("what is remembered of requests is bounded", () => {
  const requests = new RequestContents();
  const first = requests.of("", ["first"]);
  for (let at = 0; at < 1000; at += 1) requests.of(String(at), [`name-${at}`]);
  expect(requests.of("", ["first"])).not.toBe(first);
});
