import { afterAll, beforeAll, expect, test } from "bun:test";
import { parse } from "yaml";
import { openNetwork } from "../../scripts/lib/lab/network.ts";
import { cleanEnvironment } from "../../scripts/lib/lab/processes.ts";
import { describeWhere, envoyFor } from "../skip.ts";
import { documents, MTLS, newDirectory, SERVICE, startWeft, useBinary, WEFT, type Weft, WORKLOAD, waitFor } from "./harness.ts";

useBinary();

const envoy = envoyFor("bootstraps in a real Envoy");
let weft: Weft;
beforeAll(async () => {
  weft = await startWeft();
  const network = await openNetwork();
  // An address of its own, so that the port is free.
  const address = network.nextAddress();
  const outbound = `annotations: {weft.dev/outbound: "${address}:${await network.freePort(address)}"}`;
  const workload = WORKLOAD("orders-1", "orders").replace("127.10.0.1", address).replace("labels:", `${outbound}, labels:`);
  await weft.apply(documents(SERVICE("orders"), workload.replace("8080", String(await network.freePort(address))), MTLS("STRICT")));
});
afterAll(() => weft.stop());

test("weft proxy bootstrap prints JSON, which is YAML too, and names its own weft", async () => {
  const { code, out, err } = await weft.cli(["proxy", "bootstrap", "orders-1"]);
  expect({ code, err }).toEqual({ code: 0, err: "" });
  const bootstrap = JSON.parse(out);
  expect(parse(out)).toEqual(bootstrap);
  expect(bootstrap.node.id).toContain("default/orders-1");
  expect(out).toContain(`"port_value": ${weft.listening.ads.split(":").at(-1)}`);
  expect((await weft.cli(["proxy", "bootstrap", "default/orders-1"])).code).toBe(0);
});

describeWhere(
  envoy !== undefined && Bun.which("bash") !== null,
  "Envoy and bash",
  "an Envoy started by hand with envoy -c <(weft proxy bootstrap NAME)",
  () => {
    const byHand = (...args: string[]) => {
      const script = `exec "$0" "\${@:3}" -c <("$1" proxy bootstrap orders-1 --data "$2")`;
      return Bun.spawn(["bash", "-c", script, envoy ?? "", WEFT, weft.data, ...args], {
        cwd: newDirectory(),
        env: cleanEnvironment(),
        stdin: "ignore",
        stdout: "ignore",
        stderr: "pipe",
      });
    };

    test("is content with it in validate mode", async () => {
      const child = byHand("--mode", "validate", "-l", "warning");
      const [words, code] = await Promise.all([child.stderr.text(), child.exited]);
      expect([code, code === 0 ? "" : words]).toEqual([0, ""]);
    });

    test("connects with no other file, and takes its configuration", async () => {
      const child = byHand("--use-dynamic-base-id", "-l", "off", "--concurrency", "1");
      try {
        const { json } = await waitFor(
          "Envoy to be in sync",
          () => weft.ask("GET", "/v1/proxies"),
          (answer) =>
            answer.json?.items?.[0]?.status === "SYNCED" && answer.json.items[0].types.some((one: { type: string }) => one.type === "LDS"),
        );
        expect(json.items).toMatchObject([{ id: "default/orders-1", connected: true, status: "SYNCED", protocol: "delta" }]);
      } finally {
        child.kill("SIGTERM");
        await child.exited;
      }
    });
  },
);
