/** Proxies that a weft expects back, by what it remembers over a restart. */
import { expect, setDefaultTimeout, test } from "bun:test";
import { readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { KnownProxies } from "../../src/control/known-proxies.ts";
import { TYPE } from "../../src/lib/encoded.ts";
import { FakeClock } from "../fakes/clock.ts";
import { DeltaClient } from "../feature/ads-client.ts";
import { temporaryDirectories } from "../store/temporary.ts";
import { eventually, openTestWeft, type TestWeft } from "./weft.ts";

setDefaultTimeout(60_000);
const directory = temporaryDirectories();

const entry = (name: string) => `apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: ${name}}
spec: {address: 10.0.0.1, serviceAccount: ${name}}
`;

async function connect(weft: TestWeft, name: string): Promise<DeltaClient> {
  const { json } = await weft.ask("POST", "/v1/tokens", JSON.stringify({ workload: `default/${name}` }));
  const client = new DeltaClient({ address: weft.ads.host, port: weft.ads.port }, { token: String(json.token) });
  client.send(TYPE.cluster, { resourceNamesSubscribe: [] });
  return client;
}

/** Each, and whether it is connected. */
async function proxies(weft: TestWeft): Promise<Record<string, boolean>> {
  const { json } = await weft.ask("GET", "/v1/proxies");
  return Object.fromEntries((json.items as { id: string; connected: boolean }[]).map(({ id, connected }) => [id, connected]));
}

test("a proxy that does not come back after a restart of weft is named as away, until it comes or its workload goes", async () => {
  const first = await openTestWeft();
  await first.ask("POST", "/v1/apply", ["web", "orders", "program", "old"].map(entry).join("---\n"));
  const clients = [await connect(first, "web"), await connect(first, "orders"), await connect(first, "old")];
  await eventually(async () => expect(Object.keys(await proxies(first))).toHaveLength(3));
  await first.stop();
  for (const client of clients) client.close();
  expect(statSync(join(first.data, "proxies.json")).mode & 0o077).toBe(0);

  const second = await openTestWeft({}, first.data);
  expect(await proxies(second)).toEqual({ "default/web": false, "default/orders": false, "default/old": false });
  const again = await connect(second, "web");
  await eventually(async () => expect(await proxies(second)).toMatchObject({ "default/web": true, "default/orders": false }));
  await second.ask("DELETE", "/v1/resources/WorkloadEntry/default/old");
  expect(await proxies(second)).toEqual({ "default/web": true, "default/orders": false });
  await second.stop();
  again.close();

  const third = await openTestWeft({}, first.data);
  expect(await proxies(third)).toEqual({ "default/web": false, "default/orders": false });
  await third.close();
});

test("what is known of proxies is written once for all that comes within ten seconds, and forgotten after thirty days", async () => {
  const path = join(directory(), "proxies.json");
  const about = { node: "n", envoyVersion: "1.40.0", protocol: "delta", address: "127.0.0.1:1", connectedAt: 0 };
  writeFileSync(path, JSON.stringify({ "default/web": about }));
  const clock = new FakeClock();
  const started = clock.now();
  const troubles: string[] = [];
  const known = new KnownProxies({ path, clock, ledger: () => undefined, onTrouble: (message) => troubles.push(message) });
  expect(known.away()).toMatchObject([{ id: "default/web", disconnectedAt: started }]);
  known.changed();
  expect(clock.pending).toBe(1);
  await clock.advance(30 * 86_400_000);
  expect(known.away()).toEqual([]);
  known.changed();
  await clock.advance(10_000);
  expect(JSON.parse(readFileSync(path, "utf8"))).toEqual({});
  expect(troubles).toEqual([]);
});

test("a proxy is away since the restart after which it did not come back, whatever restarts come later", async () => {
  const path = join(directory(), "proxies.json");
  const about = { node: "n", envoyVersion: "1.40.0", protocol: "delta", address: "127.0.0.1:1", connectedAt: 0 };
  writeFileSync(path, JSON.stringify({ "default/web": about }));
  const clock = new FakeClock();
  const left = clock.now();
  const open = () => new KnownProxies({ path, clock, ledger: () => undefined, onTrouble: () => {} });
  for (let restart = 0; restart < 3; restart += 1) {
    expect(open().away()).toMatchObject([{ id: "default/web", disconnectedAt: left }]);
    // Nobody connects, and it is written all the same.
    await clock.advance(86_400_000);
  }
});

test("a record of proxies that cannot be read is told of, and weft starts without", async () => {
  const path = join(directory(), "proxies.json");
  writeFileSync(path, "[1]");
  const troubles: string[] = [];
  const known = new KnownProxies({ path, clock: new FakeClock(), ledger: () => undefined, onTrouble: (message) => troubles.push(message) });
  expect(known.away()).toEqual([]);
  expect(troubles).toMatchObject([expect.stringContaining(path)]);
});
