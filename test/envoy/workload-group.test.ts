import { afterAll, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { StartedProcess } from "../../scripts/lib/lab/processes.ts";
import { waitFor } from "../../scripts/lib/lab/wait.ts";
import { callFrom, describeMesh, type Lab, type Member } from "./harness.ts";

const HOST = "web.default.mesh.local";

const servers: { stop(now: boolean): Promise<void> }[] = [];

/** An application of an instance, on its own address, as $(ADDRESS) in the group says. */
function startApp(address: string, port: number) {
  const state = { ready: true };
  const server = Bun.serve({
    hostname: address,
    port,
    fetch: ({ url }) =>
      new URL(url).pathname === "/ready" ? new Response(null, { status: state.ready ? 204 : 503 }) : new Response(address),
  });
  servers.push(server);
  return state;
}

const groupYaml = (http: number, app: number, out: number) => `apiVersion: networking.istio.io/v1
kind: WorkloadGroup
metadata: {name: web}
spec:
  metadata:
    labels: {app: web}
    annotations: {weft.dev/app: "http=$(ADDRESS):${app}", weft.dev/outbound: "$(ADDRESS):${out}"}
  template: {ports: {http: ${http}}, serviceAccount: web}
  probe:
    periodSeconds: 1
    httpGet: {host: $(ADDRESS), port: ${app}, path: /ready}
---
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: default}
spec: {mtls: {mode: STRICT}}
`;

describeMesh("Instances of a WorkloadGroup", (lab) => {
  let client: Member;
  afterAll(() => Promise.all(servers.map((server) => server.stop(true))));
  let token = "";
  const [first, second] = [
    { address: "", app: { ready: true } },
    { address: "", app: { ready: true } },
  ];
  const running = new Map<string, StartedProcess>();

  /** Over TCP, with the group's token: as from another machine. */
  const run = ({ weft, processes, envoy }: Lab, address: string, name: string) => {
    const { admin } = JSON.parse(readFileSync(join(weft.data, "listening.json"), "utf8")) as { admin: string };
    const command = [
      weft.binary,
      "proxy",
      "run",
      "--group",
      "web",
      "--address",
      address,
      "--server",
      `http://${admin}`,
      "--",
      "--concurrency",
      "1",
    ];
    const started = processes.start(name, command, { env: { WEFT_ENVOY: envoy, WEFT_TOKEN: token } });
    running.set(name, started);
    return started;
  };
  /** Who answers, of `calls` calls that must all be answered. */
  const answering = async (calls = 24): Promise<readonly string[]> => {
    const answers = await Promise.all(Array.from({ length: calls }, () => callFrom(client, HOST)));
    for (const answer of answers) if (answer.status !== 200) throw new Error(`${answer.status} ${answer.text} ${answer.error ?? ""}`);
    return [...new Set(answers.map(({ echo, text }) => (echo ? echo.instance : text)))].sort();
  };
  const untilAnswering = (...wanted: string[]) =>
    waitFor(
      `answers of ${wanted} alone`,
      () => answering().catch((reason) => [String(reason)]),
      (seen) => Bun.deepEquals(seen, wanted.toSorted()),
      { limitMs: 30_000, everyMs: 100 },
    ).catch((reason) => {
      throw new Error(`${reason}\n${[...running.values()].map((one) => one.tail()).join("\n")}\n${lab().weft.process().tail()}`);
    });
  const entries = async () => (await lab().weft.cli(["get", "workloadentries", "-o", "name"])).stdout.trim().split("\n");

  test("register, and take calls over mutual TLS beside a WorkloadEntry that was written by hand, once their probes succeed", async () => {
    const { network, weft } = lab();
    client = await lab().workload({ name: "client", service: "client" });
    const byHand = await lab().workload({ name: "by-hand", service: "web" });
    await lab().join([{ name: "web" }, { name: "client" }], [client, byHand]);
    first.address = network.nextAddress();
    second.address = network.nextAddress();
    const [http, app, out] = [
      await network.freePort(first.address),
      await network.freePort(first.address),
      await network.freePort(first.address),
    ];
    await weft.apply(groupYaml(http, app, out));
    first.app = startApp(first.address, app);
    second.app = startApp(second.address, app);
    second.app.ready = false;
    token = (await weft.cli(["token", "--workload-group", "web"])).stdout.trim();
    run(lab(), first.address, "proxy-first");
    run(lab(), second.address, "proxy-second");
    await untilAnswering("by-hand", first.address);
    await waitFor("the second to be registered", entries, (names) => names.some((name) => name.includes(second.address)), {
      limitMs: 20_000,
    });
    expect(await answering()).toEqual(["by-hand", first.address].toSorted());
    second.app.ready = true;
    await untilAnswering("by-hand", first.address, second.address);
  });

  test("are refused where the address is another's, or the token is not the group's, with the reason", async () => {
    const { weft } = lab();
    const taken = run(lab(), first.address, "proxy-intruder");
    expect(await taken.exited).toBe(1);
    expect(taken.tail()).toContain(`another instance is connected as default/web-${first.address}`);
    await weft.apply(`apiVersion: networking.istio.io/v1\nkind: WorkloadGroup\nmetadata: {name: other}\nspec: {template: {}}\n`);
    const { admin } = JSON.parse(readFileSync(join(weft.data, "listening.json"), "utf8")) as { admin: string };
    const post = (group: string, bearer: string) =>
      fetch(`http://${admin}/v1/registrations`, {
        method: "POST",
        headers: { authorization: `Bearer ${bearer}` },
        body: JSON.stringify({ group, address: "10.9.9.9", instance: "0123456789abcdef" }),
      });
    expect((await post("other", token)).status).toBe(403);
    expect((await post("web", "eyJhbGciOiJub25lIn0.e30.")).status).toBe(401);
    const workloadToken = (await weft.cli(["token", "--workload", "client"])).stdout.trim();
    expect((await post("web", workloadToken)).status).toBe(401);
    expect(await answering()).toHaveLength(3);
  });

  test("lose their calls while a probe fails, without a call that fails or a new revision, and get them back", async () => {
    const revision = await lab().weft.metric("weft_revision");
    first.app.ready = false;
    await untilAnswering("by-hand", second.address);
    const { stdout } = await lab().weft.cli(["services"]);
    expect(stdout).toContain(`${HOST}: not ready are web-${first.address}`);
    expect((await lab().weft.cli(["proxies"])).stdout).toMatch(
      new RegExp(`default/${RegExp.escape(`web-${first.address}`)} gets no calls: .*503`),
    );
    expect((await lab().weft.cli(["check"])).stdout).toContain("it gets no calls");
    const why = await lab().weft.cli(["why", "--from", "client", "--to", HOST]);
    expect(why.stdout).toContain(`not ready: default/web-${first.address}`);
    first.app.ready = true;
    await untilAnswering("by-hand", first.address, second.address);
    expect(await lab().weft.metric("weft_revision")).toBe(revision);
  });

  test("stay through a restart of weft", async () => {
    const { weft } = lab();
    const before = await entries();
    await weft.process().stop();
    expect(await answering()).toHaveLength(3);
    await weft.start();
    // Those that are not back by the end of the grace period would be removed; these are back.
    await waitFor(
      "all proxies to be connected again",
      async () => JSON.parse((await weft.cli(["proxies", "-o", "json"])).stdout) as { items: { id: string; connected: boolean }[] },
      ({ items }) => items.filter(({ connected }) => connected).length === 4,
      { limitMs: 20_000 },
    );
    expect(await entries()).toEqual(before);
    expect(await answering()).toHaveLength(3);
  });

  test("leave after the grace period where they died, at once where they were ended, and nothing else leaves with them", async () => {
    await running.get("proxy-second")?.kill();
    const died = performance.now();
    await waitFor("the entry of the one that died to go", entries, (names) => !names.some((name) => name.includes(second.address)), {
      limitMs: 30_000,
    });
    expect(performance.now() - died).toBeGreaterThan(9_000);
    await untilAnswering("by-hand", first.address);
    running.get("proxy-first")?.signal("SIGTERM");
    await untilAnswering("by-hand");
    expect(await entries()).toContain("WorkloadEntry/default/by-hand");
    await waitFor("its entry to go", entries, (names) => !names.some((name) => name.includes(first.address)), { limitMs: 45_000 });
    expect(await answering()).toEqual(["by-hand"]);
  });
});
