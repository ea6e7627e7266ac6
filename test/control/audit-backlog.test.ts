import { expect, test } from "bun:test";
import { appendFileSync, existsSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { waitFor } from "../../scripts/lib/lab/wait.ts";
import { AuditBacklog } from "../../src/control/audit-backlog.ts";
import { AuditTrail } from "../../src/control/audit-trail.ts";
import { systemClock } from "../../src/lib/clock.ts";
import { openReplica } from "../../src/store/replica/index.ts";
import { MemoryEngine } from "../store/memory-log.ts";
import { temporaryDirectories } from "../store/temporary.ts";

const temporary = temporaryDirectories();

const DEED = { who: "uid 0", from: "admin.sock", action: "issue-token", targets: ["workload default/orders-1"] };

/** A node on an engine that can be away, with its data in `directory`. */
async function startNode(engine: MemoryEngine, directory: string) {
  const store = await openReplica({ path: join(directory, "weft.db"), log: engine.connect(), clock: systemClock });
  const troubles: string[] = [];
  const path = join(directory, "audit-backlog.jsonl");
  const backlog = new AuditBacklog({ store, path, clock: systemClock, onTrouble: (message) => troubles.push(message) });
  const trail = new AuditTrail({ store, clock: systemClock, backlog });
  const records = async () => (await store.readAudit({ after: 0, limit: 100 })).records;
  const isInTouch = (wanted: boolean) => waitFor("the standing", () => store.standing?.().inTouch === wanted);
  const stop = async () => {
    await trail.close();
    await backlog.close();
    await store.close();
  };
  return { store, path, trail, records, isInTouch, stop, troubles };
}

test("a node whose store is away does what its workloads need, and the audit has it when the store is back, also after a restart", async () => {
  const engine = new MemoryEngine();
  const directory = temporary();
  const node = await startNode(engine, directory);
  await node.trail.done({ ...DEED, targets: ["before"] });
  engine.away = true;
  await node.isInTouch(false);
  await node.trail.done(DEED);
  await node.trail.often({ ...DEED, action: "issue-jwt-svid" });
  node.trail.refused({ ...DEED, action: "apply", reason: "unavailable: away" });
  await node.stop();
  expect(statSync(node.path).mode & 0o777).toBe(0o600);
  expect(readFileSync(node.path, "utf8").trim().split("\n")).toHaveLength(3);

  // As a process leaves it that was ended in the midst of a line.
  appendFileSync(node.path, '{"who":"uid');
  const again = await startNode(engine, directory);
  await again.trail.done({ ...DEED, targets: ["after the restart"] });
  expect(await again.records()).toHaveLength(1);
  engine.away = false;
  await again.isInTouch(true);
  const records = await waitFor("the records", again.records, (all) => all.length === 5);
  const late = expect.stringMatching(/on record later, it was at 20\d\d-/);
  expect(records).toMatchObject([
    { targets: ["before"] },
    { ...DEED, outcome: "done", reason: late },
    { action: "issue-jwt-svid", outcome: "done", reason: late },
    { action: "apply", outcome: "refused", reason: expect.stringMatching(/^unavailable: away \(on record later/) },
    { targets: ["after the restart"], reason: late },
  ]);
  await waitFor("the backlog to be gone", () => !existsSync(again.path));
  await again.trail.done(DEED);
  expect((await again.records()).at(-1)?.reason).toBeUndefined();
  await again.stop();
});

test("what cannot be kept on the node either is not done", async () => {
  const engine = new MemoryEngine();
  const directory = temporary();
  const node = await startNode(engine, directory);
  engine.away = true;
  await node.isInTouch(false);
  await Bun.$`mkdir ${node.path}`;
  expect(node.trail.done(DEED)).rejects.toMatchObject({ code: "unavailable", message: expect.stringContaining("audit-backlog.jsonl") });
  await node.stop();
});
