/** The node-to-node RPC over real TLS: who is let in, and to whom a token is shown. */
import { afterEach, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { connect as connectH2 } from "node:http2";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { generateLeafKey, type LocalAuthority, openAuthority, readSigningRequest } from "../../src/ca/index.ts";
import { callNode } from "../../src/cluster/client.ts";
import { joinMesh } from "../../src/cluster/join.ts";
import { caPin, formatJoinToken, newJoinToken, nodeKeyHash } from "../../src/cluster/join-token.ts";
import { RemoteIssuer } from "../../src/cluster/remote-issuer.ts";
import { type ClusterServer, createClusterServer } from "../../src/cluster/server.ts";
import { NodeSession } from "../../src/cluster/session.ts";
import { Signers } from "../../src/cluster/signers.ts";
import type { AuthorityCalls } from "../../src/cluster/types.ts";
import { ClusterService } from "../../src/gen/weft/cluster/v1/cluster_pb.ts";
import { systemClock } from "../../src/lib/clock.ts";
import { WeftError } from "../../src/lib/errors.ts";
import { FakeClock } from "../fakes/clock.ts";

const closers: (() => unknown)[] = [];
afterEach(async () => {
  for (const closer of closers.splice(0).reverse()) await closer();
});

async function openCa(trustDomain = "mesh.local", clock = systemClock): Promise<LocalAuthority> {
  const dir = mkdtempSync(join(tmpdir(), "weft-cluster-"));
  const ca = await openAuthority({ dir, trustDomain, clock });
  closers.push(
    () => rmSync(dir, { recursive: true, force: true }),
    () => ca.close(),
  );
  return ca;
}

const derOf = (pem: string) =>
  [...pem.matchAll(/-----BEGIN CERTIFICATE-----([^-]+)-----END CERTIFICATE-----/g)].map(
    ([, base64 = ""]) => new Uint8Array(Buffer.from(base64, "base64")),
  );

async function nodeCertificate(ca: LocalAuthority, node: string) {
  const { publicKey, privateKeyPem } = generateLeafKey();
  const { chainPem } = await ca.signNode(node, publicKey);
  return { chain: chainPem, key: privateKeyPem, keyHash: nodeKeyHash(publicKey) };
}

async function openServer(ca: LocalAuthority, calls: Partial<AuthorityCalls> = {}, otherRoots = "") {
  const own = await nodeCertificate(ca, "a");
  const refusals: { call: string; who: string; reason: string }[] = [];
  const notHere = () => Promise.reject(new WeftError("internal", "not asked for in this test"));
  const server: ClusterServer = createClusterServer({
    calls: { join: notHere, renew: notHere, signX509: notHere, signJwt: notHere, ...calls },
    bundle: () => ca.bundle(),
    certificate: { current: () => ({ chain: own.chain + otherRoots + ca.bundle().x509Pem, key: own.key }), onRenewal: () => () => {} },
    clock: systemClock,
    refused: (refusal) => refusals.push(refusal),
  });
  const { host, port } = await server.listen({ host: "127.0.0.1", port: 0 });
  closers.push(() => server.close(100));
  return { server, address: `${host}:${port}`, port, refusals };
}

const pinsOf = (ca: LocalAuthority) => ca.bundle().x509.map((pem) => caPin(pem));

/** An authority that lets everybody in and notes what it was shown. */
function generous(ca: LocalAuthority, shown: string[] = []): Pick<AuthorityCalls, "join"> {
  return {
    async join({ token, node, csr }) {
      shown.push(token);
      const { chainPem } = await ca.signNode(node, await readSigningRequest(csr));
      return { certificates: derOf(chainPem), trustDomain: ca.trustDomain, authority: false, sealKey: new Uint8Array(32) };
    },
  };
}

function signersFor(ca: LocalAuthority, places: { node: string; address: string }[], own: { chain: string; key: string }) {
  const signers = new Signers({
    places: () => places,
    certificate: () => own,
    bundle: () => ca.bundle(),
    clock: systemClock,
    random: () => 0,
  });
  closers.push(() => signers.close());
  return new RemoteIssuer({ signers, bundle: () => ca.bundle(), revision: () => 7, clock: systemClock });
}

describe("Joining over the wire", () => {
  test("gives a certificate for the node's own key, by an authority that the token pins.", async () => {
    const ca = await openCa();
    const { address } = await openServer(ca, generous(ca));
    const { privateKeyPem } = generateLeafKey();
    const token = formatJoinToken(newJoinToken("a", pinsOf(ca)));
    const joined = await joinMesh({ address, token, node: "b", keyPem: privateKeyPem, clock: systemClock });
    expect(joined).toMatchObject({ trustDomain: "mesh.local", by: "a", authority: false });
  });

  test("shows the token to nobody else than the authority that it pins.", async () => {
    const [ca, other] = [await openCa(), await openCa()];
    const shown: string[] = [];
    const { address } = await openServer(other, generous(other, shown));
    const token = formatJoinToken(newJoinToken("a", pinsOf(ca)));
    const { privateKeyPem: keyPem } = generateLeafKey();
    await expect(joinMesh({ address, token, node: "b", keyPem, clock: systemClock })).rejects.toThrow(
      "not the authority that the token was made on",
    );
    expect(shown).toEqual([]);
  });

  test("is not taken in by a workload of the same mesh that answers at the address.", async () => {
    const ca = await openCa();
    const svid = await ca.issueX509("spiffe://mesh.local/ns/default/sa/thief");
    const shown: string[] = [];
    const server = createClusterServer({
      calls: { ...generous(ca, shown) } as AuthorityCalls,
      bundle: () => ca.bundle(),
      certificate: { current: () => ({ chain: svid.chainPem + ca.bundle().x509Pem, key: svid.privateKeyPem }), onRenewal: () => () => {} },
      clock: systemClock,
    });
    const { host, port } = await server.listen({ host: "127.0.0.1", port: 0 });
    closers.push(() => server.close(100));
    const token = formatJoinToken(newJoinToken("a", pinsOf(ca)));
    const { privateKeyPem: keyPem } = generateLeafKey();
    await expect(joinMesh({ address: `${host}:${port}`, token, node: "b", keyPem, clock: systemClock })).rejects.toThrow("is a workload's");
    expect(shown).toEqual([]);
  });

  test("is not taken in by another node of the same mesh that answers at the address.", async () => {
    const ca = await openCa();
    const shown: string[] = [];
    const { address } = await openServer(ca, generous(ca, shown));
    const token = formatJoinToken(newJoinToken("z", pinsOf(ca)));
    const { privateKeyPem: keyPem } = generateLeafKey();
    await expect(joinMesh({ address, token, node: "b", keyPem, clock: systemClock })).rejects.toThrow(
      "node a answers there, and the token was made on z",
    );
    expect(shown).toEqual([]);
  });

  test("says that the trust domain is another one before the token is shown.", async () => {
    const ca = await openCa("other.mesh");
    const shown: string[] = [];
    const { address } = await openServer(ca, generous(ca, shown));
    const token = formatJoinToken(newJoinToken("a", pinsOf(ca)));
    const { privateKeyPem: keyPem } = generateLeafKey();
    const joining = joinMesh({ address, token, node: "b", trustDomain: "mesh.local", keyPem, clock: systemClock });
    await expect(joining).rejects.toThrow("of trust domain other.mesh");
    expect(shown).toEqual([]);
  });

  test("says so where nothing listens.", async () => {
    const ca = await openCa();
    const { server, address } = await openServer(ca);
    await server.close(0);
    const token = formatJoinToken(newJoinToken("a", pinsOf(ca)));
    const { privateKeyPem: keyPem } = generateLeafKey();
    await expect(joinMesh({ address, token, node: "b", keyPem, clock: systemClock })).rejects.toThrow("ECONNREFUSED");
  });
});

describe("An authority's door", () => {
  const signing = (ca: LocalAuthority): Pick<AuthorityCalls, "signX509"> => ({
    async signX509({ node }, { spiffeId, publicKey, revision }) {
      if (node !== "b" || revision !== 7) throw new WeftError("forbidden", `not for ${node}`);
      const { chainPem, authorityId } = await ca.signX509(spiffeId, publicKey);
      return { certificates: derOf(chainPem), authorityId };
    },
  });

  test("signs for a node by its certificate.", async () => {
    const ca = await openCa();
    const { address } = await openServer(ca, signing(ca));
    const issuer = signersFor(ca, [{ node: "a", address }], await nodeCertificate(ca, "b"));
    const svid = await issuer.issueX509("spiffe://mesh.local/ns/default/sa/web");
    expect(svid.spiffeId).toBe("spiffe://mesh.local/ns/default/sa/web");
    expect(svid.chainPem).toContain("BEGIN CERTIFICATE");
  });

  test("refuses a workload's certificate, one of another mesh, and none.", async () => {
    const [ca, other] = [await openCa(), await openCa()];
    const { address, refusals } = await openServer(ca, signing(ca));
    const svid = await ca.issueX509("spiffe://mesh.local/ns/default/sa/web");
    const ask = (own: { chain: string; key: string }) =>
      signersFor(ca, [{ node: "a", address }], own).issueX509("spiffe://mesh.local/ns/default/sa/web");
    await expect(ask({ chain: svid.chainPem, key: svid.privateKeyPem })).rejects.toThrow("is a workload's");
    await expect(ask(await nodeCertificate(other, "b"))).rejects.toThrow("no authority in the trust bundle");
    expect(refusals.map(({ who }) => who)).toEqual(["nobody", "unproved node b"]);
  });

  test("refuses an expired certificate where it signs, and takes it where it renews, as the key is the same.", async () => {
    const past = new FakeClock(Date.now() - 2 * 3_600_000);
    const ca = await openCa("mesh.local", past);
    const expired = await nodeCertificate(ca, "b");
    past.setWallClock(Date.now());
    let renewing: unknown;
    const { address } = await openServer(ca, {
      ...signing(ca),
      renew: async (node) => {
        renewing = node;
        return [];
      },
    });
    const places = [{ node: "a", address }];
    const signers = new Signers({
      places: () => places,
      certificate: () => expired,
      bundle: () => ca.bundle(),
      clock: systemClock,
      random: () => 0,
    });
    closers.push(() => signers.close());
    await expect(
      signers.ask((parts) => callNode(parts, ClusterService.method.signX509Svid, { spiffeId: "spiffe://mesh.local/ns/default/sa/web" })),
    ).rejects.toThrow("expired at");
    await signers.ask((parts) => callNode(parts, ClusterService.method.renewNode, {}));
    expect(renewing).toMatchObject({ node: "b", keyHash: expired.keyHash });
  });

  test("is known, and signs, in a mesh of many roots, all of which it presents.", async () => {
    const ca = await openCa();
    const others = await Promise.all(Array.from({ length: 7 }, () => openCa()));
    const { address } = await openServer(ca, { ...generous(ca), ...signing(ca) }, others.map((one) => one.bundle().x509Pem).join(""));
    const issuer = signersFor(ca, [{ node: "a", address }], await nodeCertificate(ca, "b"));
    expect((await issuer.issueX509("spiffe://mesh.local/ns/default/sa/web")).serial).not.toBe("");
    const token = formatJoinToken(newJoinToken("a", pinsOf(ca)));
    const { privateKeyPem: keyPem } = generateLeafKey();
    expect(await joinMesh({ address, token, node: "c", keyPem, clock: systemClock })).toMatchObject({ by: "a" });
  });

  test("that cannot answer one call ends no other one that is under way.", async () => {
    const ca = await openCa();
    const held = Promise.withResolvers<void>();
    let asked = 0;
    const { address } = await openServer(ca, {
      async signX509(node, ask) {
        asked += 1;
        if (ask.spiffeId.endsWith("/late")) throw new WeftError("unavailable", "this authority is behind");
        await held.promise;
        return await signing(ca).signX509(node, ask);
      },
    });
    const issuer = signersFor(ca, [{ node: "a", address }], await nodeCertificate(ca, "b"));
    const web = issuer.issueX509("spiffe://mesh.local/ns/default/sa/web");
    await expect(issuer.issueX509("spiffe://mesh.local/ns/default/sa/late")).rejects.toThrow("this authority is behind");
    held.resolve();
    expect((await web).serial).not.toBe("");
    expect(asked).toBe(2);
  });

  test("lets strangers try so often, whatever certificates they make for themselves, and however many connections.", async () => {
    const [ca, other] = [await openCa(), await openCa()];
    const { address } = await openServer(ca, { join: () => Promise.reject(new WeftError("unauthenticated", "no token")) });
    const own = await nodeCertificate(other, "b");
    const outcomes: string[] = [];
    for (let index = 0; index < 30; index++) {
      const session = new NodeSession({ address, certificate: () => own, judge: () => {}, clock: systemClock });
      const calling = callNode({ session, clock: systemClock, peer: "a" }, ClusterService.method.join, {});
      outcomes.push(
        await calling.then(
          () => "let in",
          (reason) => WeftError.from(reason).code,
        ),
      );
      session.close();
    }
    expect(outcomes.filter((code) => code === "unauthenticated").length).toBeWithin(20, 26);
    expect(outcomes.at(-1)).toBe("unavailable");
  });

  test("asks the next authority where one is away, and that one no more for a while.", async () => {
    const ca = await openCa();
    const { address } = await openServer(ca, signing(ca));
    const gone = await openServer(ca);
    await gone.server.close(0);
    const places = [
      { node: "a", address: gone.address },
      { node: "a", address },
    ];
    const issuer = signersFor(ca, places, await nodeCertificate(ca, "b"));
    for (const sa of ["web", "orders"]) expect((await issuer.issueX509(`spiffe://mesh.local/ns/default/sa/${sa}`)).serial).not.toBe("");
    const alone = signersFor(ca, [{ node: "a", address: gone.address }], await nodeCertificate(ca, "b"));
    await expect(alone.issueX509("spiffe://mesh.local/ns/default/sa/web")).rejects.toThrow("ECONNREFUSED");
    await expect(alone.issueX509("spiffe://mesh.local/ns/default/sa/web")).rejects.toThrow("did not answer a moment ago");
  });

  test("takes no certificate of another node for an authority's.", async () => {
    const ca = await openCa();
    const { address } = await openServer(ca, signing(ca));
    const issuer = signersFor(ca, [{ node: "z", address }], await nodeCertificate(ca, "b"));
    await expect(issuer.issueX509("spiffe://mesh.local/ns/default/sa/web")).rejects.toThrow("node a answers where authority z should");
  });

  test("outlives garbage and HTTP/2 without TLS, and answers others meanwhile.", async () => {
    const ca = await openCa();
    const { address, port } = await openServer(ca, signing(ca));
    const garbage = connect(port, "127.0.0.1");
    garbage.on("error", () => {}).resume();
    const ended = new Promise<void>((resolve) => garbage.once("close", () => resolve()));
    garbage.write(Buffer.alloc(4096, 0xa5));
    await ended;

    const plain = connectH2(`http://127.0.0.1:${port}`);
    plain.on("error", () => {});
    const refused = new Promise<void>((resolve) => plain.once("close", () => resolve()));
    plain.request({ ":path": "/" }).on("error", () => {});
    await refused;

    const issuer = signersFor(ca, [{ node: "a", address }], await nodeCertificate(ca, "b"));
    expect((await issuer.issueX509("spiffe://mesh.local/ns/default/sa/web")).serial).not.toBe("");
  });

  test("ends a node's connections when it is told to.", async () => {
    const ca = await openCa();
    const { server, address } = await openServer(ca, signing(ca));
    const issuer = signersFor(ca, [{ node: "a", address }], await nodeCertificate(ca, "b"));
    await issuer.issueX509("spiffe://mesh.local/ns/default/sa/web");
    server.endNodes((node) => node === "b");
    expect((await issuer.issueX509("spiffe://mesh.local/ns/default/sa/web")).serial).not.toBe("");
  });
});
