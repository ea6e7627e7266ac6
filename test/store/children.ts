/** Programs that the tests of crashes run as processes of their own: `bun children.ts VERB ARGS`. Each line on stdout is a fact. */

import { systemClock } from "../../src/lib/clock.ts";
import { WeftError } from "../../src/lib/errors.ts";
import { lockDirectory } from "../../src/lib/lock.ts";
import { openSqliteStore } from "../../src/store/index.ts";
import { put } from "./harness.ts";

const [verb = "", path = ""] = process.argv.slice(2);

/** Applies for ever; prints a revision only after it was acknowledged. */
async function applyForever(): Promise<never> {
  const store = await openSqliteStore({ path, clock: systemClock });
  const { revision } = await store.list();
  for (let next = revision + 1; ; next++) {
    const puts = ["a", "b", "c"].map((name) => put(`${name}-${next}`, { next, padding: "x".repeat((next * 37) % 3000) }));
    const result = await store.apply({ puts: [...puts, put("counter", next)], deletes: [], who: "child" });
    process.stdout.write(`${result.revision}\n`);
    // The pipe is written to between two applies.
    await new Promise((resolve) => setImmediate(resolve));
  }
}

/** Thirty callers apply at once, again and again; prints the name of each resource after its apply was acknowledged. */
async function applyTogether(): Promise<void> {
  const store = await openSqliteStore({ path, clock: systemClock });
  const { revision } = await store.list();
  const caller = async (id: number) => {
    for (let next = 1; ; next++) {
      const name = `r${revision}-c${id}-${next}`;
      const result = await store.apply({ puts: [put(name, "x".repeat((next * 131 * id) % 3000))], deletes: [], who: "child" });
      process.stdout.write(`${name} ${result.revision}\n`);
    }
  };
  await Promise.all(Array.from({ length: 30 }, (_, id) => caller(id)));
}

async function holdLock(): Promise<void> {
  try {
    await lockDirectory(path);
    console.log("locked");
    setInterval(() => {}, 60_000);
  } catch (reason) {
    console.log(reason instanceof WeftError ? `${reason.code}: ${reason.message}` : String(reason));
  }
}

/** As the user nobody, for whom permissions hold even where the tests run as root. */
async function openAsNobody(): Promise<void> {
  process.setgid?.(65534);
  process.setuid?.(65534);
  try {
    await openSqliteStore({ path, clock: systemClock });
    console.log("opened");
  } catch (reason) {
    console.log(reason instanceof WeftError ? `${reason.code}: ${reason.message}` : String(reason));
  }
}

if (verb === "apply-forever") await applyForever();
else if (verb === "apply-together") await applyTogether();
else if (verb === "hold-lock") await holdLock();
else if (verb === "open-as-nobody") await openAsNobody();
else throw new Error(`unknown verb ${verb}`);
