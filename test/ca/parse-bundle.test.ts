import { describe, expect, test } from "bun:test";
import { spiffeBundle } from "../../src/ca/bundle.ts";
import { type OpenedAuthority, openAuthority } from "../../src/ca/open-authority.ts";
import { parseSpiffeBundle } from "../../src/ca/parse-bundle.ts";
import { FakeClock } from "../fakes/clock.ts";
import { failureOf, inTemporaryDirectory } from "./temporary.ts";

interface Keys {
  readonly keys: Record<string, unknown>[];
}

function withBundle(body: (document: Keys, authority: OpenedAuthority) => void | Promise<void>): Promise<void> {
  return inTemporaryDirectory(async (dir) => {
    const authority = await openAuthority({ dir, trustDomain: "partner.example", clock: new FakeClock() });
    await body(JSON.parse(JSON.stringify(spiffeBundle(authority.bundle()))), authority);
  });
}

const parse = (document: unknown) => parseSpiffeBundle("partner.example", JSON.stringify(document));

describe("A bundle that another trust domain publishes", () => {
  test("is read as it was written, by weft too.", () =>
    withBundle((document, authority) => {
      const { jwt, ...own } = authority.bundle();
      expect(parse(document)).toEqual({ ...own, jwt: jwt.map(({ alg: _, ...key }) => key) });
    }));

  test("needs neither a sequence nor a refresh hint, and may say more than the standard knows.", () =>
    withBundle(({ keys }) => {
      expect(parse({ keys, other: 1 })).toMatchObject({ sequence: 0, refreshHint: 300, x509: { length: 1 }, jwt: { length: 1 } });
    }));

  test("may hold keys of other sorts, which are ignored one by one: no use or an unknown one, an unknown type, no x5c, no kid.", () =>
    withBundle(({ keys }) => {
      const [x509 = {}, jwt = {}] = keys;
      const without = (key: Record<string, unknown>, name: string) =>
        Object.fromEntries(Object.entries(key).filter(([one]) => one !== name));
      const strange = [
        without(x509, "use"),
        { ...x509, use: "X509-SVID" },
        { ...x509, use: "wit-svid" },
        without(x509, "x5c"),
        { ...x509, x5c: [] },
        { ...x509, x5c: ["AAAA"] },
        without(jwt, "kid"),
        { ...jwt, kty: "oct", k: "AAAA" },
        without(jwt, "kty"),
        {},
      ];
      expect(parse({ keys: strange })).toMatchObject({ x509: [], jwt: [] });
      expect(parse({ keys: [...strange, ...keys] })).toMatchObject({ x509: { length: 1 }, jwt: { length: 1 } });
    }));

  test("has one certificate a key: the first of x5c, and nothing after it.", () =>
    withBundle(({ keys }) =>
      inTemporaryDirectory(async (dir) => {
        const other = await openAuthority({ dir, trustDomain: "evil.example", clock: new FakeClock() });
        const [second] = spiffeBundle(other.bundle()).keys;
        const [x509 = {}] = keys;
        const chain = [...((x509.x5c as string[]) ?? []), ...((second?.x5c as string[]) ?? [])];
        expect(parse({ keys: [{ ...x509, x5c: chain }] }).x509).toEqual(parse({ keys: [x509] }).x509);
      }),
    ));

  test("that is empty trusts nothing; a leaf in it is no root.", () =>
    withBundle(async (_, authority) => {
      expect(parse({ keys: [] })).toMatchObject({ x509: [], x509Pem: "", jwt: [] });
      const { chainPem } = await authority.issueX509("spiffe://partner.example/a");
      const x5c = [chainPem.replace(/-----[A-Z ]+-----|\s/g, "")];
      expect(parse({ keys: [{ use: "x509-svid", kty: "EC", x5c }] }).x509).toEqual([]);
    }));

  test.each([
    "",
    "[]",
    "null",
    '{"keys": {}}',
    '{"keys": [1]}',
    '{"keys": [], "spiffe_sequence": "1"}',
    '{"keys": [], "spiffe_refresh_hint": 0.5}',
  ])("is refused as %p.", async (text) => {
    expect(await failureOf(() => parseSpiffeBundle("partner.example", text))).toMatchObject({ code: "invalid" });
  });
});
