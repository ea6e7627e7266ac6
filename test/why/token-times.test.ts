import { expect, test } from "bun:test";
import { why } from "../../src/why/index.ts";
import { httpService, meshOf, resource, workload } from "../mesh/harness.ts";
import { JWKS, token } from "./vocabulary.ts";

const EXPIRES = 1_800_000_000;
const mesh = meshOf(
  workload("web-1", "web", "10.0.0.1"),
  httpService("orders"),
  workload("orders-1", "orders", "10.0.0.2"),
  resource("RequestAuthentication", "tokens", `{jwtRules: [{issuer: "https://issuer.test", jwks: '${JWKS}'}]}`),
);

function status(claims: Readonly<Record<string, unknown>>, now: number, around = (text: string) => text): number {
  const authorization = `Bearer ${around(token({ iss: "https://issuer.test", sub: "jason", ...claims }))}`;
  return why(mesh, { from: "default/web-1", to: "orders", headers: { authorization } }, { now }).status;
}

test("a token is in force until a minute after it expires, in whole seconds", () => {
  const at = (seconds: number) => status({ exp: EXPIRES }, (EXPIRES + seconds) * 1000);
  expect([at(0), at(60), at(60.999), at(61)]).toEqual([200, 200, 200, 401]);
});

test("a token is in force from a minute before it says, in whole seconds", () => {
  const at = (seconds: number) => status({ nbf: EXPIRES }, (EXPIRES + seconds) * 1000);
  expect([at(-61), at(-60.001), at(-60), at(0)]).toEqual([401, 401, 200, 200]);
});

test("a token that says 0 never expires", () => {
  expect(status({ exp: 0 }, EXPIRES * 1000)).toBe(200);
});

test("a token whose registered claims have another type is none", () => {
  for (const claims of [{ exp: String(EXPIRES * 2) }, { nbf: -1 }, { iat: 2 ** 64 }, { sub: 7 }, { jti: null }, { aud: ["a", 7] }]) {
    expect([claims, status(claims, EXPIRES * 1000)]).toEqual([claims, 401]);
  }
});

test("what stands behind a token in a header makes it none", () => {
  for (const behind of ["=", ", more"]) expect(status({}, EXPIRES * 1000, (text) => `${text}${behind}`)).toBe(401);
});
