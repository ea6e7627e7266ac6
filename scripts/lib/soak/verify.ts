/** At the end: whether every proxy has what a weft that has just read the store would send it. */
import { TYPE } from "../../../src/lib/encoded.ts";
import { waitFor } from "../lab/wait.ts";
import type { Stream, Versions } from "./client.ts";
import { envoyVersions } from "./envoy-versions.ts";
import type { Town } from "./town.ts";
import { callOrders } from "./traffic.ts";

const LIMIT_MS = 60_000;
/** Mistakes shown of each sort. */
const SHOWN = 5;

interface ProxyJson {
  readonly id: string;
  readonly connected: boolean;
  readonly types: readonly { readonly type: string; readonly status: string; readonly acked_revision?: number }[];
}

/** Who has not acknowledged `revision` in everything that it asks for, by weft's ledger. */
export async function unacknowledged({ weft, streams, servers, callers }: Town, revision: number): Promise<readonly string[]> {
  const { items } = (await weft.api("GET", "/v1/proxies")).json as { items: readonly ProxyJson[] };
  const connected = new Map(items.filter((proxy) => proxy.connected).map((proxy) => [proxy.id, proxy]));
  return [...streams.keys(), ...servers, ...callers].flatMap((workload) => {
    const proxy = connected.get(`default/${workload}`);
    if (!proxy) return [`${workload} is not connected`];
    return proxy.types.flatMap(({ type, status, acked_revision: acked = -1 }) => {
      if (status === "NOT_SUBSCRIBED" || (status === "SYNCED" && acked >= revision)) return [];
      return [`${workload}: ${type} is ${status}, and acknowledged at revision ${acked}, not ${revision}`];
    });
  });
}

/** Callers whose calls do not take the last route. */
export async function staleRoutes({ callers, sidecar, mesh }: Town): Promise<readonly string[]> {
  const marks = await Promise.all(callers.map(async (name) => ({ name, ...(await callOrders(sidecar(name))) })));
  return marks.flatMap(({ name, mark, words }) => (mark === mesh.mark ? [] : [`${name}: ${words}, by edit ${mark}, not ${mesh.mark}`]));
}

/**
 * Ends weft, starts it again on the same store, and holds against what it sends to a new stream of each workload what that workload's proxy held
 * before. Versions are hashes of the bytes, so they are the same where nothing was lost. Secrets are not compared: keys are new in a new process.
 */
export async function differences(town: Town): Promise<readonly string[]> {
  const held = new Map<string, Versions>();
  for (const [name, stream] of town.streams) held.set(name, stream.versions());
  for (const name of [...town.servers, ...town.callers]) held.set(name, await envoyVersions(town, name));
  const unanswered = [...town.streams].flatMap(([name, stream]) => [
    ...(stream.failure === undefined ? [] : [`${name}: ${stream.failure}`]),
    ...stream.missing().map((what) => `${name} was never sent ${what}`),
  ]);
  await Promise.all([...town.streams.values()].map((stream) => stream.close()));
  await Promise.all([...town.servers, ...town.callers].map((name) => town.sidecar(name).process.kill()));
  const before = town.weft.process();
  before.signal("SIGTERM");
  const code = await before.exited;
  await town.weft.start();
  const found = await Promise.all([...held].map(([name, versions]) => compare(town, name, versions)));
  return [...unanswered, ...(code === 0 ? [] : [`weft ended with code ${code}`]), ...found.flat()];
}

async function compare(town: Town, name: string, held: Versions): Promise<readonly string[]> {
  const fresh = await town.connect(name);
  let last: readonly string[] = [];
  try {
    await waitFor(
      `what ${name} should have`,
      () => {
        last = differ(held, fresh);
        return last;
      },
      (found) => found.length === 0,
      { limitMs: LIMIT_MS, everyMs: 100 },
    );
    return [];
  } catch {
    return last.slice(0, SHOWN).map((what) => `${name}: ${what}`);
  } finally {
    await fresh.close();
  }
}

function differ(held: Versions, fresh: Stream): readonly string[] {
  const expected = fresh.versions();
  return [...held].flatMap(([type, versions]) => {
    if (type === TYPE.secret) return [];
    const right = expected.get(type) ?? new Map<string, string>();
    return [...new Set([...versions.keys(), ...right.keys()])].flatMap((one) => {
      const [has, should] = [versions.get(one), right.get(one)];
      return has === should ? [] : [`${type.split(".").at(-1)} ${one} was ${has ?? "not there"}, and should have been ${should ?? "gone"}`];
    });
  });
}
