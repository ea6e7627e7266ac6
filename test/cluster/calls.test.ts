/** What an authority refuses, whoever asks: tokens, names, requests, nodes that are gone. The CA, the store's records and the checks are the real ones. */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { importKeyPair, x509 } from "../../src/ca/crypto.ts";
import { createSigningRequest, generateLeafKey, type LocalAuthority, openAuthority } from "../../src/ca/index.ts";
import { formatJoinToken, joinSecretHash, newJoinToken, nodeKeyHash } from "../../src/cluster/join-token.ts";
import type { ClaimedNode } from "../../src/cluster/peer.ts";
import { ClusterCalls, RENEWAL_GRACE_MS } from "../../src/control/cluster-calls.ts";
import { ClusterRecords } from "../../src/control/cluster-records.ts";
import { NODES, removedId, TOKENS } from "../../src/control/cluster-schemas.ts";
import type { Mesh } from "../../src/mesh/types.ts";
import { openMemoryStore } from "../../src/store/index.ts";
import type { Store } from "../../src/store/store.ts";
import { FakeClock } from "../fakes/clock.ts";

const MINUTE = 60_000;
const DAY = 86_400_000;
const audit = { who: "uid 0", from: "admin.sock", action: "test", outcome: "done", targets: [] } as const;

let clock: FakeClock;
let store: Store;
let records: ClusterRecords;
let ca: LocalAuthority;
let calls: ClusterCalls;
let directory: string;
/** What the Mesh of the authority says of workloads. */
let workloads: { node: string; spiffeId: string }[];
let revision: number;

beforeEach(async () => {
  clock = new FakeClock();
  directory = mkdtempSync(join(tmpdir(), "weft-calls-"));
  store = openMemoryStore({ clock });
  records = await ClusterRecords.open({ store, onTrouble: () => {} });
  ca = await openAuthority({
    dir: directory,
    trustDomain: "mesh.local",
    clock,
    lifetimes: { x509SvidMs: 3_600_000, jwtSvidMs: 300_000, authorityMs: 30 * DAY },
  });
  workloads = [];
  revision = 1;
  calls = new ClusterCalls({
    trustDomain: "mesh.local",
    store,
    records,
    local: ca,
    signs: () => true,
    sealKey: new Uint8Array(32),
    // The two fields that decide.
    mesh: () => ({ revision, workloads: new Map(workloads.map((one, index) => [String(index), one])) }) as unknown as Mesh,
    reached: () => new Promise(() => {}),
    clock,
  });
});
afterEach(() => {
  records.close();
  ca.close();
  rmSync(directory, { recursive: true, force: true });
});

async function makeToken(limits: { node?: string; ttlMs?: number; authority?: boolean } = {}): Promise<string> {
  const token = newJoinToken("a", ["A".repeat(43)]);
  const { ttlMs = 15 * MINUTE, authority = false, ...rest } = limits;
  const value = {
    hash: joinSecretHash(token.secret),
    authority,
    createdAt: clock.now(),
    expiresAt: clock.now() + ttlMs,
    createdBy: "uid 0",
    ...rest,
  };
  await store.writePrivate({ collection: TOKENS, puts: [{ id: token.id, value }], deletes: [], audit });
  return formatJoinToken(token);
}

const request = () => createSigningRequest(generateLeafKey().privateKeyPem);
const enter = async (token: string, node: string, csr?: Uint8Array) =>
  calls.join({ token, node, csr: csr ?? (await request()), trustDomain: "", from: "127.0.0.1:1" });

/** A node of the mesh, as its connection proves it. */
async function joined(node: string): Promise<ClaimedNode> {
  const { publicKey, privateKeyPem } = generateLeafKey();
  await enter(await makeToken(), node, await createSigningRequest(privateKeyPem));
  return { node, trustDomain: "mesh.local", keyHash: nodeKeyHash(publicKey), publicKey };
}

async function remove(node: string, { keyHash }: ClaimedNode): Promise<void> {
  const value = { keyHash, removedAt: clock.now(), by: "uid 0" };
  await records.write({ collection: NODES, puts: [{ id: removedId(node), value }], deletes: [node], audit });
}

