import { storeContract } from "./contract.ts";
import { MemoryEngine } from "./memory-log.ts";
import { replicaOver } from "./replica-harness.ts";

storeContract(
  "replica over a log in memory",
  replicaOver(async () => ({ log: new MemoryEngine().connect() })),
);
