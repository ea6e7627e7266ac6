/** The words of generated meshes and requests: few, so that they meet. */
import { generateKeyPairSync, sign } from "node:crypto";

export const METHODS = ["GET", "POST", "DELETE", "OPTIONS"];

export const PATHS = [
  "/",
  "/v2",
  "/v2/",
  "/v2/x",
  "/V2/x",
  "/v2/a/x",
  "/v22",
  "/admin",
  "/admin/users",
  "/a/b",
  "/a%20b",
  "/v2/x?user=jason",
  "/v2/x?user=&debug",
  "/?token=t",
];

/** As an attacker writes them. */
export const ODD_PATHS = [
  "//admin",
  "/./admin",
  "/v2/../admin",
  "/v2/%2e%2e/admin",
  "/%61dmin",
  "/admin%2Fusers",
  "/admin%5cusers",
  "/admin\\users",
  "/v2//x",
  "/v2/x;a=b",
  "/v2/{x}",
  "/%",
  "/v2/%zz",
  "/..",
  "/v2/.",
  "/a|b^c~d",
  "/v2/*",
  "/v2/x?//a/../b",
  "/v2/x?a=1&a=2&user=anna",
  "/a%00b",
  "/caf%C3%A9",
  "/\u00e9",
  "/v2/x%3Fuser=jason",
  "/a'b\"c<d>",
  "/v2#x",
  "///",
  "/%2E/v2/x",
];

/** By name, with the values that requests send. */
export const HEADERS: Readonly<Record<string, readonly string[]>> = {
  "x-user": ["jason", "anna", "jason2", ""],
  "x-beta": ["beta", "Beta", "true"],
  origin: ["https://web.example", "https://other.example"],
  "access-control-request-method": ["PUT", ""],
  "x-forwarded-for": ["10.1.2.3", "10.1.2.3, 10.9.9.9", "not an address", "2001:db8::1"],
};

/** The host outside the mesh. */
export const EXTERNAL_HOST = "api.example.com";

/** Names by which services are called, with their ports. */
export const HOSTS = [
  "orders",
  "orders:8080",
  "orders:8081",
  "orders.default",
  "orders.default:8080",
  "orders.default.mesh.local",
  "orders.default.mesh.local:8080",
  "ORDERS.Default.mesh.local:8080",
  "orders.default.svc.cluster.local:8080",
  "orders.default.mesh.local:8081",
  "batch.ops:8080",
  "batch.ops.mesh.local",
  "batch.ops.mesh.local:8080",
  "legacy.default:8080",
  "legacy.default.mesh.local:8080",
  "ghost.default.mesh.local",
  "ghost.default.mesh.local:8080",
  "ghost:8080",
  "nobody.example:8080",
  EXTERNAL_HOST,
  `${EXTERNAL_HOST}:80`,
];

/** How long a slow application takes: more than the shortest timeout, less than the longest. */
export const SLOW_MS = 1_000;

export const CLAIM_GROUPS = ["guest", "staff"];

/** Made anew for each run: what is signed with them is worth nothing elsewhere. */
const issuer = generateKeyPairSync("ec", { namedCurve: "P-256" });
const stranger = generateKeyPairSync("ec", { namedCurve: "P-256" });

export const JWKS = JSON.stringify({ keys: [{ ...issuer.publicKey.export({ format: "jwk" }), kid: "t1", alg: "ES256", use: "sig" }] });

export function token(
  claims: Readonly<Record<string, unknown>>,
  options: { readonly forged?: boolean; readonly kid?: string } = {},
): string {
  const encode = (value: unknown) => Buffer.from(JSON.stringify(value)).toString("base64url");
  const signed = `${encode({ alg: "ES256", typ: "JWT", kid: options.kid ?? "t1" })}.${encode(claims)}`;
  const key = options.forged ? stranger.privateKey : issuer.privateKey;
  return `${signed}.${sign("sha256", Buffer.from(signed), { key, dsaEncoding: "ieee-p1363" }).toString("base64url")}`;
}

const base = {
  iss: "https://issuer.test",
  sub: "jason",
  aud: ["orders"],
  group: "staff",
  scope: "read list",
  nested: { role: "reader", list: ["a", "b"], deep: { er: "x" } },
  groups: ["admin", "dev"],
};

export const TOKENS: readonly string[] = [
  token(base),
  token({ ...base, sub: "anna", group: ["guest", "x"], aud: "billing" }),
  token({ iss: "https://issuer.test" }),
  token({ ...base, group: 7, scope: "write" }),
  token({ ...base, iss: "https://other.test" }),
  token({ ...base, iss: "https://other.test", groups: ["guest"], nested: { role: ["writer", "reader"], list: "b" } }),
  token({ ...base, iss: "https://third.test" }),
  token({ ...base, exp: 1_000_000_000 }),
  token({ ...base, nbf: 4_000_000_000 }),
  token(base, { forged: true }),
  token(base, { kid: "t2" }),
  // What Envoy takes for no token, and one that says no end.
  token({ ...base, exp: "4000000000" }),
  token({ ...base, exp: 0 }),
  token({ ...base, nbf: -1 }),
  token({ ...base, sub: 7 }),
  token({ ...base, aud: ["orders", 7] }),
  `${token(base)}, more`,
  `${token(base)}=`,
  "not.a.jwt",
  "",
];
