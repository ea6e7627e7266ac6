/** The demo: main.ts WEFT ENVOY [--check]. Exit codes: lab/show.ts. */
import { runShow } from "../lab/show.ts";
import { formatNextSteps } from "./next-steps.ts";
import { PROOFS } from "./proofs.ts";
import { startTown } from "./town.ts";

const [binary = "", envoy = "", ...flags] = process.argv.slice(2);
await runShow({
  name: "demo",
  check: flags.includes("--check"),
  start: ({ directory, processes, progress }) => startTown({ binary, envoy, directory, progress }, processes),
  proofs: PROOFS,
  nextSteps: formatNextSteps,
  main: ({ weft }) => weft.process(),
  secret: ["data"],
});
