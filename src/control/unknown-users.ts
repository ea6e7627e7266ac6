/** Users and groups of this machine that resources name, and that are not there: no process can be theirs. */
import type { Problem } from "../lib/problem.ts";
import { ANNOTATION, problem } from "../model/index.ts";
import { type AnyResource, provenanceOf } from "../model/resource.ts";
import type { UnixNames } from "../workload-api/unix-names.ts";

interface Named {
  readonly what: "user" | "group";
  readonly name: string;
  readonly path: readonly string[];
  /** What nobody gets by it. */
  readonly lost: string;
}

/** Warnings. By this machine's files as they are now, so no analysis of the documents alone can give them. */
export function findUnknownUsers(resources: readonly AnyResource[], names: UnixNames): Problem[] {
  return resources.flatMap((resource) =>
    namedBy(resource)
      .filter(({ what, name }) => (what === "user" ? names.uidOf(name) : names.gidOf(name)) === undefined)
      .map(({ what, name, path, lost }) =>
        problem("unknownUser", {
          severity: "warning",
          message: `there is no ${what} ${JSON.stringify(name)} on this machine: ${lost}`,
          file: resource.source.file,
          line: Math.max(1, provenanceOf(resource, ...path).line),
          column: 1,
          help: `getent ${what === "user" ? "passwd" : "group"} ${name} looks it up; weft reads /etc/${what === "user" ? "passwd" : "group"} only: write the number of one that is known elsewhere`,
          resource: { kind: resource.kind, namespace: resource.metadata.namespace, name: resource.metadata.name },
        }),
      ),
  );
}

function namedBy(resource: AnyResource): readonly Named[] {
  if (resource.kind === "WorkloadEntry") {
    const name = resource.metadata.annotations[ANNOTATION.unixUser];
    const isNumber = name === undefined || /^\d+$/.test(name);
    const path = ["metadata", "annotations", ANNOTATION.unixUser];
    return isNumber ? [] : [{ what: "user", name, path, lost: "its proxy needs a token" }];
  }
  if (resource.kind !== "WorkloadRegistration") return [];
  const { user, group } = resource.spec.selectors.unix;
  const lost = "no process gets an identity by this";
  const at = (key: string) => ["spec", "selectors", "unix", key];
  return [
    ...(user === undefined ? [] : [{ what: "user", name: user, path: at("user"), lost } as const]),
    ...(group === undefined ? [] : [{ what: "group", name: group, path: at("group"), lost } as const]),
  ];
}
