/** What Istio does with a request, weft's Envoys do with it too: recorded verdicts, played on real Envoys. README.md tells more. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { CODES, parseDocuments } from "../../src/model/index.ts";
import { describeMesh } from "../envoy/harness.ts";
import { type Group, groups } from "./cases.ts";
import { play } from "./play.ts";
import { Stage } from "./stage.ts";

const OPEN_LIMIT_MS = 60_000;
const GROUP_LIMIT_MS = 60_000;

/** What of a group weft does not translate yet, where that is all that it has against the group: such a group waits for its translation. */
function notTranslatedYet({ name, yaml }: Group): string[] {
  const errors = parseDocuments(yaml, name).problems.filter(({ severity }) => severity === "error");
  if (!errors.every(({ code }) => code === CODES.notYet.code)) return [];
  return [...new Set(errors.map(({ message }) => message.replace(/\[\d+\]/g, "[]").replace(/:? (is|are) not translated yet$/, "")))].sort();
}

const waiting = new Map(groups.map((group) => [group, notTranslatedYet(group)] as const).filter(([, reasons]) => reasons.length > 0));

/** "24 spec.http[].directResponse, 9 kind: kind RequestAuthentication": how many groups wait for each. */
function reasonsToWait(): string {
  const counts = new Map<string, number>();
  for (const reason of [...waiting.values()].flat()) counts.set(reason, (counts.get(reason) ?? 0) + 1);
  const sorted = [...counts].sort(([, a], [, b]) => b - a);
  return sorted.map(([reason, count]) => `${count} ${reason}`).join(", ");
}

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
    if (waiting.size > 0) console.error(`SKIPPED ${waiting.size} groups, as they use what is not translated yet: ${reasonsToWait()}`);
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
    if (waiting.has(group)) test.skip(group.name, body);
    else test(group.name, body, GROUP_LIMIT_MS);
  }
});
