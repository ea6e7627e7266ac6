/** ADS over TLS, with a real CA behind it: what is served, what of a client's is believed, and what becomes of it when it ends. */
import { afterEach, beforeEach, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { connect as connectHttp2 } from "node:http2";
import { connect as connectPlain } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect, type TLSSocket } from "node:tls";
import { Code } from "@connectrpc/connect";
import type { Credentials, Entitlement, ProxyIdentity } from "../../src/ads/types.ts";
import { type OpenedAuthority, openAuthority, verifyX509Svid, type X509Svid } from "../../src/ca/index.ts";
import { AggregatedDiscoveryService } from "../../src/gen/weft/ads/v1/discovery_pb.ts";
import { systemClock } from "../../src/lib/clock.ts";
import { TYPE } from "../../src/lib/encoded.ts";
import { WeftError } from "../../src/lib/errors.ts";
import type { ServerCertificate } from "../../src/lib/server-tls.ts";
import { DeltaClient } from "./ads-client.ts";
import { cleanUp, onCleanup, start } from "./fixture.ts";

const WEFT = "spiffe://mesh.local/ns/weft-system/sa/weft";
const WEB = "spiffe://mesh.local/ns/default/sa/web";

let directory = "";
let authority: OpenedAuthority;
beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), "weft-ads-tls-"));
  authority = await openAuthority({ dir: directory, trustDomain: "mesh.local", clock: systemClock });
});
afterEach(async () => {
  await cleanUp();
  authority.close();
  rmSync(directory, { recursive: true, force: true });
});

