import { buildCommand } from "@stricli/core";
import type { ApplyOutcome, ControlPlane } from "../admin/control-plane.ts";
import { sleep } from "../lib/clock.ts";
import { formatProblem } from "../lib/problem.ts";
import { BRIEF } from "./briefs.ts";
import { type AdminClient, type ConnectFlags, connect, connectFlags, WRITE_LIMIT_MS } from "./client.ts";
import { type FileFlags, fileFlag, readInputs } from "./files.ts";
import { nackLines } from "./nacks.ts";
import { clean } from "./output.ts";
import { type Cli, UsageError, verb } from "./verb.ts";
import { parseWait } from "./wait.ts";

interface Flags extends ConnectFlags, FileFlags {
  readonly dryRun: boolean;
  readonly wait?: number;
}

const DEFAULT_WAIT_MS = 30_000;
/** Most changes are ACKed within milliseconds, so asking starts quickly and slows down. */
const FIRST_POLL_MS = 10;
const LONGEST_POLL_MS = 250;

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
      "With --wait it goes on until every connected proxy has ACKed the change or refused it; exit 1 on a refusal or time-out.",
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

/** Asks until no proxy's answer is pending, then reports. */
async function waitFor(cli: Cli, client: AdminClient, revision: number, limitMs: number): Promise<number> {
  const { clock } = cli.io;
  const end = clock.monotonic() + limitMs;
  let pause = FIRST_POLL_MS;
  while (true) {
    const state = await client.call<ReturnType<ControlPlane["convergence"]>>("/v1/convergence", { query: { revision: String(revision) } });
    if (state.pending.length === 0 || clock.monotonic() >= end) {
      if (state.acked.length > 0) cli.print(clean(`ACK      ${state.acked.join(", ")}`));
      for (const proxy of state.nacked) cli.print(`NACK     ${nackLines(proxy).join("\n")}`);
      for (const proxy of state.still_nacked) cli.print(`note     still refused, from before this change: ${nackLines(proxy).join("\n")}`);
      if (state.pending.length > 0) cli.print(clean(`PENDING  ${state.pending.join(", ")} (no answer within ${limitMs / 1000} s)`));
      if (state.acked.length + state.nacked.length + state.pending.length === 0) cli.print("no proxy is connected");
      return state.nacked.length > 0 || state.pending.length > 0 ? 1 : 0;
    }
    await sleep(clock, pause);
    pause = Math.min(pause * 2, LONGEST_POLL_MS);
  }
}
