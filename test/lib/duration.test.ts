import { expect, test } from "bun:test";
import { parseDuration, parsePeriod } from "../../src/lib/duration.ts";

const DAY = 86_400_000;

test("a period that people tell weft may be in days, alone or before what Go's durations have", () => {
  for (const [text, ms] of [
    ["90d", 90 * DAY],
    ["1.5d", 1.5 * DAY],
    ["1d12h", 1.5 * DAY],
    ["0d", 0],
    ["24h", DAY],
    ["1h30m", 5_400_000],
    ["0", 0],
    ["-1s", -1000],
  ] as const) {
    expect([text, parsePeriod(text)]).toEqual([text, ms]);
  }
  for (const text of ["", "d", "90", "90D", "1h1d", "1d1d", "1d-1h", "-1d", "1d 1h", " 1d", "1d\n", "3w"]) {
    expect([text, parsePeriod(text)]).toEqual([text, undefined]);
  }
});

test("a duration of Istio's YAML has no days, as Go's have none", () => {
  expect(parseDuration("1d")).toBeUndefined();
});
