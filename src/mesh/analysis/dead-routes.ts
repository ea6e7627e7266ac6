/** Routes that an earlier route of the same VirtualService takes everything from. */
import type { Context } from "./context.ts";
import { coversMatch, type Match, sameMatch } from "./match-cover.ts";

interface Alternative {
  readonly rule: number;
  /** Index among the rule's matches; undefined for a rule without any, which takes everything. */
  readonly at?: number;
  readonly match: Match;
}

export function findDeadRoutes(context: Context): void {
  for (const resource of context.of("VirtualService")) {
    for (const field of ["http", "tcp", "tls"] as const) {
      const rules = ((resource.spec as Readonly<Record<string, unknown>>)[field] ?? []) as readonly { readonly match?: readonly Match[] }[];
      const earlier: Alternative[] = [];
      for (const [rule, { match = [] }] of rules.entries()) {
        const own: Alternative[] = match.length > 0 ? match.map((one, at) => ({ rule, at, match: one })) : [{ rule, match: {} }];
        const dead = own.map((alternative) => [alternative, earlier.find((other) => coversMatch(other.match, alternative.match))] as const);
        const isWhole = dead.every(([, by]) => by);
        for (const [alternative, by] of isWhole ? dead.slice(0, 1) : dead) {
          // A rule after one without any condition is told of with the document itself.
          if (!by || isCatchAll(by)) continue;
          const path = ["spec", field, rule, ...(isWhole || alternative.at === undefined ? [] : ["match", alternative.at])];
          const place = `${field}[${by.rule}]${by.at === undefined ? "" : `.match[${by.at}]`}`;
          if (sameMatch(by.match, alternative.match))
            context.warn("duplicateRoute", resource, path, `is never used: ${place} matches the same`);
          else
            context.warn(
              "unreachableRoute",
              resource,
              path,
              `is never used: ${place} takes all that it could match`,
              "put the more specific one first",
            );
        }
        earlier.push(...own);
      }
    }
  }
}

const isCatchAll = ({ match }: Alternative) => Object.keys(match).length === 0;
