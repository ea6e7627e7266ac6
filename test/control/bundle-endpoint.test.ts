import { afterEach, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:https";
import { type AddressInfo, connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { SvidManager } from "../../src/ca/index.ts";
import { type OpenedAuthority, openAuthority } from "../../src/ca/open-authority.ts";
import type { BundleEndpointSettings } from "../../src/control/bundle-endpoint.ts";
import { openBundleEndpoint } from "../../src/control/bundle-endpoint-open.ts";
import { fetchBundleWith } from "../../src/control/federation-fetch.ts";
import { awaitingPeers } from "../../src/control/federation-peers.ts";
import { type FetchJwksOptions, fetchText } from "../../src/control/jwks-fetch.ts";
import { systemClock } from "../../src/lib/clock.ts";
import { NO_PEERS, parseAllowedPeers } from "../../src/lib/public-address.ts";
import type { FederatedDomain } from "../../src/mesh/federation.ts";
import { FakeClock } from "../fakes/clock.ts";

const WEFT = "spiffe://other.example/ns/weft-system/sa/weft";
const ends: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});

function directory(): string {
  const dir = mkdtempSync(join(tmpdir(), "weft-bundle-"));
  ends.push(() => rmSync(dir, { recursive: true, force: true }));
  return dir;
}

async function authorityOf(trustDomain: string): Promise<OpenedAuthority> {
  const authority = await openAuthority({ dir: directory(), trustDomain, clock: systemClock });
  ends.push(() => authority.close());
  return authority;
}

async function serve(more: Partial<BundleEndpointSettings> = {}, clock = systemClock) {
  const authority = await authorityOf("other.example");
  const svids = new SvidManager({ authority, clock: systemClock, random: Math.random });
  ends.push(() => svids.close());
  const endpoint = await openBundleEndpoint({ host: "127.0.0.1", port: 0, refreshHintMs: 5_000, ...more }, { svids, authority, clock });
  ends.push(() => endpoint.close());
  return { authority, port: endpoint.port };
}

const options = (more: Partial<FetchJwksOptions> = {}): FetchJwksOptions => ({
  clock: systemClock,
  allowed: () => parseAllowedPeers(["127.0.0.1"]) ?? NO_PEERS,
  resolve: async () => ["127.0.0.1"],
  ...more,
});

const domainAt = (port: number, more: Partial<FederatedDomain> = {}): FederatedDomain => ({
  trustDomain: "other.example",
  url: `https://bundle.other.example:${port}/`,
  source: { kind: "TrustDomain", namespace: "weft-system", name: "other.example", file: "", line: 1 },
  ...more,
});

const failure = (promise: Promise<unknown>) =>
  promise.then(
    (value) => `no failure, but ${JSON.stringify(value)}`,
    (reason: unknown) => (reason instanceof Error ? reason.message : String(reason)),
  );

describe("The bundle endpoint by https_spiffe", () => {
  test("is known by its SPIFFE ID and the bundle that is known, whatever its host is called", async () => {
    const { authority, port } = await serve();
    const fetched = await fetchBundleWith(options())(domainAt(port, { endpointSpiffeId: WEFT }), () => authority.bundle());
    const { keys, spiffe_sequence, spiffe_refresh_hint } = JSON.parse(fetched);
    expect([keys.length, spiffe_sequence, spiffe_refresh_hint]).toEqual([2, authority.bundle().sequence, 5]);
  });

  test("is refused with another SPIFFE ID, by another trust domain's roots, and without any", async () => {
    const { authority, port } = await serve();
    const stranger = await authorityOf("other.example");
    const fetch = fetchBundleWith(options());
    const somebody = domainAt(port, { endpointSpiffeId: "spiffe://other.example/ns/default/sa/web" });
    expect(await failure(fetch(somebody, () => authority.bundle()))).toContain(`presents ${WEFT}, not`);
    const domain = domainAt(port, { endpointSpiffeId: WEFT });
    expect(await failure(fetch(domain, () => stranger.bundle()))).toContain("cannot be reached");
    expect(await failure(fetch(domain, () => undefined))).toContain("no bundle of trust domain other.example is known");
  });

  test("is no endpoint of https_web, because no authority of the web knows it", async () => {
    const { port } = await serve();
    expect(await failure(fetchBundleWith(options())(domainAt(port), () => undefined))).toContain("cannot be reached");
  });

  test("is not asked at an address that is not public, unless the operator allows it", async () => {
    const { authority, port } = await serve();
    const fetch = fetchBundleWith(options({ allowed: () => NO_PEERS }));
    expect(await failure(fetch(domainAt(port, { endpointSpiffeId: WEFT }), () => authority.bundle()))).toContain("no public address");
  });

  test("answers GET and HEAD, and nothing else", async () => {
    const { authority, port } = await serve();
    const ask = (method: string, path = "/") =>
      fetch(`https://127.0.0.1:${port}${path}`, {
        method,
        tls: { ca: authority.bundle().x509Pem, checkServerIdentity: () => undefined },
      });
    const good = await ask("GET");
    expect([good.status, good.headers.get("content-type")]).toEqual([200, "application/json"]);
    const statuses = await Promise.all([
      ask("HEAD"),
      ask("GET", "/v1/bundle"),
      ask("POST"),
      ask("DELETE"),
      ask("GET", "/v1/ca"),
      ask("GET", "/.."),
    ]);
    expect(statuses.map(({ status }) => status)).toEqual([200, 200, 405, 405, 404, 200]);
  });

  test("gives up on who connects and says nothing", async () => {
    const clock = new FakeClock(Date.now());
    const { authority, port } = await serve({}, clock);
    const { connect: connectTls } = await import("node:tls");
    const socket = connectTls({ host: "127.0.0.1", port, ca: authority.bundle().x509Pem, checkServerIdentity: () => undefined });
    const closed = new Promise<void>((resolve) => socket.on("close", () => resolve()));
    socket.on("error", () => {});
    await new Promise<void>((resolve) => socket.once("secureConnect", resolve));
    while (clock.pending === 0) await new Promise((resolve) => setImmediate(resolve));
    await clock.advance(15_000);
    await closed;
  });

  test("survives who speaks no TLS", async () => {
    const { authority, port } = await serve();
    await new Promise<void>((resolve) => {
      const socket = connect(port, "127.0.0.1", () => socket.write("GET / HTTP/1.1\r\n\r\n"));
      socket.on("error", () => {});
      socket.on("close", () => resolve());
    });
    expect(await fetchBundleWith(options())(domainAt(port, { endpointSpiffeId: WEFT }), () => authority.bundle())).toContain(
      "spiffe_sequence",
    );
  });
});

