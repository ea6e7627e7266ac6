import { expect, test } from "bun:test";
import { create, type DescMessage, fromBinary, toBinary } from "@bufbuild/protobuf";
import { BinaryReader } from "@bufbuild/protobuf/wire";
import fc from "fast-check";
import { takeStrings } from "../../src/ads/request-wire.ts";
import { readDelta, readSotw } from "../../src/ads/variant.ts";
import { DeltaDiscoveryRequestSchema, DiscoveryRequestSchema } from "../../src/gen/weft/ads/v1/discovery_pb.ts";

const name = fc.oneof(
  { weight: 8, arbitrary: fc.stringMatching(/^[a-z0-9|.-]{0,60}$/) },
  { weight: 1, arbitrary: fc.string({ unit: "binary", maxLength: 20 }) },
  { weight: 1, arbitrary: fc.string({ minLength: 100, maxLength: 300 }) },
);
const names = fc.array(name, { maxLength: 60 });
const text = fc.string({ maxLength: 30 });

/** What both give, or that both refuse. */
function same(read: (bytes: Uint8Array) => unknown, generated: (bytes: Uint8Array) => unknown, bytes: Uint8Array) {
  const outcome = (how: (bytes: Uint8Array) => unknown) => {
    try {
      return { message: how(bytes) };
    } catch {
      return "refused";
    }
  };
  expect(outcome(read)).toEqual(outcome(generated));
}

/**
 * Whether each field of the message can be read by itself. The generated codec does not ask where a message within another ends: a field of a wire type that is not its own leads it on into what
 * comes after, and what it makes of that nobody else can be held to.
 */
function isWhole(bytes: Uint8Array, message: DescMessage): boolean {
  try {
    const reader = new BinaryReader(bytes);
    while (reader.pos < reader.len) {
      const start = reader.pos;
      const [number, type] = reader.tag();
      reader.skip(type, number);
      fromBinary(message, bytes.subarray(start, reader.pos));
    }
    return true;
  } catch {
    return false;
  }
}

const sameDelta = (bytes: Uint8Array) => same(readDelta, (all) => fromBinary(DeltaDiscoveryRequestSchema, all), bytes);
const sameSotw = (bytes: Uint8Array) => same(readSotw, (all) => fromBinary(DiscoveryRequestSchema, all), bytes);

const deltas = fc
  .record({
    typeUrl: text,
    resourceNamesSubscribe: names,
    resourceNamesUnsubscribe: names,
    initialResourceVersions: fc.dictionary(fc.stringMatching(/^[a-z]{1,20}$/), text),
    responseNonce: text,
    node: fc.record({ id: text, cluster: text }),
    errorDetail: fc.record({ code: fc.nat(), message: text }),
  })
  .map((fields) => toBinary(DeltaDiscoveryRequestSchema, create(DeltaDiscoveryRequestSchema, fields)));
const sotws = fc
  .record({ typeUrl: text, versionInfo: text, resourceNames: names, responseNonce: text, node: fc.record({ id: text, cluster: text }) })
  .map((fields) => toBinary(DiscoveryRequestSchema, create(DiscoveryRequestSchema, fields)));

test("a request with many names is read as the generated codec reads it", () => {
  fc.assert(fc.property(deltas, sameDelta), { numRuns: 300 });
  fc.assert(fc.property(sotws, sameSotw), { numRuns: 300 });
  const long = Array.from({ length: 1_000 }, (_, at) => `outbound|8080||svc-${at}.default.mesh.local`);
  const bytes = toBinary(DeltaDiscoveryRequestSchema, create(DeltaDiscoveryRequestSchema, { typeUrl: "t", resourceNamesSubscribe: long }));
  expect(takeStrings(bytes, 3)?.strings).toEqual(long);
  sameDelta(bytes);
});

test("two requests one after the other in the same bytes are one whose lists are joined, in both", () => {
  fc.assert(
    fc.property(deltas, deltas, (one, two) => sameDelta(Buffer.concat([one, two]))),
    { numRuns: 100 },
  );
});

test("what is broken, cut short or no request at all is refused where the generated codec refuses it, and read as it reads it otherwise", () => {
  const damage = fc.record({ at: fc.nat(), byte: fc.nat(255), cut: fc.nat() });
  const damaged = (bytes: Uint8Array, { at, byte, cut }: { at: number; byte: number; cut: number }) => {
    const broken = bytes.slice(0, bytes.length - (cut % 3));
    if (broken.length > 0) broken[at % broken.length] = byte;
    return broken;
  };
  fc.assert(
    fc.property(deltas, damage, (bytes, how) => {
      const broken = damaged(bytes, how);
      fc.pre(isWhole(broken, DeltaDiscoveryRequestSchema));
      sameDelta(broken);
    }),
    { numRuns: 1_000 },
  );
  fc.assert(
    fc.property(deltas, fc.integer({ min: 1, max: 40 }), (bytes, cut) => sameDelta(bytes.slice(0, Math.max(0, bytes.length - cut)))),
    { numRuns: 300 },
  );
  fc.assert(
    fc.property(sotws, damage, (bytes, how) => {
      const broken = damaged(bytes, how);
      fc.pre(isWhole(broken, DiscoveryRequestSchema));
      sameSotw(broken);
    }),
    { numRuns: 1_000 },
  );
  fc.assert(fc.property(fc.uint8Array({ minLength: 512, maxLength: 2_000 }), sameDelta), { numRuns: 300 });
});
