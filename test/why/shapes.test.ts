/** The generator of the differential test, without Envoys: that all it is to generate does occur, and that requests come to it. */
import { expect, setDefaultTimeout, test } from "bun:test";
import type { Place } from "../../scripts/lib/lab/workload.ts";
import { workloadEntryYaml } from "../../scripts/lib/lab/workload.ts";
import { why } from "../../src/why/index.ts";
import { meshOf, questionOf } from "./differential.ts";
import { generateMesh, generateRequest } from "./generate.ts";
import { ACTORS, LISTEN_FOR, SERVICES_YAML } from "./ground.ts";
import { randomOf } from "./random.ts";
import { missing, openCounter } from "./shapes.ts";

setDefaultTimeout(120_000);

const SEED = 4;
const MESHES = 120;
const REQUESTS = 60;
const NOW = Date.parse("2026-06-01T00:00:00Z");
const GROUNDS = { external: { address: "10.0.1.1", port: 80 } };

/** The arena's workloads, at addresses where nobody is. */
const base = [
  SERVICES_YAML,
  ...ACTORS.map(({ name, namespace, labels, serviceAccount, locality, ports }, index) => {
    const address = `10.0.0.${index + 1}`;
    const listen = Object.fromEntries(Object.keys(LISTEN_FOR).map((key, at) => [key, 15_200 + at]));
    const at = (port: number) => ({ address, port });
    const place: Place = { name, namespace, address, ports, outbound: at(15_001), envoyAdmin: at(15_000), listen };
    return workloadEntryYaml({ place, labels, serviceAccount, locality, apps: {}, listenFor: LISTEN_FOR });
  }),
].join("---\n");

test("Of the meshes that the differential test generates, every shape occurs, and requests come to it", () => {
  const counter = openCounter();
  for (let index = 0; index < MESHES; index++) {
    const random = randomOf(SEED + index);
    const generated = generateMesh(random, `${index}`, GROUNDS);
    counter.mesh(generated);
    const mesh = meshOf({ base }, generated);
    for (let asked = 0; asked < REQUESTS; asked++) counter.answer(why(mesh, questionOf(generateRequest(random)), { now: NOW }));
  }
  expect(missing(counter.census)).toEqual([]);
});