describe("The bundle endpoint by https_web", () => {
  const certificateFor = (dir: string, name: string) => {
    const certificate = join(dir, `${name}.pem`);
    const key = join(dir, `${name}.key`);
    const { exitCode, stderr } = Bun.spawnSync([
      ...["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", `/CN=${name}`],
      ...["-addext", `subjectAltName=DNS:${name}`, "-keyout", key, "-out", certificate],
    ]);
    if (exitCode !== 0) throw new Error(String(stderr));
    return { certificate, key };
  };
  const read = (path: string) => Bun.file(path).text();

  test("is known by its host's name, and by no other; its certificate is read again when it changes", async () => {
    const dir = directory();
    const files = certificateFor(dir, "bundle.other.example");
    const clock = new FakeClock(Date.now());
    const { port } = await serve({ files }, clock);
    const first = await read(files.certificate);
    const get = (ca: string, url = domainAt(port).url) => fetchText(url, options({ ca }), 5_000);
    expect((await get(first)).body).toContain("spiffe_sequence");
    expect(await failure(get(first, `https://elsewhere.example:${port}/`))).toContain("cannot be reached");

    const next = certificateFor(directory(), "bundle.other.example");
    writeFileSync(files.certificate, await read(next.certificate));
    await clock.advance(30_000);
    // The key is still the other one: what was good stays in use.
    for (let turns = 0; turns < 50; turns++) await new Promise((resolve) => setImmediate(resolve));
    expect((await get(first)).body).toContain("spiffe_sequence");
    writeFileSync(files.key, await read(next.key));
    const second = await read(next.certificate);
    let answer = "";
    for (const end = performance.now() + 10_000; !answer.includes("spiffe_sequence") && performance.now() < end; ) {
      await clock.advance(30_000);
      answer = (await get(second).catch(() => ({ body: "" }))).body;
    }
    expect(answer).toContain("spiffe_sequence");
  });

  test("is not opened with files that are no pair", async () => {
    const dir = directory();
    const [one, other] = [certificateFor(dir, "one.example"), certificateFor(dir, "other.example")];
    expect(await failure(serve({ files: { certificate: one.certificate, key: other.key } }))).toContain("cannot serve with");
  });

  test("may redirect, by https and without a user's name only", async () => {
    const dir = directory();
    const files = certificateFor(dir, "bundle.other.example");
    const ca = await read(files.certificate);
    let to = "";
    const server = createServer({ cert: ca, key: await read(files.key) }, (request, response) => {
      if (request.url === "/there") response.end("here");
      else response.writeHead(302, { location: to }).end();
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    ends.push(() => server.close());
    const { port } = server.address() as AddressInfo;
    const get = () => fetchText(domainAt(port).url, options({ ca }), 5_000);
    to = `https://bundle.other.example:${port}/there`;
    expect((await get()).body).toBe("here");
    to = `http://bundle.other.example:${port}/there`;
    expect(await failure(get())).toContain("away from https");
    to = `https://a:b@bundle.other.example:${port}/there`;
    expect(await failure(get())).toContain("a user's name or password");
  });
});

describe("A new authority", () => {
  test("waits for the trust domains that fetch the bundle, for as long as the bundle tells them to wait", async () => {
    const clock = new FakeClock(Date.now());
    const authority = await authorityOf("mesh.local");
    const held = awaitingPeers({ missing: () => ({ connected: [], away: ["default/a"] }) }, { clock, refreshHintMs: 60_000 });
    const waiting = () => held.missing(authority.bundle(), "x509");
    expect(waiting()).toEqual({ connected: ["trust domains that fetch the bundle"], away: ["default/a"] });
    await clock.advance(60_000);
    expect(waiting().connected.length).toBe(1);
    await clock.advance(5_000);
    expect(waiting()).toEqual({ connected: [], away: ["default/a"] });
    await authority.rotate(["x509"]);
    expect(waiting().connected.length).toBe(1);
  });
});
