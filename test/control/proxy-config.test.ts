import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { systemClock } from "../../src/lib/clock.ts";
import { superviseEnvoy } from "../../src/proxy/supervise.ts";
import { FakeSignals, liveAdmin, waitFor } from "../proxy/harness.ts";
import { envoyFor } from "../skip.ts";
import { eventually, openTestWeft, type TestWeft } from "./weft.ts";

const realEnvoy = envoyFor("a ProxyConfig with a real Envoy");

const WORKLOAD = `apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: web-1}
spec: {address: 127.10.0.1, labels: {app: web}, serviceAccount: web}
`;
const config = (spec: string) => `apiVersion: networking.istio.io/v1beta1
kind: ProxyConfig
metadata: {name: web}
spec: ${spec}
`;

const proxy = async (weft: TestWeft) => ((await weft.ask("GET", "/v1/proxies")).json.items as Record<string, unknown>[])[0];

test.skipIf(!realEnvoy)(
  "A ProxyConfig's concurrency and environment are those of the Envoy that is started next; until then weft says that a restart is needed",
  async () => {
    const weft = await openTestWeft();
    const bootstrap = async () => {
      const answer = await weft.ask("POST", "/v1/bootstrap?workload=default/web-1");
      return answer.json;
    };
    const run = async (body: (envoy: { readonly admin: string; readonly pid: number }) => Promise<void>) => {
      const signals = new FakeSignals();
      const runs: { readonly pid: number; readonly adminAddressFile: string }[] = [];
      const done = superviseEnvoy({
        envoyPath: realEnvoy ?? "",
        bootstrap,
        clock: systemClock,
        signals,
        log: () => {},
        onStart: (started) => runs.push(started),
      });
      try {
        const started = await waitFor("Envoy runs", () => runs[0]);
        const admin = await liveAdmin(started.adminAddressFile);
        await eventually(async () => expect(await proxy(weft)).toMatchObject({ connected: true, status: "SYNCED" }), 15_000);
        await body({ admin, pid: started.pid });
      } finally {
        signals.send("SIGTERM");
        signals.send("SIGTERM");
        await done;
      }
      await eventually(async () => expect(await proxy(weft)).toMatchObject({ connected: false }), 15_000);
    };
    const concurrency = async (admin: string) => {
      const response = await fetch(`http://${admin}/server_info`);
      const { command_line_options: options } = (await response.json()) as { command_line_options: { concurrency: number } };
      return options.concurrency;
    };
    try {
      await weft.ask("POST", "/v1/apply", WORKLOAD);
      await weft.ask("POST", "/v1/apply", config("{concurrency: 3, environmentVariables: {WEFT_TEST_VARIABLE: one}}"));
      await run(async ({ admin, pid }) => {
        expect(await concurrency(admin)).toBe(3);
        expect(readFileSync(`/proc/${pid}/environ`, "utf8").split("\0")).toContain("WEFT_TEST_VARIABLE=one");
        expect((await proxy(weft))?.needs_restart).toBeUndefined();

        const reason = "its concurrency is 3, and is to be 2; its environment is another in OTHER, WEFT_TEST_VARIABLE";
        const second = config("{concurrency: 2, environmentVariables: {OTHER: x}}");
        const { json } = await weft.ask("POST", "/v1/apply", second);
        expect(json.needs_restart).toEqual([{ proxy: "default/web-1", reason }]);
        expect(await proxy(weft)).toMatchObject({ needs_restart: reason });
        // The same again is no news, though it still holds.
        expect((await weft.ask("POST", "/v1/apply", second)).json.needs_restart).toBeUndefined();
      });
      await run(async ({ admin }) => {
        expect(await concurrency(admin)).toBe(2);
        expect((await proxy(weft))?.needs_restart).toBeUndefined();
        const { json } = await weft.ask("DELETE", "/v1/resources/ProxyConfig/default/web");
        expect(json.needs_restart).toEqual([
          {
            proxy: "default/web-1",
            reason: "its concurrency is 2, and is to be one thread a processor; its environment is another in OTHER",
          },
        ]);
      });
    } finally {
      await weft.close();
    }
  },
  60_000,
);
