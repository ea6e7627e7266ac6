/** The same resources in any order give the same bytes. */
import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { randomInt } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { buildMesh } from "../../src/mesh/build.ts";
import { KINDS } from "../../src/model/index.ts";
import { ALL_ABILITIES, abilitiesOf } from "../../src/xds/envoy-version.ts";
import { buildSnapshot } from "../../src/xds/snapshot.ts";
import { OPTIONS, resourcesOf } from "../mesh/harness.ts";
import { type Random, randomOf } from "../why/random.ts";

const SHUFFLES = 1_000;
// Fifteen seconds on a machine of its own; this one may be busy.
setDefaultTimeout(600_000);

const resources = resourcesOf(readFileSync(join(import.meta.dir, "every-kind.yaml"), "utf8"));

/** With whole route tables, and with virtual hosts one by one. */
const ENVOYS = [ALL_ABILITIES, abilitiesOf("1.40.0", "delta")];

/** Type, name, lines and bytes of all that every proxy gets, in the order in which it gets them. */
function everything(order: readonly number[]): string {
  // Copies: what was made of these very objects before would be found again, in the order of that time.
  const copies = order.map((index) => structuredClone(resources[index])).filter((one) => one !== undefined);
  const mesh = buildMesh(copies, OPTIONS);
  const hash = new Bun.CryptoHasher("sha256");
  for (const workload of mesh.workloads.keys()) {
    hash.update(`proxy ${workload}\n`);
    const snapshots = ENVOYS.map((abilities) => buildSnapshot(mesh, workload, [], abilities));
    for (const [typeUrl, byName] of snapshots.flatMap((snapshot) => [...(snapshot?.resources ?? [])])) {
      for (const { name, sources, any } of byName.values()) {
        hash.update(`${typeUrl} ${name} ${JSON.stringify(sources)} ${any.length}\n`).update(any);
      }
    }
  }
  return hash.digest("hex");
}

function shuffled(random: Random, all: readonly number[]): number[] {
  const left = [...all];
  return all.flatMap(() => left.splice(random.below(left.length), 1));
}

const written = resources.map((_, index) => index);

describe("A mesh with resources of every kind", () => {
  test("has some of each kind that weft takes, so that none is left out of the shuffles", () => {
    expect([...new Set(resources.map(({ kind }) => kind))].sort()).toEqual(
      Object.values(KINDS)
        .map(({ kind }) => kind)
        .sort(),
    );
  });

  test("gives every proxy the same bytes in 1,000 orders of its resources", () => {
    const expected = everything(written);
    const seed = randomInt(2 ** 31);
    const different: string[] = [];
    for (let index = 0; index < SHUFFLES && different.length === 0; index++) {
      const order = shuffled(randomOf(seed + index), written);
      if (everything(order) !== expected) different.push(`seed ${seed + index}: ${JSON.stringify(order)}`);
    }
    expect(different).toEqual([]);
  });
});
