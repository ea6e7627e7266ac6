import { buildCommand } from "@stricli/core";
import type { ApplyOutcome } from "../admin/control-plane.ts";
import { formatProblem } from "../lib/problem.ts";
import { BRIEF } from "./briefs.ts";
import { type AdminClient, type ConnectFlags, connect, connectFlags, WRITE_LIMIT_MS } from "./client.ts";
import { type FileFlags, fileFlag, readInputs } from "./files.ts";
import { clean } from "./output.ts";

import { UsageError, verb } from "./verb.ts";
import { parseWait, waitFor } from "./wait.ts";

interface Flags extends ConnectFlags, FileFlags {
  readonly dryRun: boolean;
  readonly wait?: number;
}

const DEFAULT_WAIT_MS = 30_000;

/** All files as one form, which the API applies in one transaction, each under the name that the user gave it. */
export function sendFiles(client: AdminClient, files: Awaited<ReturnType<typeof readInputs>>, dryRun: boolean): Promise<ApplyOutcome> {
  const body = new FormData();
  for (const { file, bytes } of files) body.append("file", new File([new Uint8Array(bytes)], file, { type: "application/yaml" }));
  return client.call<ApplyOutcome>("/v1/apply", { method: "POST", body, limitMs: WRITE_LIMIT_MS, query: dryRun ? { dryRun: "true" } : {} });
}

export const applyCommand = buildCommand({
  docs: {
    brief: BRIEF.apply,
    fullDescription:
      "Creates and updates every resource of the files, or none where one is wrong.\n" +
      "With --wait it goes on until every connected proxy of the mesh has ACKed the change or refused it; exit 1 on a refusal or time-out, and where a node\n" +
      "does not tell.",
  },
  parameters: {
    flags: {
      file: fileFlag,
      dryRun: { kind: "boolean", default: false, withNegated: false, brief: "Validate and compare, but change nothing" },
      wait: {
        kind: "parsed",
        parse: parseWait(DEFAULT_WAIT_MS),
        inferEmpty: true,
        optional: true,
        brief: "Wait until proxies ACKed it, 30s where no time is given",
        placeholder: "TIME",
      },
      ...connectFlags,
    },
    aliases: { f: "file" },
  },
  func: verb<Flags, []>(async (cli, flags) => {
    if (flags.dryRun && flags.wait !== undefined) throw new UsageError("--dry-run changes nothing: there is nothing to --wait for");
    const files = await readInputs(cli.io, flags.file);
    const client = await connect(cli.io, flags);
    const outcome = await sendFiles(client, files, flags.dryRun);
    for (const problem of outcome.problems) cli.complain(clean(formatProblem(problem)));
    for (const { kind, namespace, name, action } of outcome.applied) {
      cli.print(clean(`${kind} ${namespace}/${name} ${action}${flags.dryRun ? " (dry run)" : ""}`));
    }
    if (outcome.applied.length === 0) cli.print("nothing to apply: the input holds no resource");
    if (flags.dryRun) return 0;
    cli.print(`revision ${outcome.revision}`);
    for (const { proxy, reason } of outcome.needs_restart ?? []) {
      cli.print(clean(`RESTART  ${proxy}: ${reason}; it holds when \`weft proxy run ${proxy}\` is started again`));
    }
    return flags.wait === undefined ? 0 : await waitFor(cli, client, outcome.revision, flags.wait);
  }),
});
