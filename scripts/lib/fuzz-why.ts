/** The command line of scripts/fuzz-why. Exit 0 where `weft why` and Envoy agree on every request. */
import { randomInt } from "node:crypto";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { openArena } from "../../test/why/arena.ts";
import { formatDisagreement, fuzz } from "../../test/why/differential.ts";

const { values } = parseArgs({
  options: {
    seed: { type: "string" },
    meshes: { type: "string", default: "200" },
    requests: { type: "string", default: "100" },
    limit: { type: "string", default: "5" },
  },
});
const seed = values.seed === undefined ? randomInt(2 ** 31) : Number(values.seed);
const envoy = process.env.WEFT_ENVOY ?? Bun.which("envoy");
if (!envoy) throw new Error("no Envoy: set WEFT_ENVOY, or run scripts/setup --envoy");
const binary = process.env.WEFT_BINARY ?? join(import.meta.dir, "../../dist/weft");

console.log(`seed ${seed}`);
const began = performance.now();
const arena = await openArena({ binary, envoy });
try {
  const { meshes, requests, verdicts, census, disagreements } = await fuzz(arena, {
    seed,
    meshes: Number(values.meshes),
    requestsPerMesh: Number(values.requests),
    limit: Number(values.limit),
    onMesh: (index, count) => {
      if ((index + 1) % 20 === 0) console.log(`${index + 1} meshes, ${count} requests`);
    },
  });
  for (const one of disagreements) console.log(`\n${formatDisagreement(one)}`);
  const seconds = ((performance.now() - began) / 1000).toFixed(1);
  console.log(`seed ${seed}: ${meshes} meshes, ${requests} requests, ${disagreements.length} disagreements, ${seconds} s`);
  console.log(JSON.stringify(verdicts));
  for (const [what, counts] of Object.entries({ "meshes with": census.written, "requests that came to": census.reached })) {
    console.log(
      `${what} ${Object.entries(counts)
        .map(([shape, count]) => `${shape}: ${count}`)
        .join(", ")}`,
    );
  }
  process.exitCode = disagreements.length > 0 ? 1 : 0;
} finally {
  await arena.close();
}
