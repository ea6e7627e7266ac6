/** The file of what an engine lost. */
import { expect, test } from "bun:test";
import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { parseAllDocuments } from "yaml";
import { writeLostChanges } from "../../src/store/replica/lost-changes.ts";
import { idOf } from "./harness.ts";
import { temporaryDirectories } from "./temporary.ts";

const temporary = temporaryDirectories();

test("has what can be applied again, and of a Secret its name alone: as it is stored it is sealed", () => {
  const directory = temporary();
  const rowOf = (kind: string, document: object) => ({
    revision: 7,
    sequence: 0,
    action: "updated" as const,
    who: "uid 0",
    at: "2026-01-01T00:00:00Z",
    row: {
      ...idOf("a"),
      kind,
      document: JSON.stringify({ kind, ...document }),
      hash: "",
      source: "{}",
      uid: "1",
      revision: 7,
      createdAt: "",
      updatedAt: "",
    },
  });
  const rows = [rowOf("VirtualService", { spec: 1 }), rowOf("Secret", { spec: { data: { "tls.key": "sealed:AAAA" } } })];
  writeLostChanges(join(directory, "weft.db"), { rows, records: [] }, { engine: "redis://x", at: "2026-01-01T00:00:00Z" });
  const [file = ""] = readdirSync(directory);
  const text = readFileSync(join(directory, file), "utf8");
  expect(parseAllDocuments(text).flatMap((one) => (one.toJSON() === null ? [] : [one.toJSON()]))).toEqual([
    { kind: "VirtualService", spec: 1 },
  ]);
  expect(text).toContain("# Secret default/a updated at revision 7 by uid 0");
  expect(text).not.toContain("sealed:");
  expect(statSync(join(directory, file)).mode & 0o777).toBe(0o600);
});
