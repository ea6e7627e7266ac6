/** What an authority publishes, and what is known of one that was removed, also where its removal was cut short. The CA and the store are real. */
import { afterEach, beforeEach, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type LocalAuthority, openAuthority } from "../../src/ca/index.ts";
import { Publisher } from "../../src/control/cluster-publisher.ts";
import { ClusterRecords } from "../../src/control/cluster-records.ts";
import { AUTHORITIES, MESH_ID, NODES, removedId } from "../../src/control/cluster-schemas.ts";
import { REMOVED_ROOTS_MS } from "../../src/control/cluster-trust.ts";
import { openMemoryStore } from "../../src/store/index.ts";
import { FakeClock } from "../fakes/clock.ts";

const audit = { who: "uid 0", from: "admin.sock", action: "test", outcome: "done", targets: [] } as const;
const closers: (() => unknown)[] = [];
let clock: FakeClock;
let records: ClusterRecords;

beforeEach(async () => {
  clock = new FakeClock();
  records = await ClusterRecords.open({ store: openMemoryStore({ clock }), onTrouble: () => {} });
  const mesh = { trustDomain: "mesh.local", founder: "a", foundedAt: clock.now() };
  await records.write({ collection: AUTHORITIES, puts: [{ id: MESH_ID, value: mesh }], deletes: [], audit });
});
afterEach(async () => {
  for (const closer of closers.splice(0).reverse()) await closer();
  records.close();
});

/** The node `name` as an authority with a CA of its own, which publishes. */
async function authority(name: string): Promise<{ ca: LocalAuthority; publisher: Publisher }> {
  const dir = mkdtempSync(join(tmpdir(), "weft-removed-"));
  const ca = await openAuthority({ dir, trustDomain: "mesh.local", clock });
  const value = { keyHash: dir, authority: true, joinedAt: clock.now(), joinedBy: "uid 0" };
  await records.write({ collection: NODES, puts: [{ id: name, value }], deletes: [removedId(name)], audit });
  const publisher = new Publisher({
    node: name,
    address: () => "",
    local: ca,
    records,
    propagation: { missing: () => ({ connected: [], away: [] }) },
    svidMs: 3_600_000,
    clock,
    onTrouble: (message) => expect(message).toBe(""),
  });
  closers.push(
    () => rmSync(dir, { recursive: true, force: true }),
    () => ca.close(),
    () => publisher.close(),
  );
  await publisher.publish();
  return { ca, publisher };
}

/** The first of the two writes of a removal. */
async function remove(name: string): Promise<void> {
  const value = { keyHash: records.nodes.get(name)?.keyHash ?? "", removedAt: clock.now(), by: "uid 0" };
  await records.write({ collection: NODES, puts: [{ id: removedId(name), value }], deletes: [name], audit });
}

test("An authority of which nothing but its node was removed signs no more, and its roots are on their way out", async () => {
  const { publisher } = await authority("a");
  expect(publisher.signs("x509")).toBe(true);
  const removedAt = clock.now();
  await remove("a");
  expect(records.authorities.get("a")).toMatchObject({ signs: [], removedAt });
  expect(publisher.signs("x509")).toBe(false);
  await publisher.publish();
  expect(records.authorities.get("a")).toMatchObject({ signs: [], removedAt });
});

test("One that was removed, and came back with another root, publishes that when the old one has gone, and does not sign at once, the founder neither", async () => {
  const old = await authority("a");
  await remove("a");
  await old.publisher.close();
  const published = records.authorities.get("a");
  await records.write({
    collection: AUTHORITIES,
    puts: [{ id: "a", value: { ...published, signs: [], removedAt: clock.now() } }],
    deletes: [],
    audit,
  });
  const back = await authority("a");
  expect(records.authorities.get("a")?.x509).toEqual([...old.ca.bundle().x509]);
  await clock.advance(REMOVED_ROOTS_MS);
  await back.publisher.publish();
  expect(records.authorities.get("a")).toMatchObject({ x509: [...back.ca.bundle().x509], signs: [] });
  expect(records.authorities.get("a")?.removedAt).toBeUndefined();
  for (let second = 0; second < 4; second++) {
    await clock.advance(1_000);
    await back.publisher.publish();
  }
  expect(records.authorities.get("a")?.signs).toEqual(["x509"]);
});
