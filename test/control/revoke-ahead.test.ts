/** Revoking what is not there, as the command line tells it. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { weft as run } from "../cli/harness.ts";
import { openTestWeft, type TestWeft } from "./weft.ts";

let weft: TestWeft;
beforeAll(async () => {
  weft = await openTestWeft();
  const entry =
    "apiVersion: networking.istio.io/v1\nkind: WorkloadEntry\nmetadata: {name: web-1}\nspec: {address: 10.0.0.1, serviceAccount: web}\n";
  expect((await weft.ask("POST", "/v1/apply", entry)).status).toBe(200);
});
afterAll(() => weft.close());
const token = (...flags: string[]) => run(["token", ...flags, "--data", weft.data]);

test("a workload that never was is not revoked, which exit 1 and the text say; --ignore-not-found revokes it ahead", async () => {
  for (const [flag, kind] of [
    ["--workload", "workload"],
    ["--workload-group", "WorkloadGroup"],
  ] as const) {
    const refused = await token(flag, "ghost", "--revoke");
    expect([refused.code, refused.out]).toEqual([1, ""]);
    expect(refused.err).toContain(`there is no ${kind} default/ghost, and there was none: nothing was revoked`);
    expect(refused.err).toContain("--ignore-not-found");
    const ahead = await token(flag, "ghost", "--revoke", "--ignore-not-found");
    expect([ahead.code, ahead.out]).toEqual([0, `all tokens of ${kind} default/ghost are revoked; 0 streams were ended\n`]);
  }
  const { json } = await weft.ask("GET", "/v1/audit?last=20");
  const revoked = (json.records as { action: string; outcome: string; targets: string[] }[]).filter(
    ({ action, outcome }) => action === "revoke-token" && outcome === "done",
  );
  expect(revoked.map(({ targets }) => targets[0])).toEqual(["workload default/ghost", "WorkloadGroup default/ghost"]);
});

test("a workload that is gone is revoked without further ado: its tokens would be good for one of its name", async () => {
  await weft.ask("DELETE", "/v1/resources/WorkloadEntry/default/web-1");
  expect((await token("--workload", "web-1", "--revoke")).code).toBe(0);
});

test("--ignore-not-found goes with --revoke alone", async () => {
  expect((await token("--workload", "web-1", "--ignore-not-found")).code).toBe(2);
});

test("tokens may be good for days: --ttl 90d", async () => {
  const made = await run(["access", "create", "ci", "--role", "viewer", "--ttl", "2d", "--data", weft.data]);
  expect(made.code).toBe(0);
  const until = Date.parse(/good until (\S+)/.exec(made.err)?.[1] ?? "");
  expect(Math.abs(until - Date.now() - 2 * 86_400_000)).toBeLessThan(600_000);
});
