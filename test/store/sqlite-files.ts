/** Database files for the tests of what may be wrong with one. */
import { Database } from "bun:sqlite";
import { closeSync, openSync, writeSync } from "node:fs";
import { systemClock } from "../../src/lib/clock.ts";
import { openSqliteStore } from "../../src/store/index.ts";
import { put } from "./harness.ts";

export const open = (path: string) => openSqliteStore({ path, clock: systemClock });

/** Makes a closed database of 100 resources at `path`. @returns the path */
export async function filled(path: string, letters = 1_000): Promise<string> {
  const store = await open(path);
  const puts = Array.from({ length: 100 }, (_, index) => put(`vs-${index}`, { marker: `marker-${index}-`, text: "x".repeat(letters) }));
  await store.apply({ puts, deletes: [], who: "test" });
  await store.close();
  return path;
}

export function edit(path: string, sql: string): void {
  const database = new Database(path);
  database.run(sql);
  database.close();
}

export function overwrite(path: string, position: number, bytes: Buffer): void {
  const file = openSync(path, "r+");
  writeSync(file, bytes, 0, bytes.length, position);
  closeSync(file);
}
