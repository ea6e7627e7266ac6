import { openMemoryStore } from "../../src/store/index.ts";
import { type OpenForTest, storeContract } from "./contract.ts";
import { storeProperty } from "./contract-property.ts";

const open: OpenForTest = async (options) => {
  const store = openMemoryStore(options);
  return { store, dispose: () => store.close() };
};

storeContract("memory", open);
storeProperty("memory", open);