/** A certificate that the test renews by hand. */
async function serverCertificate() {
  let svid = await authority.issueX509(WEFT);
  const listeners = new Set<() => void>();
  const certificate: ServerCertificate = {
    current: () => ({ chain: svid.chainPem, key: svid.privateKeyPem }),
    onRenewal(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
  const renew = async () => {
    svid = await authority.issueX509(WEFT);
    for (const listener of listeners) listener();
    return svid;
  };
  return { certificate, renew, serial: () => svid.serial };
}

async function bySvid({ certificates = [] }: Credentials): Promise<ProxyIdentity | Entitlement> {
  const { spiffeId, notAfter } = verifyX509Svid(certificates, authority.bundle(), systemClock.now());
  const choose = (node: string) => {
    if (!node.startsWith("default/web")) throw new WeftError("forbidden", `${spiffeId} is not ${node}`);
    return { id: node, expiresAt: notAfter };
  };
  return { expiresAt: notAfter, choose };
}

async function serve(authenticate = bySvid) {
  const { certificate, renew, serial } = await serverCertificate();
  const { ads, source } = await start({ authenticate });
  const bound = await ads.listen({ host: "127.0.0.1", port: 0, tls: certificate });
  const tls = (svid?: X509Svid) => ({
    ca: authority.bundle().x509Pem,
    checkServerIdentity: (_: string, { subjectaltname }: { subjectaltname?: string }) =>
      subjectaltname === `URI:${WEFT}` ? undefined : new Error(`the server is ${subjectaltname}`),
    ...(svid ? { cert: svid.chainPem, key: svid.privateKeyPem } : {}),
  });
  const client = (options: { svid?: X509Svid; node?: string }) => {
    const made = new DeltaClient({ address: bound.address, port: bound.port, tls: tls(options.svid) }, { node: options.node });
    onCleanup(() => made.close());
    return made;
  };
  return { ads, source, bound, client, renew, serial, tls };
}

test("a proxy that presents its X.509-SVID is the workload that its node.id chooses among its own", async () => {
  const { client, ads, source } = await serve();
  source.publish({ [TYPE.cluster]: { a: "1" } });
  const proxy = client({ svid: await authority.issueX509(WEB), node: "default/web-2" });
  proxy.subscribe(TYPE.cluster);
  await proxy.take(TYPE.cluster);
  expect(ads.ledger.proxy("default/web-2")).toMatchObject({ transport: "tls" });
  const forged = client({ svid: await authority.issueX509(WEB), node: "default/admin" });
  forged.subscribe(TYPE.cluster);
  expect(await forged.end()).toMatchObject({ code: Code.PermissionDenied, rawMessage: `${WEB} is not default/admin` });
  expect(ads.ledger.proxy("default/admin")).toBeUndefined();
});

test("a certificate of another mesh, and none, are refused with the reason", async () => {
  const other = mkdtempSync(join(tmpdir(), "weft-other-"));
  onCleanup(() => rmSync(other, { recursive: true, force: true }));
  const stranger = await openAuthority({ dir: other, trustDomain: "mesh.local", clock: systemClock });
  onCleanup(() => stranger.close());
  const { client } = await serve();
  const forged = client({ svid: await stranger.issueX509(WEB), node: "default/web-1" });
  forged.subscribe(TYPE.cluster);
  expect(await forged.end()).toMatchObject({
    code: Code.Unauthenticated,
    rawMessage: expect.stringContaining("no authority in the trust bundle"),
  });
  const nobody = client({ node: "default/web-1" });
  nobody.subscribe(TYPE.cluster);
  expect(await nobody.end()).toMatchObject({ code: Code.Unauthenticated, rawMessage: "no certificate was presented" });
});

test("the stream ends with the certificate, and its connection with it, so that the next one is presented", async () => {
  const svid = await authority.issueX509(WEB);
  const ends = systemClock.now() + 1_500;
  const { bound, tls } = await serve(async (credentials) => ({ ...(await bySvid(credentials)), expiresAt: ends }) as Entitlement);
  const session = connectHttp2(`https://${bound.address}:${bound.port}`, tls(svid));
  onCleanup(() => session.destroy());
  const goaway = new Promise<number>((resolve) => session.on("goaway", resolve));
  const path = `/${AggregatedDiscoveryService.typeName}/DeltaAggregatedResources`;
  const stream = session.request({ ":method": "POST", ":path": path, "content-type": "application/grpc", te: "trailers" });
  const trailers = new Promise<Record<string, unknown>>((resolve) => stream.on("trailers", resolve));
  stream.resume();
  expect(await trailers).toMatchObject({ "grpc-status": String(Code.Unauthenticated) });
  expect(await goaway).toBe(0);
});

test("a renewed certificate is served to the next connection, and those that are open go on", async () => {
  const { bound, tls, client, renew, serial, source } = await serve();
  source.publish({ [TYPE.cluster]: { a: "1" } });
  const proxy = client({ svid: await authority.issueX509(WEB), node: "default/web-1" });
  proxy.subscribe(TYPE.cluster);
  await proxy.take(TYPE.cluster);
  const seen = async () => {
    const socket = await handshake({ ...bound, host: bound.address, ALPNProtocols: ["h2"], ...tls() });
    return socket.getPeerCertificate().serialNumber.toLowerCase();
  };
  const before = serial();
  expect(await seen()).toBe(before);
  await renew();
  expect(serial()).not.toBe(before);
  expect(await seen()).toBe(serial());
  source.publish({ [TYPE.cluster]: { a: "2" } });
  await proxy.take(TYPE.cluster);
});

test("TLS 1.1, HTTP/1.1 and weak ciphers get no handshake, and no session is resumed", async () => {
  const { bound, tls } = await serve();
  const target = { host: bound.address, port: bound.port, ...tls() };
  await expect(handshake({ ...target, ALPNProtocols: ["http/1.1"] })).rejects.toThrow(/APPLICATION_PROTOCOL/i);
  await expect(handshake({ ...target, ALPNProtocols: ["h2"], minVersion: "TLSv1.1", maxVersion: "TLSv1.1" })).rejects.toThrow();
  await expect(handshake({ ...target, ALPNProtocols: ["h2"], maxVersion: "TLSv1.2", ciphers: "ECDHE-ECDSA-AES128-SHA" })).rejects.toThrow();
  let session: Buffer | undefined;
  const first = await handshake({ ...target, ALPNProtocols: ["h2"] }, (given) => {
    session = given;
  });
  // A server gives its tickets right after the handshake: an answer to a PING comes after them.
  first.write("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0", "latin1");
  await new Promise((resolve) => first.once("data", resolve));
  if (session) expect((await handshake({ ...target, ALPNProtocols: ["h2"], session })).isSessionReused()).toBe(false);
});

test("a connection that makes no handshake, and one that proves nothing, lose their place", async () => {
  const { certificate } = await serverCertificate();
  const { ads } = await start({ authenticate: bySvid, limits: { unprovenMs: 300 } });
  const bound = await ads.listen({ host: "127.0.0.1", port: 0, tls: certificate });
  const mute = connectPlain(bound.port, bound.address);
  onCleanup(() => mute.destroy());
  const silent = await handshake({ host: bound.address, port: bound.port, ALPNProtocols: ["h2"], rejectUnauthorized: false });
  await Promise.all([closed(silent), closed(mute)]);
}, 30_000);

test("one address cannot have more than its share of the places", async () => {
  const { certificate } = await serverCertificate();
  const refused: string[] = [];
  const { ads } = await start({
    authenticate: bySvid,
    limits: { maxConnectionsPerAddress: 3 },
    observer: { refused: ({ reason }) => void refused.push(reason) },
  });
  const bound = await ads.listen({ host: "127.0.0.1", port: 0, tls: certificate });
  const plain = Array.from({ length: 4 }, () => connectPlain(bound.port, bound.address));
  for (const socket of plain) {
    socket.on("error", () => {});
    onCleanup(() => socket.destroy());
  }
  await Promise.race(plain.map(closed));
  expect(refused).toEqual(["too many connections from one address"]);
});

function handshake(options: Parameters<typeof connect>[0] & object, onSession: (session: Buffer) => void = () => {}): Promise<TLSSocket> {
  return new Promise((resolve, reject) => {
    const socket = connect(options, () => resolve(socket));
    socket.on("session", onSession);
    socket.once("error", reject);
    socket.once("close", () => reject(new Error("closed")));
    onCleanup(() => socket.destroy());
  });
}

function closed(socket: { once(event: "close", listener: () => void): unknown; resume(): unknown }): Promise<void> {
  socket.resume();
  return new Promise((resolve) => socket.once("close", resolve));
}
