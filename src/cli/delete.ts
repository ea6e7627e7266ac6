import { buildCommand } from "@stricli/core";
import type { ApplyOutcome } from "../admin/control-plane.ts";
import { WeftError } from "../lib/errors.ts";
import { type AdminClient, type ConnectFlags, connect, connectFlags } from "./client.ts";
import { parseFiles } from "./documents.ts";
import { fileFlag, readInputs } from "./files.ts";
import { namespaceFlag, parseKind, parseText, proposeKinds, resourcePath } from "./names.ts";
import { clean } from "./output.ts";
import { type Cli, UsageError, verb } from "./verb.ts";

interface Flags extends ConnectFlags {
  readonly file?: readonly string[];
  readonly namespace?: string;
}

interface Target {
  readonly kind: string;
  readonly namespace: string;
  readonly name: string;
}

export const deleteCommand = buildCommand({
  docs: {
    brief: "Delete resources",
    customUsage: ["KIND NAME [-n NS]", "-f FILE|DIR|-"],
    fullDescription: "Deletes one resource by name, or all that the files name, one after the other. Exit 1 where one is not there.",
  },
  parameters: {
    flags: {
      file: { ...fileFlag, optional: true },
      namespace: { ...namespaceFlag, brief: 'Namespace, "default" where absent' },
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
    let missing = 0;
    for (const target of targets) if (!(await remove(cli, client, target))) missing++;
    return missing > 0 ? 1 : 0;
  }),
});

async function targetsOf(cli: Cli, flags: Flags, kind: string | undefined, name: string | undefined): Promise<readonly Target[]> {
  if (flags.file) {
    if (kind !== undefined || flags.namespace !== undefined) throw new UsageError("Name a resource, or files with -f, not both");
    const { resources, problems } = parseFiles(await readInputs(cli.io, flags.file));
    // A file with a mistake may name something else than what it seems to: nothing is deleted on a guess.
    if (problems.some((problem) => problem.severity === "error")) throw new WeftError("invalid", "Nothing was deleted", { problems });
    return resources.map((one) => ({ kind: one.kind, namespace: one.metadata.namespace, name: one.metadata.name }));
  }
  if (kind === undefined || name === undefined) throw new UsageError("Say what to delete: KIND NAME, or -f FILE");
  return [{ kind: parseKind(kind), namespace: flags.namespace ?? "default", name }];
}

async function remove(cli: Cli, client: AdminClient, target: Target): Promise<boolean> {
  const shown = clean(`${target.kind} ${target.namespace}/${target.name}`);
  try {
    const { revision } = await client.call<ApplyOutcome>(resourcePath(target), { method: "DELETE" });
    cli.print(`${shown} deleted\nrevision ${revision}`);
    return true;
  } catch (reason) {
    if (!(reason instanceof WeftError) || reason.code !== "not_found") throw reason;
    cli.complain(`weft: ${shown} is not there`);
    return false;
  }
}
