import { buildCommand } from "@stricli/core";
import type { ApiResource } from "../admin/control-plane.ts";
import { WeftError } from "../lib/errors.ts";
import { formatProblem } from "../lib/problem.ts";
import { documentOf, shownDocument } from "../model/index.ts";
import { sendFiles } from "./apply.ts";
import { BRIEF } from "./briefs.ts";
import { type ConnectFlags, connect, connectFlags } from "./client.ts";
import { parseFiles } from "./documents.ts";
import { type FileFlags, fileFlag, readInputs } from "./files.ts";
import { lineDiff } from "./line-diff.ts";
import { resourcePath } from "./names.ts";
import { clean, yaml } from "./output.ts";
import { verb } from "./verb.ts";

export const diffCommand = buildCommand({
  docs: {
    brief: BRIEF.diff,
    fullDescription:
      "Compares the files' resources with the stored ones, as diff -u does. Exit 0 where nothing differs, 1 where something does.",
  },
  parameters: { flags: { file: fileFlag, ...connectFlags }, aliases: { f: "file" } },
  func: verb<ConnectFlags & FileFlags, []>(async (cli, flags) => {
    const files = await readInputs(cli.io, flags.file);
    const { resources, problems } = parseFiles(files);
    if (problems.some((problem) => problem.severity === "error")) throw new WeftError("invalid", "Nothing was compared", { problems });
    for (const problem of problems) cli.complain(clean(formatProblem(problem)));
    const client = await connect(cli.io, flags);
    // What would change is the server's answer, by the comparison that an apply makes; only the wording is made here.
    const outcome = await sendFiles(client, files, true);
    const changed = outcome.applied.filter((one) => one.action !== "unchanged");
    for (const one of changed) {
      const resource = resources.find(
        (own) => own.kind === one.kind && own.metadata.namespace === one.namespace && own.metadata.name === one.name,
      );
      const before = one.action === "created" ? "" : shown(await client.call<ApiResource>(resourcePath(one)));
      const after = resource ? shown(shownDocument(documentOf(resource))) : "";
      const id = `${one.kind}/${one.namespace}/${one.name}`;
      const stored = one.action === "created" ? "/dev/null" : `stored/${id}`;
      if (before === after) cli.print(clean(`${id}: a value that is not shown differs`));
      else cli.print(clean(lineDiff(before, after, stored, `${resource?.source.file ?? ""} ${id}`)));
    }
    return changed.length > 0 ? 1 : 0;
  }),
});

/** What the store adds by itself. */
const OF_THE_STORE = new Set(["uid", "resourceVersion", "creationTimestamp"]);

/** Keys sorted: their order has no meaning, so it must make no difference. */
function shown(document: Readonly<Record<string, unknown>> | ApiResource): string {
  const { metadata, ...rest } = document as { readonly metadata: Readonly<Record<string, unknown>> };
  const own = Object.fromEntries(Object.entries(metadata).filter(([name]) => !OF_THE_STORE.has(name)));
  return `${yaml({ ...rest, metadata: own }, { sorted: true })}\n`;
}
