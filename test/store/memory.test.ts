import { openMemoryStore } from "../../src/store/index.ts";
import { storeContract } from "./contract.ts";
import type { OpenForTest } from "./harness.ts";

const open: OpenForTest = async (options) => {
  const store = openMemoryStore(options);
  return { store, dispose: () => store.close() };
};

storeContract("memory", open);
