/** How far what a node says of the others is true, in words. */
import type { OtherNodes, Stale } from "../admin/nodes.ts";

/** "14:02:11 UTC", with the day where it is not today's. */
function moment(iso: string, now: number): string {
  const [day = "", time = ""] = iso.split(/[T.]/);
  const short = `${time.replace("Z", "")} UTC`;
  return new Date(now).toISOString().startsWith(day) ? short : `${day} ${short}`;
}

/** "what is told of other nodes is as of 14:02:11 UTC, the shared store is away: ..." @param now milliseconds since the epoch */
export function staleText({ as_of: asOf, reason }: Stale, now: number): string {
  if (asOf === undefined) return `nothing is known of other nodes: ${reason}`;
  return `what is told of other nodes is as of ${moment(asOf, now)}, ${reason}`;
}

/** Lines below what is told of proxies. */
export function otherNodesLines({ stale, away_nodes: away = [] }: OtherNodes, now: number): readonly string[] {
  return [
    ...(stale ? [staleText(stale, now)] : []),
    ...away.map(
      ({ name, since }) =>
        `node ${name} is away${since === undefined ? "" : ` since ${moment(since, now)}`}: what its proxies have is not known`,
    ),
  ];
}
