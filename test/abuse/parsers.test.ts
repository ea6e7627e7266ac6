/** What is read before anybody knows who sent it: whatever comes, it is refused with an error of its own, or means what it says. */
import { expect, setDefaultTimeout, test } from "bun:test";
import { X509Certificate } from "node:crypto";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import fc from "fast-check";
import { delta, sotw } from "../../src/ads/variant.ts";
import { WorkloadTokens } from "../../src/ca/index.ts";
import { parseSpiffeBundle } from "../../src/ca/parse-bundle.ts";
import { formatSpiffeId, parseSpiffeId } from "../../src/ca/spiffe-id.ts";
import { DeltaDiscoveryRequestSchema, DiscoveryRequestSchema } from "../../src/gen/weft/ads/v1/discovery_pb.ts";
import { systemClock } from "../../src/lib/clock.ts";
import { WeftError } from "../../src/lib/errors.ts";
import { parseDocuments } from "../../src/model/index.ts";
import { inTemporaryDirectory } from "../ca/temporary.ts";
import { hold } from "./seeds.ts";

setDefaultTimeout(60_000);

/** Runs `read`; @returns its result, or undefined where it threw a WeftError of one of `codes`. Anything else fails the test. */
async function refusedAs<T>(codes: readonly string[], read: () => Promise<T> | T): Promise<T | undefined> {
  try {
    return await read();
  } catch (reason) {
    if (!(reason instanceof WeftError) || !codes.includes(reason.code)) throw reason;
    return undefined;
  }
}

/** `text` with one of its characters replaced, removed, or another put before it. */
const mutation = (text: string) =>
  fc
    .tuple(fc.nat(text.length - 1), fc.string({ unit: "binary", maxLength: 3 }), fc.nat(1))
    .map(([at, piece, cut]) => text.slice(0, at) + piece + text.slice(at + cut));

test("no authorization header but a token's own proves a workload", () =>
  inTemporaryDirectory(async (dir) => {
    const tokens = await WorkloadTokens.open({ dir, trustDomain: "mesh.local", clock: systemClock });
    const { token } = await tokens.issue({ namespace: "default", name: "orders" });
    const [header = "", payload = "", signature = ""] = token.split(".");
    const part = fc.oneof(fc.constantFrom(header, payload, signature, "", "e30", "."), fc.base64String(), fc.string());
    const claims = fc.json().map((json) => Buffer.from(json).toString("base64url"));
    const text = fc.oneof(
      fc.string({ unit: "binary" }),
      mutation(token),
      fc.tuple(fc.oneof(part, claims), fc.oneof(part, claims), part).map((parts) => parts.join(".")),
      fc
        .constantFrom("bearer", "Bearer", "BEARER  ", "Basic")
        .chain((scheme) => fc.oneof(mutation(token), part).map((rest) => `${scheme} ${rest}`)),
    );
    await hold(
      "authorization header",
      fc.asyncProperty(text, async (authorization) => {
        const read = await refusedAs(["unauthenticated"], () => tokens.verifyHeader(authorization));
        // A signature has spellings of equal meaning in its last character's unused bits; all else changes it.
        if (read)
          expect(
            `${read.namespace}/${read.name} ${authorization
              .split(".")
              .slice(0, 2)
              .join(".")
              .replace(/^bearer +/i, "")}`,
          ).toBe(`default/orders ${header}.${payload}`);
      }),
      150,
    );
  }));

test("a SPIFFE ID is refused, or is written again as it was read", async () => {
  const text = fc.oneof(
    fc.string({ unit: "binary" }),
    mutation("spiffe://mesh.local/ns/default/sa/orders"),
    fc.webUrl(),
    fc.string().map((rest) => `spiffe://${rest}`),
  );
  await hold(
    "SPIFFE ID",
    fc.asyncProperty(text, async (id) => {
      const read = await refusedAs(["invalid"], () => parseSpiffeId(id));
      if (read) expect(formatSpiffeId(read)).toBe(id);
    }),
    1_000,
  );
});

