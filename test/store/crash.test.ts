import { expect, test } from "bun:test";
import { join } from "node:path";
import { systemClock } from "../../src/lib/clock.ts";
import { openSqliteStore } from "../../src/store/index.ts";
import { brokenAt, whole } from "./contract-audit.ts";
import { idOf } from "./harness.ts";
import { startChild, temporaryDirectories } from "./temporary.ts";

const temporary = temporaryDirectories();

test("a kill -9 in the midst of applies loses nothing that was acknowledged, and leaves no half of a transaction", async () => {
  const path = join(temporary(), "weft.db");
  let acknowledged = 0;
  for (let round = 1; round <= 4; round++) {
    const { child, lines } = startChild("apply-forever", path);
    const enough = acknowledged + 15 * round;
    for await (const line of lines) {
      acknowledged = Number(line);
      // Lines that were on their way at the kill are read too: each was acknowledged.
      if (acknowledged >= enough) child.kill("SIGKILL");
    }
    await child.exited;
    expect(child.signalCode).toBe("SIGKILL");

    const store = await openSqliteStore({ path, clock: systemClock });
    const { revision, resources } = await store.list();
    expect(acknowledged).toBeGreaterThanOrEqual(enough);
    expect(revision).toBeGreaterThanOrEqual(acknowledged);
    expect(resources).toHaveLength(3 * revision + 1);
    expect((await store.get(idOf("counter")))?.document.spec).toBe(revision);
    const history = await store.history();
    expect(history).toHaveLength(4 * revision);
    expect(new Set(history.map((entry) => entry.revision)).size).toBe(revision);
    await store.close();
  }
}, 30_000);

test("a kill -9 in the midst of applies that share commits loses none that was acknowledged, nor its history and audit", async () => {
  const path = join(temporary(), "weft.db");
  const acknowledged = new Map<string, number>();
  for (let round = 1; round <= 4; round++) {
    const { child, lines } = startChild("apply-together", path);
    const enough = acknowledged.size + 100 * round;
    for await (const line of lines) {
      const [name = "", revision] = line.split(" ");
      acknowledged.set(name, Number(revision));
      if (acknowledged.size >= enough) child.kill("SIGKILL");
    }
    await child.exited;
    expect(child.signalCode).toBe("SIGKILL");

    const store = await openSqliteStore({ path, clock: systemClock });
    const { revision, resources } = await store.list();
    expect(acknowledged.size).toBeGreaterThanOrEqual(enough);
    const stored = new Map(resources.map((resource) => [resource.name, resource.revision]));
    expect([...acknowledged].filter(([name, at]) => stored.get(name) !== at)).toEqual([]);
    // One resource, one line of history and one record for each revision: no half of any.
    expect(resources).toHaveLength(revision);
    expect((await store.history()).map((entry) => entry.revision)).toEqual(
      Array.from({ length: revision }, (_, index) => revision - index),
    );
    expect((await whole(store)).map((record) => record.revision)).toEqual(Array.from({ length: revision }, (_, index) => index + 1));
    expect(await brokenAt(store)).toBeUndefined();
    await store.close();
  }
}, 60_000);
