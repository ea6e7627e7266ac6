import { buildCommand } from "@stricli/core";
import type { DeleteOutcome } from "../admin/control-plane.ts";
import { WeftError } from "../lib/errors.ts";
import { BRIEF } from "./briefs.ts";
import { type ConnectFlags, connect, connectFlags, WRITE_LIMIT_MS } from "./client.ts";
import { parseFiles } from "./documents.ts";
import { fileFlag, readInputs } from "./files.ts";
import { namespaceFlag, parseKind, parseText, proposeKinds } from "./names.ts";
import { clean } from "./output.ts";
import { type Cli, UsageError, verb } from "./verb.ts";

interface Flags extends ConnectFlags {
  readonly file?: readonly string[];
  readonly namespace?: string;
  readonly dryRun: boolean;
}

interface Target {
  readonly kind: string;
  readonly namespace: string;
  readonly name: string;
}

const shown = ({ kind, namespace, name }: Target) => clean(`${kind} ${namespace}/${name}`);

export const deleteCommand = buildCommand({
  docs: {
    brief: BRIEF.delete,
    customUsage: ["KIND NAME [-n NS]", "-f FILE|DIR|-"],
    fullDescription:
      "Deletes one resource by name, or in one transaction all that the files name. Exit 1 where one is not there; the others are deleted.",
  },
  parameters: {
    flags: {
      file: { ...fileFlag, optional: true },
      namespace: { ...namespaceFlag, brief: 'Namespace, "default" where absent' },
      dryRun: { kind: "boolean", default: false, withNegated: false, brief: "Say what would be deleted, but delete nothing" },
      ...connectFlags,
    },
    aliases: { f: "file", n: "namespace" },
    positional: {
      kind: "tuple",
      parameters: [
        { parse: parseText, placeholder: "KIND", brief: "VirtualService, vs, ...", optional: true, proposeCompletions: proposeKinds },
        { parse: parseText, placeholder: "NAME", brief: "The resource's name", optional: true },
      ],
    },
  },
  func: verb<Flags, [string | undefined, string | undefined]>(async (cli, flags, kind, name) => {
    const targets = await targetsOf(cli, flags, kind, name);
    const client = await connect(cli.io, flags);
    const { revision, applied, missing } = await client.call<DeleteOutcome>("/v1/delete", {
      method: "POST",
      limitMs: WRITE_LIMIT_MS,
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ items: targets }),
      query: flags.dryRun ? { dryRun: "true" } : {},
    });
    for (const one of applied) cli.print(`${shown(one)} deleted${flags.dryRun ? " (dry run)" : ""}`);
    if (applied.length > 0 && !flags.dryRun) cli.print(`revision ${revision}`);
    for (const one of missing) cli.complain(`weft: ${shown(one)} is not there`);
    return missing.length > 0 ? 1 : 0;
  }),
});

async function targetsOf(cli: Cli, flags: Flags, kind: string | undefined, name: string | undefined): Promise<readonly Target[]> {
  if (flags.file) {
    if (kind !== undefined || flags.namespace !== undefined) throw new UsageError("Name a resource, or files with -f, not both");
    const { resources, problems } = parseFiles(await readInputs(cli.io, flags.file));
    // A file with a mistake may name something else than what it seems to: nothing is deleted on a guess.
    if (problems.some((problem) => problem.severity === "error")) throw new WeftError("invalid", "Nothing was deleted", { problems });
    if (resources.length === 0) throw new UsageError("The files name no resource: there is nothing to delete");
    return resources.map((one) => ({ kind: one.kind, namespace: one.metadata.namespace, name: one.metadata.name }));
  }
  if (kind === undefined || name === undefined) throw new UsageError("Say what to delete: KIND NAME, or -f FILE");
  return [{ kind: parseKind(kind), namespace: flags.namespace ?? "default", name }];
}
