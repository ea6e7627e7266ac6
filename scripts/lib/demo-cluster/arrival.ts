/** When a change is in force: as each Envoy shows it by another answer to the same call. */
import { systemClock } from "../../../src/lib/clock.ts";
import type { Outcome } from "../lab/show.ts";
import { waitFor } from "../lab/wait.ts";
import { callFrom, type Member, type Release } from "./cluster.ts";

export interface Arrival {
  /** By workload, milliseconds after `began`. */
  readonly after: ReadonlyMap<string, number>;
  readonly lastMs: number;
}

/** @param began on the monotonic clock. @throws Error where an Envoy does not show it within half a minute */
export async function arrival({ name, began }: Pick<Release, "name" | "began">, members: readonly Member[]): Promise<Arrival> {
  const after = new Map<string, number>();
  const until = async (member: Member) => {
    await waitFor(
      `${member.name}'s Envoy to show ${name}`,
      () => callFrom(member),
      ({ headers }) => headers["x-release"] === name,
      { everyMs: 3 },
    );
    after.set(member.name, systemClock.monotonic() - began);
  };
  await Promise.all(members.map(until));
  return { after, lastMs: Math.max(...after.values()) };
}

/** Waits until the release is in force on the Envoys of `members`. */
export async function proveArrival(release: Release, members: readonly Member[]): Promise<Outcome> {
  const { applied, began, done } = release;
  if (applied.code !== 0) return { held: false, measured: `weft apply said (exit ${applied.code}): ${applied.stdout}${applied.stderr}` };
  const { after, lastMs } = await arrival(release, members);
  const each = [...after].sort().map(([name, late]) => `${name} ${Math.round(late)}`);
  const took = `${Math.round(lastMs)} ms after weft apply was called, which took ${Math.round(done - began)} ms itself`;
  return { held: true, measured: `in force on ${after.size} Envoys ${took} (${each.join(", ")})` };
}

/** How many clusters, listeners, routes and endpoints the Envoys have taken so far. */
export async function changes(members: readonly Member[]): Promise<number> {
  const stats = await Promise.all(
    members.map(({ sidecar }) => sidecar.stats(/(^cluster_manager\.cds|^listener_manager\.lds|^cluster\..*|\.rds\..*)\.update_success$/)),
  );
  return stats.flatMap((one) => Object.values(one)).reduce((sum, value) => sum + value, 0);
}