test("bytes that are no discovery request end as a decoding error, and those that are one are read as they were written", async () => {
  const request = toBinary(
    DeltaDiscoveryRequestSchema,
    create(DeltaDiscoveryRequestSchema, {
      typeUrl: "type.googleapis.com/x",
      resourceNamesSubscribe: ["a", "b"],
      node: { id: "n", metadata: { a: { b: 1 } } },
      initialResourceVersions: { a: "1" },
    }),
  );
  const bytes = fc.oneof(
    fc.uint8Array({ maxLength: 200 }),
    fc.tuple(fc.nat(request.length - 1), fc.integer({ min: 0, max: 255 })).map(([at, value]) => request.with(at, value)),
    fc.nat(request.length).map((length) => request.slice(0, length)),
  );
  await hold(
    "delta and SotW requests",
    fc.property(bytes, (message) => {
      for (const [schema, variant] of [
        [DeltaDiscoveryRequestSchema, delta],
        [DiscoveryRequestSchema, sotw],
      ] as const) {
        let read: unknown;
        try {
          read = fromBinary(schema as typeof DeltaDiscoveryRequestSchema, message);
        } catch (reason) {
          // The transport answers it with INVALID_ARGUMENT.
          expect(reason).toBeInstanceOf(Error);
          continue;
        }
        const { typeUrl, node } = (variant as typeof delta).head(read as Parameters<typeof delta.head>[0]);
        expect(typeof typeUrl).toBe("string");
        JSON.stringify(node?.metadata ?? {});
        const subscription = (variant as typeof delta).create("type.googleapis.com/x");
        (variant as typeof delta).apply(subscription, read as Parameters<typeof delta.head>[0]);
        expect(subscription.subscribed).toBeLessThanOrEqual(message.length);
      }
    }),
    500,
  );
});

test("YAML of any kind is resources, or problems with a place in it", async () => {
  const good =
    "apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {name: a}\nspec:\n  hosts: [a]\n  ports: [{number: 80, name: http, protocol: HTTP}]\n";
  const signs = fc.string({ unit: fc.constantFrom(..."{}[]:,-?&*!|>'\"%@`#\n\t ~<=a0\u0000\u2028é") });
  const envelope = fc
    .json()
    .map((spec) => `{"apiVersion": "security.istio.io/v1", "kind": "AuthorizationPolicy", "metadata": {"name": "a"}, "spec": ${spec}}`);
  await hold(
    "YAML",
    fc.property(fc.oneof(fc.string({ unit: "binary" }), signs, mutation(good), envelope), (text) => {
      const { resources, problems } = parseDocuments(text, "f.yaml");
      const lines = text.split(/\r\n?|\n/).length;
      for (const { line, column, code, file } of problems) {
        expect(code).toMatch(/^WF\d{4}$/);
        expect(file).toBe("f.yaml");
        expect(line).toBeWithin(1, lines + 2);
        expect(column).toBeGreaterThan(0);
      }
      for (const { metadata } of resources) expect(metadata.name).toMatch(/^[a-z0-9.-]+$/);
    }),
  );
});

test("another trust domain's bundle is read, or refused as a whole", async () => {
  const jwk = { kty: "EC", crv: "P-256", x: "AA", y: "AA", kid: "a", use: "jwt-svid" };
  const good = JSON.stringify({ keys: [jwk, { ...jwk, use: "x509-svid", x5c: ["AAAA"] }], spiffe_sequence: 1, spiffe_refresh_hint: 300 });
  const keys = fc.json().map((key) => `{"keys": [${key}]}`);
  const text = fc.oneof(fc.json(), fc.string({ unit: "binary" }), mutation(good), keys);
  await hold(
    "bundle",
    fc.asyncProperty(text, async (given) => {
      const read = await refusedAs(["invalid"], () => parseSpiffeBundle("other.example", given));
      if (!read) return;
      expect(read.trustDomain).toBe("other.example");
      expect(read.refreshHint).toBeGreaterThanOrEqual(0);
      for (const pem of read.x509) expect(new X509Certificate(pem).ca).toBe(true);
      for (const { kid } of read.jwt) expect(kid).not.toBe("");
    }),
  );
});
