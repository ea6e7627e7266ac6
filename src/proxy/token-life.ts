/** How long the token in a bootstrap is good: read by its holder, who has nothing to verify it with and need not. RFC 7519, 4.1. */
import { authorizationOf } from "./bootstrap.ts";

/** Milliseconds since the epoch. */
export interface TokenLife {
  readonly issuedAt: number;
  readonly expiresAt: number;
}

/** undefined where the bootstrap has no token, or one that does not tell. */
export function tokenLife(bootstrap: Readonly<Record<string, unknown>>): TokenLife | undefined {
  const payload = authorizationOf(bootstrap)?.split(".")[1];
  if (payload === undefined) return undefined;
  try {
    const { iat, exp } = JSON.parse(Buffer.from(payload, "base64url").toString("utf8"));
    return Number.isFinite(iat) && Number.isFinite(exp) ? { issuedAt: iat * 1_000, expiresAt: exp * 1_000 } : undefined;
  } catch {
    return undefined;
  }
}
