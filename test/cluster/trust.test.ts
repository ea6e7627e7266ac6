/** The bundle of a mesh with several authorities, and who is waited for before a new root signs. The CA is real; records and cards are written down. */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type LocalAuthority, openAuthority, type TrustPropagation } from "../../src/ca/index.ts";
import { clusterPropagation, trustedHere } from "../../src/control/cluster-propagation.ts";
import type { AuthorityRecord, NodeRecord } from "../../src/control/cluster-schemas.ts";
import { MeshTrust, REMOVED_ROOTS_MS } from "../../src/control/cluster-trust.ts";
import { FakeClock } from "../fakes/clock.ts";

const NODE: NodeRecord = { keyHash: "", authority: false, joinedAt: 0, joinedBy: "" };
let clock: FakeClock;
let own: LocalAuthority;
let other: LocalAuthority;
let directories: string[];
let records: { nodes: Map<string, NodeRecord>; authorities: Map<string, AuthorityRecord>; onChange(listener: () => void): () => void };
let changed: () => void;

async function open(): Promise<LocalAuthority> {
  const dir = mkdtempSync(join(tmpdir(), "weft-trust-"));
  directories.push(dir);
  return await openAuthority({ dir, trustDomain: "mesh.local", clock });
}

function recordOf(ca: LocalAuthority, more: Partial<AuthorityRecord> = {}): AuthorityRecord {
  const { x509, jwt, sequence } = ca.bundle();
  const keys = jwt.map(({ kty = "", crv = "", x = "", y = "", kid = "", alg = "" }) => ({ kty, crv, x, y, kid, alg }));
  return {
    address: "",
    sequence,
    x509: [...x509],
    jwt: keys,
    reports: { x509: [], jwt: [] },
    signs: ["x509", "jwt"],
    forcedAt: {},
    ...more,
  };
}

beforeEach(async () => {
  clock = new FakeClock();
  directories = [];
  [own, other] = [await open(), await open()];
  changed = () => {};
  records = {
    nodes: new Map([["a", NODE]]),
    authorities: new Map([["b", recordOf(other)]]),
    onChange(listener) {
      changed = listener;
      return () => {};
    },
  };
});
afterEach(() => {
  own.close();
  other.close();
  for (const directory of directories) rmSync(directory, { recursive: true, force: true });
});

function openTrust(): MeshTrust {
  const trust = new MeshTrust({ trustDomain: "mesh.local", node: "a", records, clock });
  trust.add(own);
  return trust;
}

describe("The bundle of a mesh", () => {
  test("is that of all its authorities, this node's first, each root once, and its number grows with each change", async () => {
    const trust = openTrust();
    const before = trust.bundle();
    expect(before.x509).toEqual([...own.bundle().x509, ...other.bundle().x509]);
    expect(before.jwt.map(({ kid }) => kid)).toEqual([...own.bundle().jwt, ...other.bundle().jwt].map(({ kid }) => kid));
    records.authorities = new Map([...records.authorities, ["a", recordOf(own)]]);
    changed();
    expect(trust.bundle()).toBe(before);
    const third = await open();
    records.authorities = new Map([...records.authorities, ["c", recordOf(third, { sequence: 1 })]]);
    changed();
    expect(trust.bundle().x509).toHaveLength(3);
    expect(trust.bundle().sequence).toBeGreaterThan(before.sequence);
    third.close();
    trust.close();
  });

  test("keeps the roots of an authority that was removed for as long as its SVIDs are being replaced, and no longer", async () => {
    const trust = openTrust();
    records.authorities = new Map([["b", recordOf(other, { signs: [], removedAt: clock.now() })]]);
    changed();
    const told: number[] = [];
    trust.onBundle(({ x509 }) => told.push(x509.length));
    await clock.advance(REMOVED_ROOTS_MS - 1);
    expect(trust.bundle().x509).toHaveLength(2);
    await clock.advance(1);
    expect(trust.bundle().x509).toEqual(own.bundle().x509);
    expect(told).toEqual([1]);
    trust.close();
  });
});

describe("A new root waits", () => {
  const inner = (connected: string[] = []): TrustPropagation => ({ missing: () => ({ connected, away: [] }) });

  test("for the store to have it, for the proxies here, for every node that is heard of, and, as for proxies, a while for those that are not", () => {
    const trust = openTrust();
    const cards = new Map<string, { trusts: readonly string[] }>();
    const missing = (connected: string[] = []) =>
      clusterPropagation(inner(connected), { node: "a", records, trust, cards: () => cards }).missing(own.bundle(), "x509");
    expect(missing().connected).toEqual(["the shared store, where it is not published yet"]);
    records.authorities.set("a", recordOf(own));
    expect(missing()).toEqual({ connected: [], away: [] });
    expect(missing(["default/web"]).connected).toEqual(["default/web"]);
    for (const name of ["b", "c"]) records.nodes.set(name, NODE);
    expect(missing()).toEqual({ connected: [], away: ["node b", "node c"] });
    cards.set("b", { trusts: [] });
    cards.set("c", { trusts: trustedHere(inner(), trust.bundle()) });
    expect(missing()).toEqual({ connected: ["node b"], away: [] });
    cards.set("b", { trusts: trustedHere(inner(["default/orders"]), trust.bundle()) });
    expect(missing().connected).toEqual(["node b"]);
    cards.set("b", { trusts: trustedHere(inner(), trust.bundle()) });
    expect(missing()).toEqual({ connected: [], away: [] });
    trust.close();
  });
});
