/** A node without others: the founder of a mesh, and a weft that is in none. */
import { afterEach, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openAuthority } from "../../src/ca/index.ts";
import { Cluster } from "../../src/control/cluster.ts";
import { systemClock } from "../../src/lib/clock.ts";
import { openMemoryStore } from "../../src/store/index.ts";
import { openTestWeft } from "../control/weft.ts";

const closers: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

test("The founder of a mesh has its certificate of its own CA, and warns of nothing", async () => {
  const data = mkdtempSync(join(tmpdir(), "weft-founder-"));
  closers.push(() => rmSync(data, { recursive: true, force: true }));
  const warnings: string[] = [];
  const cluster = await Cluster.open({
    data,
    state: { name: "a" },
    trustDomain: "mesh.local",
    store: openMemoryStore({ clock: systemClock }),
    revokedAt: () => 0,
    encryption: undefined,
    takeOver: false,
    svidMs: 3_600_000,
    cards: () => new Map(),
    revision: () => 0,
    clock: systemClock,
    random: () => 0.5,
    log: { info: () => {}, warning: (message) => warnings.push(message) },
  });
  closers.push(() => cluster.close());
  const authority = await cluster.authorityOver({ missing: () => ({ connected: [], away: [] }) }, (propagation) =>
    openAuthority({ dir: data, trustDomain: "mesh.local", clock: systemClock, propagation }),
  );
  closers.push(() => authority.close());
  expect(cluster.certificate.notAfter).toBeGreaterThan(systemClock.now());
  expect(warnings).toEqual([]);
  expect(authority.warnings()).toEqual([]);
});

test("A weft with a store of its own has no other nodes to remove, and does not remove itself", async () => {
  const weft = await openTestWeft();
  closers.push(() => weft.close());
  const other = await weft.ask("DELETE", "/v1/nodes/edge-7");
  expect([other.status, other.json.detail]).toEqual([404, expect.stringMatching(/^there is no node edge-7: .* has no other nodes$/)]);
  const { json } = await weft.ask("GET", "/v1/nodes");
  const [{ name: own }] = json.items as [{ name: string }];
  const itself = await weft.ask("DELETE", `/v1/nodes/${own}`);
  expect([itself.status, itself.json.detail]).toEqual([409, expect.stringContaining("is this weft itself")]);
});
