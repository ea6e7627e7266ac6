/** Streams and calls without a right to them. */
import { createHmac, createPrivateKey, createPublicKey, generateKeyPairSync, sign, X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { WorkloadTokens } from "../../../../src/ca/index.ts";
import { systemClock } from "../../../../src/lib/clock.ts";
import { exchange, request } from "../http1.ts";
import { adsHeaders, ask, CLUSTER, deltaRequest, SECRET, type Siege } from "../siege.ts";
import type { Attack, Door } from "../types.ts";

const HOUR_MS = 3_600_000;
const ORDERS = { namespace: "default", name: "orders-1" };

/** Everything that somebody may hold that is no proof at ADS, by name; signed with weft's own key where that is the point. */
async function badTokens(siege: Siege): Promise<readonly (readonly [string, string | undefined])[]> {
  const { data, tokens } = siege;
  const past = { ...systemClock, now: () => systemClock.now() - 2 * HOUR_MS };
  const own = await WorkloadTokens.open({ dir: data, trustDomain: "mesh.local", clock: systemClock });
  const before = await WorkloadTokens.open({ dir: data, trustDomain: "mesh.local", clock: past });
  const other = await WorkloadTokens.open({ dir: data, trustDomain: "other.example", clock: systemClock });
  const [header = "", payload = "", signature = ""] = tokens.orders.split(".");
  const encode = (value: unknown) => Buffer.from(JSON.stringify(value)).toString("base64url");
  const decoded: Record<string, unknown> = JSON.parse(Buffer.from(payload, "base64url").toString());
  const head: Record<string, unknown> = JSON.parse(Buffer.from(header, "base64url").toString());
  const publicPem = createPublicKey(readFileSync(join(data, "ca/token-key.pem")))
    .export({ type: "spki", format: "pem" })
    .toString();
  const confused = `${encode({ ...head, alg: "HS256" })}.${payload}`;
  const tokenKey = createPrivateKey(readFileSync(join(data, "ca/token-key.pem")));
  const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const signed = (fields: Record<string, unknown>, key = privateKey, claims: Record<string, unknown> = {}) => {
    const text = `${encode({ ...head, ...fields })}.${encode({ ...decoded, ...claims })}`;
    return `${text}.${sign("sha256", Buffer.from(text), { key, dsaEncoding: "ieee-p1363" }).toString("base64url")}`;
  };
  return [
    ["none", undefined],
    ["empty", ""],
    ["a word", "hunter2"],
    ["two words", "a b"],
    ["the admin token", siege.adminToken],
    ["10 kB", "a".repeat(10_000)],
    ["a changed signature", `${header}.${payload}.${signature.replace(/.{8}$/, "AAAAAAAA")}`],
    ["no signature", `${header}.${payload}.`],
    ["alg none", `${encode({ alg: "none", typ: head.typ })}.${payload}.`],
    ["HS256 with the public key", `${confused}.${createHmac("sha256", publicPem).update(confused).digest("base64url")}`],
    ["another subject", `${header}.${encode({ ...decoded, sub: "default/web-1" })}.${signature}`],
    ["another installation's key", signed({})],
    ["a key in the header", signed({ jwk: publicKey.export({ format: "jwk" }) })],
    ["a key by URL", signed({ jku: "http://127.0.0.1:1/keys", x5u: "http://127.0.0.1:1/x" })],
    ["weft's key, an unknown critical header", signed({ crit: ["x"], x: 1 }, tokenKey)],
    ["weft's key, another type of token", signed({ typ: "JWT" }, tokenKey)],
    ["weft's key, a subject that leads elsewhere", signed({}, tokenKey, { sub: "default/../weft-system/x" })],
    ["weft's key, no end", signed({}, tokenKey, { exp: undefined })],
    ["expired", (await before.issue(ORDERS, HOUR_MS)).token],
    ["for another trust domain", (await other.issue(ORDERS)).token],
    ["for registration, not for ADS", (await own.issueForGroup({ ...ORDERS, serviceAccount: "orders" })).token],
  ];
}

/** The identities whose private key and certificate stand in `bytes`. */
export function identitiesIn(bytes: Buffer): readonly string[] {
  const text = bytes.toString("latin1");
  if (!/-----BEGIN (EC )?PRIVATE KEY-----/.test(text)) return [];
  const certificates = text.match(/-----BEGIN CERTIFICATE-----[\s\S]+?-----END CERTIFICATE-----/g) ?? [];
  return certificates.flatMap((pem) => /URI:(\S+\/sa\/[^\s,]+)/.exec(new X509Certificate(pem).subjectAltName ?? "")?.[1] ?? []);
}

async function repeat(times: number, width: number, one: (index: number) => Promise<boolean>): Promise<number> {
  let next = 0;
  let gotIn = 0;
  const worker = async () => {
    for (let index = next++; index < times; index = next++) if (await one(index)) gotIn += 1;
  };
  await Promise.all(Array.from({ length: width }, worker));
  return gotIn;
}

const admin = (door: Door) => door.speaks === "admin" && door.asks;

export const CREDENTIALS: readonly Attack[] = [
  {
    name: "ADS without a right: 21 kinds of wrong token",
    by: "stranger",
    on: "ads",
    times: [2_000, 100],
    async run(siege, door, times) {
      const bad = await badTokens(siege);
      const gotIn = await repeat(times, 8, async (index) => {
        const [, token] = bad[index % bad.length] ?? [];
        return (await ask(door, adsHeaders(token), deltaRequest(index % 2 ? CLUSTER : SECRET, []))).length > 0;
      });
      return { attempts: times, gotIn };
    },
  },
  {
    name: "a revoked token",
    by: "stranger",
    on: "ads",
    times: [100, 10],
    async run(siege, door, times) {
      const stolen = await siege.token("web-1");
      const good = await ask(door, adsHeaders(stolen), deltaRequest(SECRET, ["default"]));
      if (good.length === 0) throw new Error("the token was not good before it was revoked");
      const { code, stderr } = await siege.weft.cli(["token", "--workload", "web-1", "--revoke"]);
      if (code !== 0) throw new Error(`could not revoke: ${stderr}`);
      const gotIn = await repeat(times, 4, async () => (await ask(door, adsHeaders(stolen), deltaRequest(SECRET, ["default"]))).length > 0);
      return { attempts: times, gotIn };
    },
  },
  {
    name: "another workload's key by node.id, metadata and names",
    by: "workload",
    on: "ads",
    times: [200, 20],
    async run(siege, door, times) {
      const names = [
        "default",
        "ROOTCA",
        "spiffe://mesh.local/ns/default/sa/web",
        "default/web-1",
        "web-1",
        "../web-1",
        "*",
        "kubernetes://web",
      ];
      const metadata = { NAME: "web-1", NAMESPACE: "default", SERVICE_ACCOUNT: "web", WORKLOAD_NAME: "web-1" };
      const own = new Set<string>();
      const gotIn = await repeat(times, 4, async (index) => {
        const node = index % 2 ? "default/web-1" : "sidecar~127.0.0.1~web-1.default~default.svc.cluster.local";
        const wanted = index % 3 === 0 ? names : [names[index % names.length] ?? "default"];
        const answer = await ask(door, adsHeaders(siege.tokens.orders), deltaRequest(SECRET, wanted, node, metadata));
        const identities = identitiesIn(answer);
        for (const identity of identities) own.add(identity);
        return identities.some((identity) => !identity.endsWith("/sa/orders"));
      });
      if (own.size === 0) throw new Error("not even its own key came: the attack proves nothing");
      return { attempts: times, gotIn };
    },
  },
  {
    name: "admin API: guessed and wrong tokens",
    by: "stranger",
    on: admin,
    times: [5_000, 300],
    async run(siege, door, times) {
      const { adminToken, tokens } = siege;
      const bad = ["", "Bearer", "Bearer ", `Bearer ${adminToken}x`, `Bearer ${adminToken.slice(0, -1)}`, `Basic ${adminToken}`];
      bad.push(`Bearer ${tokens.orders}`, `Bearer ${adminToken.toUpperCase()}`, `Bearer ${"a".repeat(8_000)}`, `Bearer ${adminToken} x`);
      const paths = ["/v1/services", "/v1/resources", "/v1/audit", "/v1/access", "/v1/proxies", "/v1/ca"];
      const statuses = new Map<number, number>();
      const gotIn = await repeat(times, 8, async (index) => {
        const authorization = bad[index % bad.length] ?? "";
        const { status } = await exchange(door, request("GET", paths[index % paths.length] ?? "", { authorization }));
        statuses.set(status, (statuses.get(status) ?? 0) + 1);
        return status < 400 && status > 0;
      });
      return { attempts: times, gotIn, note: [...statuses].map(([status, count]) => `${status}: ${count}`).join(", ") };
    },
  },
];
