/** The generator of the differential test, without Envoys: that all it is to generate does occur, and that requests come to it. */
import { expect, setDefaultTimeout, test } from "bun:test";
import type { Place } from "../../scripts/lib/lab/workload.ts";
import { answerTo, meshOf } from "./differential.ts";
import { generateMesh, generateRequest } from "./generate.ts";
import { ACTORS, actorYaml, LISTEN_FOR, SERVICES_YAML } from "./ground.ts";
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
  ...ACTORS.map((actor, index) => {
    const { name, namespace, ports } = actor;
    const address = `10.0.0.${index + 1}`;
    const listen = Object.fromEntries(Object.keys(LISTEN_FOR).map((key, at) => [key, 15_200 + at]));
    const at = (port: number) => ({ address, port });
    const place: Place = { name, namespace, address, ports, outbound: at(15_001), envoyAdmin: at(15_000), listen };
    return actorYaml(actor, place, {});
  }),
].join("---\n");

test("Of the meshes that the differential test generates, every shape occurs, and requests come to it", () => {
  const counter = openCounter();
  for (let index = 0; index < MESHES; index++) {
    const random = randomOf(SEED + index);
    const generated = generateMesh(random, `${index}`, GROUNDS);
    counter.mesh(generated);
    const mesh = meshOf({ base }, generated);
    for (let asked = 0; asked < REQUESTS; asked++) counter.answer(answerTo(mesh, generateRequest(random), NOW));
  }
  expect(missing(counter.census)).toEqual([]);
});