describe("Joining", () => {
  test("takes no token twice, also where both come at once, and none that ended", async () => {
    const token = await makeToken();
    const outcomes = await Promise.allSettled(["b", "c", "d"].map((node) => enter(token, node)));
    expect(outcomes.map(({ status }) => status).sort()).toEqual(["fulfilled", "rejected", "rejected"]);
    expect(records.nodes.size).toBe(1);
    const short = await makeToken({ ttlMs: MINUTE });
    await clock.advance(MINUTE);
    await expect(enter(short, "e")).rejects.toThrow("this join token ended at 2026-01-01T00:01:00.000Z");
  });

  test("is done again, with another token, by a node that did not hear the answer, and by nobody else in its name", async () => {
    const csr = await request();
    await enter(await makeToken(), "b", csr);
    const before = records.nodes.get("b")?.keyHash;
    expect((await enter(await makeToken(), "b", csr)).certificates).toHaveLength(1);
    expect(records.nodes.get("b")?.keyHash).toBe(before);
    await expect(enter(await makeToken(), "b")).rejects.toThrow("there is a node b in the mesh");
    await expect(enter(await makeToken({ authority: true }), "b", csr)).rejects.toThrow("there is a node b in the mesh");
  });

  /** The store ends with the write of `collection`: that is not made, and what was before it stays. */
  function diesAt(collection: string): () => void {
    const write = store.writePrivate.bind(store);
    store.writePrivate = async (change) => {
      if (change.collection === collection) throw new Error("the authority was killed");
      await write(change);
    };
    return () => {
      store.writePrivate = write;
    };
  }

  test("goes on with the same token where the authority died between its use and the node's registration, for the same node and key alone", async () => {
    const [token, csr] = [await makeToken({ authority: true }), await request()];
    const revive = diesAt(NODES);
    await expect(enter(token, "b", csr)).rejects.toThrow("the authority was killed");
    revive();
    await expect(enter(token, "b")).rejects.toThrow("this join token is not known: it was used");
    await expect(enter(token, "c", csr)).rejects.toThrow("this join token is not known: it was used");
    expect(records.nodes.size).toBe(0);
    expect(await enter(token, "b", csr)).toMatchObject({ authority: true });
    expect((await enter(token, "b", csr)).certificates).toHaveLength(1);
    expect(records.nodes.get("b")).toMatchObject({ authority: true, joinedBy: "uid 0" });
    await clock.advance(15 * MINUTE);
    await expect(enter(token, "b", csr)).rejects.toThrow("this join token ended");
  });

  test("takes calls of one node with one token that come at once for one", async () => {
    const [token, csr] = [await makeToken(), await request()];
    const grants = await Promise.all([1, 2, 3].map(() => enter(token, "b", csr)));
    expect(grants.map(({ certificates }) => certificates.length)).toEqual([1, 1, 1]);
    const { records: all } = await store.readAudit({ after: 0, limit: 100 });
    expect(all.filter(({ action }) => action === "use-join-token")).toHaveLength(1);
  });

  test("lets no node that was removed back in by the token that it joined with", async () => {
    const { publicKey, privateKeyPem } = generateLeafKey();
    const [token, csr] = [await makeToken(), await createSigningRequest(privateKeyPem)];
    await enter(token, "b", csr);
    await remove("b", { node: "b", trustDomain: "mesh.local", keyHash: nodeKeyHash(publicKey), publicKey });
    await expect(enter(token, "b", csr)).rejects.toThrow("this join token is not known: it was used");
    expect(records.nodes.size).toBe(0);
    expect((await enter(await makeToken(), "b", csr)).certificates).toHaveLength(1);
  });

  test("tells a token with a wrong secret from one that never was by nothing", async () => {
    const [whole, other] = [await makeToken(), newJoinToken("a", ["A".repeat(43)])];
    const [, id = ""] = /^weft_join_([^.]+)/.exec(whole) ?? [];
    const answers = await Promise.all(
      [{ ...other, id }, other].map((token) => enter(formatJoinToken(token), "b").catch(({ message }) => message)),
    );
    expect(answers[0]).toBe(answers[1]);
  });

  test("lets one of two have a name, though both have a good token", async () => {
    const tokens = [await makeToken(), await makeToken()];
    const outcomes = await Promise.allSettled(tokens.map((token) => enter(token, "b")));
    expect(outcomes.map(({ status }) => status).sort()).toEqual(["fulfilled", "rejected"]);
  });

  test("takes the name from nowhere else than the token's bearer: a request that asks for names is refused, and uses no token up", async () => {
    const token = await makeToken();
    const keys = await importKeyPair(generateLeafKey().privateKeyPem);
    const csr = await x509.Pkcs10CertificateRequestGenerator.create({
      keys,
      signingAlgorithm: { name: "ECDSA", hash: "SHA-256" },
      extensions: [new x509.SubjectAlternativeNameExtension([{ type: "url", value: "spiffe://mesh.local/ns/weft-system/sa/weft" }])],
    });
    await expect(enter(token, "b", new Uint8Array(csr.rawData))).rejects.toThrow("asks for names");
    const named = await x509.Pkcs10CertificateRequestGenerator.create({
      keys,
      name: "CN=weft",
      signingAlgorithm: { name: "ECDSA", hash: "SHA-256" },
    });
    await expect(enter(token, "b", new Uint8Array(named.rawData))).rejects.toThrow("asks for names");
    const forged = await request();
    forged[forged.length - 1] = (forged.at(-1) ?? 0) ^ 1;
    await expect(enter(token, "b", forged)).rejects.toThrow("the certificate signing request is refused");
    await expect(enter(token, "b", new Uint8Array([1, 2, 3]))).rejects.toThrow("it cannot be read");
    await expect(enter(token, "Not/A-Name")).rejects.toThrow("cannot name a node");
    expect((await enter(token, "b")).certificates).toHaveLength(1);
  });
});

