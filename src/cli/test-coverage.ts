/** Which routes and rules the tests reached. Routes are told apart by their lines, rules by policy and index. */
import type { Provenance } from "../lib/provenance.ts";
import type { Mesh } from "../mesh/types.ts";
import { type AnyResource, provenanceOf } from "../model/resource.ts";
import type { WhyAnswer } from "../why/index.ts";

export interface Unreached {
  /** "route 0, match 1", "rule 2" */
  readonly what: string;
  readonly source: Provenance;
}

export class Coverage {
  readonly #all = new Map<string, Unreached>();
  readonly #reached = new Set<string>();

  add(resources: readonly AnyResource[], mesh: Mesh): void {
    for (const resource of resources) {
      if (resource.kind !== "VirtualService") continue;
      for (const [index, rule] of (resource.spec.http ?? []).entries()) {
        const matches = rule.match?.length ? rule.match.map((_, at) => at) : [undefined];
        for (const at of matches) {
          const source =
            at === undefined ? provenanceOf(resource, "spec", "http", index) : provenanceOf(resource, "spec", "http", index, "match", at);
          // A delegating rule takes no request itself.
          if (!rule.delegate)
            this.#all.set(routeKey(source), { what: at === undefined ? `route ${index}` : `route ${index}, match ${at}`, source });
        }
      }
      for (const part of ["tcp", "tls"] as const) {
        for (const index of (resource.spec[part] ?? []).keys()) {
          const source = provenanceOf(resource, "spec", part, index);
          this.#all.set(routeKey(source), { what: `${part} route ${index}`, source });
        }
      }
    }
    for (const { custom, audit, deny, allow } of mesh.authorization.values()) {
      for (const { http, tcp } of [...(custom?.ruleSets ?? []), ...audit, ...deny, ...allow]) {
        for (const { name, source } of [...http, ...tcp]) {
          this.#all.set(name, { what: `rule ${/-rule\[(\d+)\]$/.exec(name)?.[1]}`, source });
        }
      }
    }
  }

  /** `matched`: names of the rules that matched, whether they decided or not. */
  reach({ route }: WhyAnswer, matched: readonly string[]): void {
    if (route?.source) this.#reached.add(routeKey(route.source));
    for (const name of matched) this.#reached.add(name);
  }

  unreached(): readonly Unreached[] {
    return [...this.#all].filter(([key]) => !this.#reached.has(key)).map(([, one]) => one);
  }
}

function routeKey({ kind, namespace, name, file, line }: Provenance): string {
  return `${kind} ${namespace}/${name} ${file}:${line}`;
}
