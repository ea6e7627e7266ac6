/** The query parameters limit and continue of a listing. */
import * as v from "valibot";
import { WeftError } from "../lib/errors.ts";
import type { ListPlace } from "./control-plane.ts";

/** Of a page whose reader says no limit, and of the largest. */
const DEFAULT_LIMIT = 500;
const MOST_LIMIT = 10_000;

/** Revision, kind, namespace and name: no secret, and nothing that its bearer could not ask for otherwise. */
const TokenSchema = v.strictTuple([v.pipe(v.number(), v.safeInteger(), v.minValue(0)), v.string(), v.string(), v.string()]);

/** undefined where neither is given: then all is listed. @throws WeftError "invalid" */
export function pageFrom(limit: string | undefined, token: string | undefined): { limit: number; from?: ListPlace } | undefined {
  if (limit === undefined && token === undefined) return undefined;
  const count = limit === undefined ? DEFAULT_LIMIT : Number(limit);
  if (!/^\d+$/.test(limit ?? "1") || count < 1 || count > MOST_LIMIT) {
    throw new WeftError("invalid", `limit must be a whole number from 1 to ${MOST_LIMIT}, not "${limit}"`);
  }
  return token === undefined ? { limit: count } : { limit: count, from: placeOf(token) };
}

export function tokenOf({ revision, after: { kind, namespace, name } }: ListPlace): string {
  return Buffer.from(JSON.stringify([revision, kind, namespace, name])).toString("base64url");
}

function placeOf(token: string): ListPlace {
  let content: unknown;
  try {
    content = JSON.parse(Buffer.from(token, "base64url").toString());
  } catch {}
  const parsed = v.safeParse(TokenSchema, content);
  if (!parsed.success) {
    throw new WeftError("invalid", `continue is nothing that a page answered: "${token}"`, {
      help: "list again from the start, without it",
    });
  }
  const [revision, kind, namespace, name] = parsed.output;
  return { revision, after: { kind, namespace, name } };
}
