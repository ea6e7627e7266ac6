/** A real ADS server on loopback, with a source that the test writes to. */
import type { AdsLimits } from "../../src/ads/limits.ts";
import { createAdsServer } from "../../src/ads/server.ts";
import type { AdsObserver, Authenticate, Credentials, ProxyIdentity } from "../../src/ads/types.ts";
import { type Clock, systemClock } from "../../src/lib/clock.ts";
import { WeftError } from "../../src/lib/errors.ts";
import { DeltaClient, SotwClient } from "./ads-client.ts";
import { FakeSource } from "./resources.ts";

const cleanups: (() => unknown)[] = [];

/** For afterEach() in every test file: a hook that this module registered would count for the first file only that imports it. */
export async function cleanUp(): Promise<void> {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
}

export function onCleanup(cleanup: () => unknown): void {
  cleanups.push(cleanup);
}

/** "Bearer ns/name" proves that one is ns/name; everything else is refused. */
export function authenticate(credentials: Credentials): Promise<ProxyIdentity> {
  const id = /^Bearer (\S+\/\S+)$/.exec(credentials.authorization ?? "")?.[1];
  if (id === undefined) {
    return Promise.reject(new WeftError("unauthenticated", "no valid workload token; run: weft token --workload NAME"));
  }
  return Promise.resolve({ id });
}

export interface Mesh {
  readonly source: FakeSource;
  readonly ads: ReturnType<typeof createAdsServer>;
  readonly bound: { readonly address: string; readonly port: number };
  delta(id?: string): DeltaClient;
  sotw(id?: string): SotwClient;
}

export interface StartOptions {
  readonly observer?: AdsObserver;
  readonly limits?: Partial<AdsLimits>;
  readonly clock?: Clock;
  readonly authenticate?: Authenticate;
}

export async function start(options: StartOptions = {}): Promise<Mesh> {
  const source = new FakeSource();
  const ads = createAdsServer({
    authenticate: options.authenticate ?? authenticate,
    source,
    clock: options.clock ?? systemClock,
    observer: options.observer,
    limits: options.limits,
  });
  const bound = await ads.listen({ host: "127.0.0.1", port: 0 });
  onCleanup(() => ads.close(0));
  const client = <T extends { close(): void }>(made: T): T => {
    onCleanup(() => made.close());
    return made;
  };
  return {
    source,
    ads,
    bound,
    delta: (token = "default/orders") => client(new DeltaClient(bound, { token })),
    sotw: (token = "default/orders") => client(new SotwClient(bound, { token })),
  };
}

/** Waits for `condition`, at most `patienceMs`. */
export async function until(condition: () => boolean, name: string, patienceMs = 4_500): Promise<void> {
  const deadline = Date.now() + patienceMs;
  while (!condition()) {
    if (Date.now() > deadline) throw new Error(`waited in vain for ${name}`);
    await Bun.sleep(5);
  }
}
