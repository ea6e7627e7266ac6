import { expect, test } from "bun:test";
import { create, toBinary } from "@bufbuild/protobuf";
import fc from "fast-check";
import { deltaBody, deltaBytes, nonceField, sotwBody } from "../../src/ads/encode.ts";
import type { Parcel } from "../../src/ads/push.ts";
import { DeltaDiscoveryResponseSchema, DiscoveryResponseSchema } from "../../src/gen/weft/ads/v1/discovery_pb.ts";
import { TYPE } from "../../src/lib/encoded.ts";
import { resource } from "./resources.ts";

const content = fc.oneof(fc.string({ maxLength: 20 }), fc.string({ minLength: 100, maxLength: 40_000 }));
const parcels = fc
  .record({
    version: fc.string({ maxLength: 16 }),
    contents: fc.array(content, { maxLength: 30 }),
    removed: fc.array(fc.string({ maxLength: 200 }), { maxLength: 5 }),
  })
  .map(({ version, contents, removed }): Parcel => {
    const resources = contents.map((text, at) => resource(TYPE.cluster, `name-${at}`, text));
    return { phase: "additions", typeUrl: TYPE.cluster, version, resources, removed, changed: [], asked: false };
  });

test("a response's nonce and its body are together the message that the generated codec writes, but for the order of its fields", () => {
  fc.assert(
    fc.property(parcels, (parcel) => {
      const { version, typeUrl, resources, removed } = parcel;
      const common = { typeUrl, nonce: "" };
      const delta = { ...common, systemVersionInfo: version, resources: resources.map(deltaBytes), removedResources: [...removed] };
      expect(Buffer.from(deltaBody(parcel))).toEqual(
        Buffer.from(toBinary(DeltaDiscoveryResponseSchema, create(DeltaDiscoveryResponseSchema, delta))),
      );
      const sotw = { ...common, versionInfo: version, resources: resources.map(({ any }) => any) };
      expect(Buffer.from(sotwBody(parcel))).toEqual(Buffer.from(toBinary(DiscoveryResponseSchema, create(DiscoveryResponseSchema, sotw))));
    }),
    { numRuns: 100 },
  );
  const alone = toBinary(DiscoveryResponseSchema, create(DiscoveryResponseSchema, { nonce: "1a2b3c4d.7.12" }));
  expect(Buffer.from(nonceField("1a2b3c4d.7.12"))).toEqual(Buffer.from(alone));
});

test("equal responses to streams that share nothing are encoded once, in each variant", () => {
  const resources = Array.from({ length: 20 }, (_, at) => resource(TYPE.cluster, `c-${at}`, "1"));
  const parcel = (): Parcel => ({
    phase: "additions",
    typeUrl: TYPE.cluster,
    version: "v",
    resources: [...resources],
    removed: [],
    changed: [],
    asked: false,
  });
  const first = parcel();
  expect(deltaBody(parcel())).toBe(deltaBody(first));
  expect(sotwBody(parcel())).toBe(sotwBody(first));
  expect(sotwBody(first)).not.toBe(deltaBody(first));
  expect(deltaBody({ ...parcel(), removed: ["x"] })).not.toBe(deltaBody(first));
});
