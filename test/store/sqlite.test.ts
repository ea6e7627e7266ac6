import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openSqliteStore } from "../../src/store/index.ts";
import { storeContract } from "./contract.ts";
import type { OpenForTest } from "./harness.ts";

const open: OpenForTest = async (options) => {
  const directory = mkdtempSync(join(tmpdir(), "weft-store-"));
  const store = await openSqliteStore({ path: join(directory, "weft.db"), ...options });
  const dispose = async () => {
    await store.close();
    rmSync(directory, { recursive: true });
  };
  return { store, dispose };
};

storeContract("sqlite", open);
