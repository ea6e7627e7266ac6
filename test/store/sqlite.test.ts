import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openSqliteStore } from "../../src/store/index.ts";
import { type OpenForTest, storeContract } from "./contract.ts";
import { storeProperty } from "./contract-property.ts";

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
storeProperty("sqlite", open);
