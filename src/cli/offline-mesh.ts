/** A mesh of files, without a running weft. */
import { formatProblem } from "../lib/problem.ts";
import { buildMesh } from "../mesh/build.ts";
import type { Mesh } from "../mesh/types.ts";
import type { AnyResource } from "../model/resource.ts";
import { parseFiles } from "./documents.ts";
import { readInputs } from "./files.ts";
import { clean } from "./output.ts";
import { type Cli, UsageError } from "./verb.ts";

/** Prints the problems of the files on stderr. @throws UsageError where one is an error: of a broken mesh nothing can be said. */
export async function offlineResources(cli: Cli, names: readonly string[]): Promise<readonly AnyResource[]> {
  const { resources, problems } = parseFiles(await readInputs(cli.io, names));
  for (const problem of problems) cli.complain(clean(formatProblem(problem)));
  const errors = problems.filter(({ severity }) => severity === "error").length;
  if (errors > 0)
    throw new UsageError(`the files hold ${errors} ${errors === 1 ? "error" : "errors"}: mend them first`, "weft validate -f shows them");
  return resources;
}

export async function offlineMesh(cli: Cli, names: readonly string[], trustDomain = "mesh.local"): Promise<Mesh> {
  return buildMesh(await offlineResources(cli, names), { revision: 0, trustDomain });
}
