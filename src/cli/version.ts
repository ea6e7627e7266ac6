import { buildCommand } from "@stricli/core";
import { BRIEF } from "./briefs.ts";
import { verb } from "./verb.ts";

export const versionCommand = buildCommand({
  docs: { brief: BRIEF.version },
  parameters: {},
  func: verb<Record<never, never>, []>((cli) => {
    cli.print(`weft ${cli.io.version} (bun ${Bun.version}, ${process.platform} ${process.arch})`);
    return 0;
  }),
});
