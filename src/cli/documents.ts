/** Input files as validated resources, without a server. */
import type { Problem } from "../lib/problem.ts";
import { decodeUtf8, parseDocuments, problem } from "../model/index.ts";
import { type AnyResource, resourceKey } from "../model/resource.ts";
import type { FileBytes } from "./files.ts";

/** All resources and all problems of all files; a resource that stands in two files is a problem of the second. */
export function parseFiles(files: readonly FileBytes[]): {
  readonly resources: readonly AnyResource[];
  readonly problems: readonly Problem[];
} {
  const resources = new Map<string, AnyResource>();
  const problems: Problem[] = [];
  for (const { file, bytes } of files) {
    const decoded = decodeUtf8(bytes, file);
    if ("problem" in decoded) {
      problems.push(decoded.problem);
      continue;
    }
    const parsed = parseDocuments(decoded.text, file);
    problems.push(...parsed.problems);
    for (const resource of parsed.resources) {
      const { kind, metadata } = resource;
      const key = resourceKey(kind, metadata.namespace, metadata.name);
      const first = resources.get(key);
      if (first) problems.push(duplicateOf(resource, first));
      else resources.set(key, resource);
    }
  }
  return { resources: [...resources.values()], problems };
}

function duplicateOf({ kind, metadata, source }: AnyResource, first: AnyResource): Problem {
  const { namespace, name } = metadata;
  return problem("duplicateResource", {
    message: `${kind} ${namespace}/${name} is in ${first.source.file}:${first.source.lines[""] ?? 1} already`,
    file: source.file,
    line: source.lines[""] ?? 1,
    column: 1,
    help: "keep one of the two",
    resource: { kind, namespace, name },
  });
}
