/** What Istio does with a request, weft's Envoys do with it too: recorded verdicts, played on real Envoys. README.md tells more. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { CODES, parseDocuments } from "../../src/model/index.ts";
import { describeMesh } from "../envoy/harness.ts";
import { type Group, groups } from "./cases.ts";
import { play } from "./play.ts";
import { Stage } from "./stage.ts";

const OPEN_LIMIT_MS = 60_000;
const GROUP_LIMIT_MS = 60_000;

/** What weft says it does not translate yet, where that is all that it has against a group; such a group waits for its translation. */
function notTranslatedYet({ name, yaml }: Group): string[] {
  const errors = parseDocuments(yaml, name).problems.filter(({ severity }) => severity === "error");
  return errors.every(({ code }) => code === CODES.notYet.code) ? [...new Set(errors.map(({ message }) => message))] : [];
}

const waiting = groups.filter((group) => notTranslatedYet(group).length > 0);

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
    console.error(`SKIPPED ${waiting.length} groups: weft refuses what they use as not translated yet`);
  });

  for (const group of groups) {
    const body = async () => {
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
    };
    if (waiting.includes(group)) test.skip(group.name, body);
    else test(group.name, body, GROUP_LIMIT_MS);
  }
});
