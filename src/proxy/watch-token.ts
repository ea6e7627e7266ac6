/** Warns, while Envoy runs, of the end of the token that it was started with. */
import type { Clock } from "../lib/clock.ts";
import { TOKEN_CHECK_MS, TOKEN_LOW_SHARE } from "./constants.ts";
import type { TokenLife } from "./token-life.ts";

const DAY_MS = 86_400_000;

/**
 * Looks now and then daily (more often where the whole life is short), until the returned function is called. Envoy reads its bootstrap
 * once, so a new token needs a new Envoy: that is why this warns, and does not renew. Renewal without a restart comes with issue 5 (doors).
 */
export function watchToken({ issuedAt, expiresAt }: TokenLife, clock: Clock, warn: (message: string) => void): () => void {
  const life = expiresAt - issuedAt;
  const everyMs = Math.max(1_000, Math.min(TOKEN_CHECK_MS, life / 10));
  let cancel = () => {};
  const look = () => {
    const left = expiresAt - clock.now();
    if (left < life * TOKEN_LOW_SHARE) {
      const end = new Date(expiresAt).toISOString();
      const when = left > 0 ? `ends at ${end}, in ${daysOf(left)}` : `ended at ${end}`;
      warn(
        `the token of this Envoy ${when}; without one it cannot connect to weft again, and learns of no change. ` +
          "End this process (SIGTERM drains) and start it again, at a convenient time: each start takes a new token",
      );
    }
    cancel = clock.after(everyMs, look);
  };
  look();
  return () => cancel();
}

function daysOf(milliseconds: number): string {
  const days = Math.floor(milliseconds / DAY_MS);
  return days >= 2 ? `${days} days` : `${Math.max(1, Math.floor(milliseconds / 3_600_000))} h`;
}
