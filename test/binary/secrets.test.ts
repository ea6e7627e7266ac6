import { expect, test } from "bun:test";
import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { DeltaClient } from "../feature/ads-client.ts";
import { documents, MTLS, SERVICE, startWeft, useBinary, WORKLOAD } from "./harness.ts";
import { adsOf, CLUSTER, LISTENER, SECRET, tokenOf } from "./proxy.ts";

useBinary();

test("private keys and tokens are in their own files, in the stream of their own workload, and nowhere else", async () => {
  const weft = await startWeft({ args: ["--log-level", "trace"] });
  await weft.apply(
    documents(SERVICE("orders"), WORKLOAD("orders-1", "orders"), SERVICE("shop"), WORKLOAD("shop-1", "shop"), MTLS("STRICT")),
  );

  const tokens = new Map<string, string>();
  const keys = new Map<string, string>();
  const proxies: DeltaClient[] = [];
  for (const workload of ["orders-1", "shop-1"]) {
    const token = await tokenOf(weft, workload);
    tokens.set(workload, token);
    const proxy = new DeltaClient(adsOf(weft), { token });
    proxies.push(proxy);
    for (const type of [CLUSTER, LISTENER]) {
      proxy.subscribe(type);
      await proxy.take(type);
    }
    proxy.subscribe(SECRET, "default", "ROOTCA");
    const { resources } = await proxy.take(SECRET);
    const secrets = [...resources].map(([name, rest]) => `${name}=${rest}`).join("");
    keys.set(workload, bodyOf(secrets));
  }
  expect(new Set(keys.values()).size).toBe(2);
  const adminToken = readFileSync(join(weft.data, "admin.token"), "utf8").trim();
  const keyFiles = readdirSync(join(weft.data, "ca")).flatMap((name) => (/\.key$|^token-key\.pem$/.test(name) ? [`ca/${name}`] : []));
  // Of the X.509 authority, the JWT authority, and workload tokens.
  expect(keyFiles.length).toBe(3);
  const own = new Map<string, string>([
    ...keyFiles.map((name) => [name, bodyOf(readFileSync(join(weft.data, name), "utf8"))] as const),
    ["admin.token", adminToken],
  ]);
  const secrets = [...keys.values(), ...tokens.values(), ...own.values()];

  // What is asked for over HTTP.
  const dumps = ["/v1/proxies", "/v1/proxies/default/orders-1/config", "/v1/proxies/default/shop-1/config", "/v1/ca", "/v1/bundle"];
  for (const path of [...dumps, "/v1/resources", "/metrics", "/readyz?verbose"]) {
    const { status, text } = await weft.ask("GET", path);
    expect([path, status]).toEqual([path, 200]);
    expect([path, secrets.filter((secret) => text.includes(secret))]).toEqual([path, []]);
    expect([path, /PRIVATE KEY/.test(text)]).toEqual([path, false]);
  }
  expect((await weft.ask("GET", "/v1/proxies/default/orders-1/config")).text).toContain("[redacted]");

  // What is on the disk, the write-ahead log among it, while weft runs and after.
  const lookOnDisk = () => {
    for (const name of readdirSync(weft.data, { recursive: true, encoding: "utf8" })) {
      const path = join(weft.data, name);
      if (!statSync(path).isFile()) continue;
      const content = readFileSync(path, "latin1");
      expect([name, secrets.filter((secret) => content.includes(secret))]).toEqual([name, own.has(name) ? [own.get(name) ?? ""] : []]);
    }
  };
  expect(readdirSync(weft.data)).toContain("weft.db-wal");
  lookOnDisk();
  for (const proxy of proxies) proxy.close();
  expect(await weft.stop()).toBe(0);
  lookOnDisk();

  // What it said, at the most talkative level.
  const said = weft.stdout() + weft.stderr();
  expect(said).toContain("default/orders-1");
  expect(secrets.filter((secret) => said.includes(secret))).toEqual([]);
  expect(said).not.toContain("PRIVATE KEY");
});

/** The first line of a PEM private key's content that no other key has: a key on the same curve begins alike. */
function bodyOf(text: string): string {
  const [, body] = /-----BEGIN (?:EC )?PRIVATE KEY-----\s+([A-Za-z0-9+/=\s]+?)-----END/.exec(text) ?? [];
  if (body === undefined) throw new Error("there is no private key");
  const lines = body.trim().split(/\s+/);
  return lines[1] ?? lines[0] ?? "";
}