describe("Signing", () => {
  const ask = (spiffeId: string, asked = revision) => ({ spiffeId, publicKey: generateLeafKey().publicKey, revision: asked });

  test("is for the workloads of the node that asks, and weft's own service, alone", async () => {
    const b = await joined("b");
    workloads = [
      { node: "b", spiffeId: "spiffe://mesh.local/ns/default/sa/web" },
      { node: "a", spiffeId: "spiffe://mesh.local/ns/default/sa/orders" },
    ];
    expect((await calls.signX509(b, ask("spiffe://mesh.local/ns/default/sa/web"))).certificates).toHaveLength(1);
    expect((await calls.signX509(b, ask("spiffe://mesh.local/ns/weft-system/sa/weft"))).certificates).toHaveLength(1);
    expect((await calls.signJwt(b, { spiffeId: "spiffe://mesh.local/ns/default/sa/web", audience: ["x"], revision })).token).toStartWith(
      "ey",
    );
    const others = ["ns/default/sa/orders", "weft/node/a", "weft/node/b", "ns/default/sa/web/x"].map(
      (path) => `spiffe://mesh.local/${path}`,
    );
    for (const id of [...others, "spiffe://other.mesh/ns/default/sa/web", "", "x"]) {
      await expect(calls.signX509(b, ask(id))).rejects.toThrow("is no identity of a workload that is registered to node b");
      await expect(calls.signJwt(b, { spiffeId: id, audience: ["x"], revision })).rejects.toThrow("is no identity of a workload");
    }
  });

  test("waits a while for what the node knows and the authority does not, and then leaves it to another", async () => {
    const b = await joined("b");
    const asked = calls.signX509(b, ask("spiffe://mesh.local/ns/default/sa/web", 7)).catch((reason) => reason);
    await clock.advance(3_000);
    expect(await asked).toMatchObject({
      code: "unavailable",
      message: expect.stringContaining("at revision 1, and was asked by what revision 7 says"),
    });
  });

  test("refuses keys that are none of P-256", async () => {
    const b = await joined("b");
    workloads = [{ node: "b", spiffeId: "spiffe://mesh.local/ns/default/sa/web" }];
    const wrong = { ...ask("spiffe://mesh.local/ns/default/sa/web"), publicKey: new Uint8Array(91) };
    await expect(calls.signX509(b, wrong)).rejects.toThrow("none of curve P-256");
  });

  test("is refused to a node that was removed, and to who has an old key of one that came back", async () => {
    const b = await joined("b");
    workloads = [{ node: "b", spiffeId: "spiffe://mesh.local/ns/default/sa/web" }];
    await remove("b", b);
    await expect(calls.signX509(b, ask("spiffe://mesh.local/ns/default/sa/web"))).rejects.toThrow("was removed from the mesh by uid 0");
    await expect(calls.renew(b)).rejects.toThrow("was removed from the mesh by uid 0");
    const back = await joined("b");
    expect((await calls.signX509(back, ask("spiffe://mesh.local/ns/default/sa/web"))).certificates).toHaveLength(1);
    await expect(calls.signX509(b, ask("spiffe://mesh.local/ns/default/sa/web"))).rejects.toThrow("with this key is none of the mesh's");
    await expect(calls.renew(b)).rejects.toThrow("with this key is none of the mesh's");
  });
});

describe("A node that slept", () => {
  test("comes back by its key for a week, counted from when it was certified last, and must join again after it", async () => {
    const b = await joined("b");
    await clock.advance(RENEWAL_GRACE_MS - 1);
    expect(await calls.renew(b)).toHaveLength(1);
    await clock.advance(RENEWAL_GRACE_MS - 1);
    expect(await calls.renew(b)).toHaveLength(1);
    await clock.advance(RENEWAL_GRACE_MS + 1);
    await expect(calls.renew(b)).rejects.toThrow("node b was away for more than a week: it must join again");
  });
});
