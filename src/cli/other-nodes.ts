/** How far what a node says of the others is true, in words. */
import type { OtherNodes, Stale } from "../admin/nodes.ts";

/** "14:02:11 UTC", with the day where it is not today's. */
function moment(iso: string, now: number): string {
  const [day = "", time = ""] = iso.split(/[T.]/);
  const short = `${time.replace("Z", "")} UTC`;
  return new Date(now).toISOString().startsWith(day) ? short : `${day} ${short}`;
}

/** "as of 14:02:11 UTC, the shared store is away: ..." @param now milliseconds since the epoch */
export function staleText({ as_of: asOf, reason }: Stale, now: number): string {
  return asOf === undefined ? reason : `as of ${moment(asOf, now)}, ${reason}`;
}

/** Lines below what is told of proxies. */
export function otherNodesLines({ stale, away_nodes: away = [] }: OtherNodes, now: number): readonly string[] {
  return [
    ...(stale ? [`other nodes: ${staleText(stale, now)}`] : []),
    ...away.map(
      ({ name, since }) =>
        `node ${name} is away${since === undefined ? "" : ` since ${moment(since, now)}`}: what its proxies have is not known`,
    ),
  ];
}
