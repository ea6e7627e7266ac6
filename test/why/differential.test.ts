/** `weft why` and real Envoys agree on every request of generated meshes: a new seed each run, $WEFT_WHY_SEED to play one again. */
import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { randomInt } from "node:crypto";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { envoyFor } from "../skip.ts";
import { type Arena, openArena } from "./arena.ts";
import { formatDisagreement, fuzz } from "./differential.ts";

const MESHES = 20;
const REQUESTS = 100;
const LIMIT_MS = 180_000;

const seed = Number(process.env.WEFT_WHY_SEED ?? randomInt(2 ** 31));
const binary = process.env.WEFT_BINARY ?? join(import.meta.dir, "../../dist/weft");
const NAME = "weft why and Envoy agree on every request of generated meshes";

const envoy = envoyFor(`"${NAME}"`);

setDefaultTimeout(LIMIT_MS);

if (envoy === undefined) {
  test.skip(NAME, () => {});
} else {
  let arena: Arena | undefined;
  beforeAll(async () => {
    if (!existsSync(binary)) throw new Error(`${binary} is missing: run scripts/build`);
    arena = await openArena({ binary, envoy });
  });
  afterAll(() => arena?.close());

  test(NAME, async () => {
    if (!arena) throw new Error("the arena did not open");
    console.error(`seed ${seed} (again: WEFT_WHY_SEED=${seed}, more: scripts/fuzz-why --seed ${seed} --meshes 200)`);
    const { requests, verdicts, disagreements } = await fuzz(arena, { seed, meshes: MESHES, requestsPerMesh: REQUESTS, limit: 3 });
    console.error(`seed ${seed}: ${requests} requests, ${JSON.stringify(verdicts)}`);
    expect(disagreements.map(formatDisagreement)).toEqual([]);
    expect(requests).toBe(MESHES * REQUESTS);
    // A run in which hardly anything passes, or hardly anything is refused, would prove little.
    for (const kind of ["allow", "deny", "no_route", "refused"]) expect(Object.keys(verdicts).join()).toContain(kind);
  });
}
