import { beforeAll, expect, test } from "bun:test";
import { callMany, countBy } from "../../scripts/lib/lab/call.ts";
import { waitFor } from "../../scripts/lib/lab/wait.ts";
import { type Sidecar, sidecarSerials } from "../../scripts/lib/lab/workload.ts";
import { callFrom, describeMesh, expectStatus, type Lab, type Member } from "./harness.ts";

interface ProxyView {
  readonly id: string;
  readonly status: string;
  readonly connected: boolean;
  readonly envoy_version: string;
  readonly types: readonly { readonly type: string; readonly status: string }[];
}

/** Envoy asks for type after type, and is in sync with what it has asked for: all that it uses it has only when it has asked for all. */
function hasAll({ status, connected, types, envoy_version: version }: ProxyView): boolean {
  const isAsked = ({ type, status: one }: ProxyView["types"][number]) =>
    one === "SYNCED" || (type === "VHDS" && version.startsWith("1.36."));
  return connected && status === "SYNCED" && types.every(isAsked);
}

const marker = (index: number) => `apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: numbered-${index}, namespace: default}
spec:
  hosts: [numbered-${index}.example]
  http: [{redirect: {uri: "/number-${index}"}}]
`;

async function proxies(lab: Lab): Promise<ProxyView[]> {
  const { json } = await lab.weft.api("GET", "/v1/proxies");
  return (json as { items: ProxyView[] }).items;
}

describeMesh("a control plane that goes away and comes back", (lab) => {
  let web: Member;
  let orders: Member;
  let sidecars: Sidecar[];

  beforeAll(async () => {
    [web, orders] = await Promise.all([
      lab().workload({ name: "web-1", service: "web" }),
      lab().workload({ name: "orders-1", service: "orders" }),
    ]);
    sidecars = await lab().join([{ name: "web" }, { name: "orders" }], [web, orders]);
    await waitFor(
      "the first call",
      () => callFrom(web, "orders"),
      ({ status }) => status === 200,
    );
  });

  const allConnected = () =>
    waitFor(
      "both proxies to be connected and in sync",
      () => proxies(lab()),
      (all) => all.length === 2 && all.every(hasAll),
      { limitMs: 40_000 },
    );

  test("kill -9 under a stream of applies loses nothing that was acknowledged, and no request in flight", async () => {
    const acknowledged: number[] = [];
    let next = 0;
    let applying = true;
    const apply = async () => {
      while (applying) {
        const index = next++;
        const answer = await lab()
          .weft.api("POST", "/v1/apply", { text: marker(index), type: "application/yaml" })
          .catch(() => undefined);
        if (answer === undefined) return;
        expect(answer.status).toBe(200);
        acknowledged.push(index);
      }
    };
    const streams = [apply(), apply(), apply()];

    orders.app.delayMs = 1_000;
    const inFlight = callMany(10, 10, () => ({ to: web.place.outbound, host: "orders" }));
    await waitFor(
      "requests in flight",
      () => orders.app.inFlight,
      (count) => count === 10,
    );
    await waitFor(
      "a stream of applies",
      () => acknowledged.length,
      (count) => count >= 20,
    );
    await lab().weft.process().kill();
    applying = false;
    await Promise.all(streams);

    expect(countBy(await inFlight, ({ status }) => String(status))).toEqual({ "200": 10 });
    orders.app.delayMs = 0;
    // Envoy goes on without its control plane.
    const without = await callMany(100, 8, () => ({ to: web.place.outbound, host: "orders" }));
    expect(countBy(without, ({ status }) => String(status))).toEqual({ "200": 100 });

    await lab().weft.start();
    const { json } = await lab().weft.api("GET", "/v1/resources?kind=VirtualService");
    const names = new Set((json as { items: { metadata: { name: string } }[] }).items.map(({ metadata }) => metadata.name));
    expect(acknowledged.filter((index) => !names.has(`numbered-${index}`))).toEqual([]);

    await allConnected();
    const last = Math.max(...acknowledged);
    await waitFor(
      "the last acknowledged rule at Envoy",
      () => callFrom(web, `numbered-${last}.example`),
      ({ status, headers }) => status === 301 && headers.location?.endsWith(`/number-${last}`) === true,
    );
  });

  test("a restarted weft sends a reconnected Envoy nothing that it has", async () => {
    await allConnected();
    const updates = () =>
      Promise.all(
        sidecars.map((sidecar) =>
          sidecar.stats(
            /^(cluster_manager\.cds|listener_manager\.lds|.*\.rds\..*)\.update_success$|^cluster_manager\.cluster_(added|modified|removed)$|^listener_manager\.listener_(added|modified|removed)$/,
          ),
        ),
      );
    const before = await updates();
    const reconnects = async () => Promise.all(sidecars.map((sidecar) => sidecar.stat("control_plane.connected_state")));

    await lab().weft.process().stop();
    await waitFor("Envoy to notice", reconnects, (states) => states.every((state) => state === 0));
    await lab().weft.start();
    await allConnected();
    expectStatus(await callFrom(web, "orders"), 200);

    for (const type of ["CDS", "EDS", "LDS", "RDS", "VHDS", "ECDS"]) {
      expect([type, await lab().weft.metric("weft_pushed_bytes_total", { type })]).toEqual([type, 0]);
    }
    const changed = (stats: Readonly<Record<string, number>>[]) =>
      stats.map((one) => Object.fromEntries(Object.entries(one).filter(([name]) => /_(added|modified|removed)$/.test(name))));
    expect(changed(await updates())).toEqual(changed(before));
  });

  test("SIGTERM of weft ends it cleanly, and requests go on", async () => {
    const load = callMany(200, 4, () => ({ to: web.place.outbound, host: "orders" }));
    const process = lab().weft.process();
    process.signal("SIGTERM");
    expect(await process.exited).toBe(0);
    expect(countBy(await load, ({ status }) => String(status))).toEqual({ "200": 200 });
    await lab().weft.start();
    await allConnected();
  });

  test("an SVID is replaced under load without a failed request", async () => {
    await allConnected();
    const issued = async () => (await Promise.all(sidecars.map(sidecarSerials))).flat();
    const before = new Set(await issued());
    let loading = true;
    const failures: string[] = [];
    let calls = 0;
    const load = Array.from({ length: 4 }, async () => {
      while (loading) {
        const answer = await callFrom(web, "orders");
        calls += 1;
        if (answer.status !== 200) failures.push(JSON.stringify(answer));
      }
    });
    // The keys live in weft's memory only: after a restart every workload gets a new SVID.
    await lab().weft.process().stop();
    await lab().weft.start();
    await waitFor("new certificates in use", issued, (now) => now.length > 0 && now.every((serial) => !before.has(serial)), {
      limitMs: 40_000,
    });
    const until = calls + 200;
    await waitFor(
      "more calls",
      () => calls,
      (now) => now >= until,
    );
    loading = false;
    await Promise.all(load);
    expect(failures).toEqual([]);
  });
});
