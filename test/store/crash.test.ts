import { expect, test } from "bun:test";
import { join } from "node:path";
import { systemClock } from "../../src/lib/clock.ts";
import { openSqliteStore } from "../../src/store/index.ts";
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
