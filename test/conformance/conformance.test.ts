/** What Istio does with a request, weft's Envoys do with it too: recorded verdicts, played on real Envoys. README.md tells more. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { describeMesh } from "../envoy/harness.ts";
import { groups } from "./cases.ts";
import { play } from "./play.ts";
import { Stage } from "./stage.ts";

const OPEN_LIMIT_MS = 60_000;
const GROUP_LIMIT_MS = 60_000;

describeMesh("Istio's recorded verdict", (lab) => {
  let stage: Stage | undefined;
  let agreed = 0;
  let late = 0;

  beforeAll(async () => {
    stage = new Stage(lab());
    await stage.open();
  }, OPEN_LIMIT_MS);

  afterAll(() => {
    stage?.close();
    console.error(`${agreed} of ${groups.length} groups agree; ${late} cases agreed only after a moment`);
  });

  for (const group of groups) {
    test(
      group.name,
      async () => {
        if (!stage) throw new Error("the stage did not open");
        await stage.play(group);
        const differences: string[] = [];
        for (const one of group.cases) {
          const difference = await play(stage, one, () => {
            late += 1;
          });
          if (difference) differences.push(difference);
        }
        expect(differences, `${group.source}\n${group.yaml}`).toEqual([]);
        agreed += 1;
      },
      GROUP_LIMIT_MS,
    );
  }
});
