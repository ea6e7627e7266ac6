import { afterAll, beforeAll, expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { DeltaClient } from "../feature/ads-client.ts";
import { documents, MTLS, newDirectory, SERVICE, startWeft, useBinary, type Weft, WORKLOAD, waitFor } from "./harness.ts";
import { adsOf, CLUSTER, LISTENER, tokenOf } from "./proxy.ts";

useBinary();

let weft: Weft;
let proxy: DeltaClient;
beforeAll(async () => {
  weft = await startWeft();
  await weft.apply(documents(SERVICE("orders"), WORKLOAD("orders-1", "orders")));
  proxy = new DeltaClient(adsOf(weft), { token: await tokenOf(weft, "orders-1") });
  for (const type of [CLUSTER, LISTENER]) {
    proxy.subscribe(type);
    await proxy.take(type);
  }
});
afterAll(() => proxy.close());

const strict = (mode: string) => {
  const file = join(newDirectory(), "strict.yaml");
  writeFileSync(file, `# all of it\n${MTLS(mode)}`);
  return file;
};
const mtls = async () => (await weft.ask("GET", "/v1/services/orders/mtls")).json;

test("a change is in force when the proxy has ACKed it, and not before; weft apply --wait waits for that", async () => {
  expect(await mtls()).toMatchObject({ service: "orders", mtls_mode: "PERMISSIVE", workloads: ["orders-1"] });
  const file = strict("STRICT");
  const waiting = weft.cli(["apply", "-f", file, "--wait", "20s"]);
  const response = await proxy.next(LISTENER);
  expect(await mtls()).toMatchObject({ mtls_mode: "STRICT", details: [{ in_force: false, proxy: "pending", source: { file, line: 6 } }] });
  proxy.ack(response);
  expect(await waiting).toMatchObject({ code: 0, err: "", out: expect.stringContaining("ACK      default/orders-1") });
  expect(await mtls()).toMatchObject({ mtls_mode: "STRICT", details: [{ in_force: true, proxy: "synced" }] });
  const shown = await weft.cli(["mtls", "orders"]);
  expect(shown).toMatchObject({ code: 0, err: "" });
  expect(shown.out).toContain("STRICT");
  expect(shown.out).toContain(`${file}:6`);
});

test("a listener that the proxy refuses is shown with the proxy's words and the YAML line, and the one before stays in force", async () => {
  const file = strict("DISABLE");
  const waiting = weft.cli(["apply", "-f", file, "--wait", "20s"]);
  // Callers take to plaintext, too: clusters go before listeners.
  await proxy.take(CLUSTER);
  const response = await proxy.next(LISTENER);
  proxy.nack(response, `Error adding/updating listener(s) ${[...response.versions.keys()][0]}: no such thing`);
  const refused = await waiting;
  expect(refused.code).toBe(1);
  for (const words of ["NACK     default/orders-1", "LDS", "no such thing", `${file}:`]) expect(refused.out).toContain(words);

  const list = await weft.cli(["proxies"]);
  expect(list.code).toBe(0);
  expect(list.out).toContain("NACK");
  const one = await weft.cli(["proxies", "orders-1"]);
  for (const words of ["NACK", "no such thing", `${file}:`]) expect(one.out).toContain(words);
  expect(await mtls()).toMatchObject({ details: [{ in_force: false, proxy: "nacked" }] });
  expect((await weft.cli(["check"])).code).toBe(1);

  // Mended: the next version is ACKed, and the complaint is gone.
  const mended = weft.cli(["apply", "-f", strict("PERMISSIVE"), "--wait", "20s"]);
  await proxy.take(CLUSTER);
  await proxy.take(LISTENER);
  expect(await mended).toMatchObject({ code: 0 });
  expect((await weft.cli(["proxies"])).out).not.toContain("NACK");
});

test("a refusal from before is a note, and no answer to a later change that does not touch what was refused", async () => {
  const refusing = weft.cli(["apply", "-f", strict("DISABLE"), "--wait", "20s"]);
  await proxy.take(CLUSTER);
  const response = await proxy.next(LISTENER);
  proxy.nack(response, `Error adding/updating listener(s) ${[...response.versions.keys()][0]}: no such thing`);
  expect((await refusing).code).toBe(1);
  const { revision } = (await weft.ask("GET", "/v1/resources")).json;

  // Touches another type of the same proxy.
  const file = join(newDirectory(), "web.yaml");
  writeFileSync(file, documents(SERVICE("web"), WORKLOAD("web-1", "web")));
  const unrelated = weft.cli(["apply", "-f", file, "--wait", "20s"]);
  await proxy.take(CLUSTER);
  const outcome = await unrelated;
  expect(outcome.code).toBe(0);
  expect(outcome.out).toContain("ACK      default/orders-1");
  expect(outcome.out).toContain(`still refused, from before this change: default/orders-1 refused LDS of revision ${revision} `);
  expect(outcome.out).toContain("no such thing");

  // Touches nothing of this proxy's.
  expect(await weft.cli(["apply", "-f", file, "--wait", "20s"])).toMatchObject({ code: 0 });

  const mended = weft.cli(["apply", "-f", strict("PERMISSIVE"), "--wait", "20s"]);
  await proxy.take(CLUSTER);
  await proxy.take(LISTENER);
  const last = await mended;
  expect(last).toMatchObject({ code: 0 });
  expect(last.out).not.toContain("refused");
});

test("a proxy that does not answer in time makes weft apply --wait exit 1, and is named", async () => {
  const waiting = weft.cli(["apply", "-f", strict("STRICT"), "--wait", "300ms"]);
  const response = await proxy.next(LISTENER);
  expect(await waiting).toMatchObject({ code: 1, out: expect.stringContaining("PENDING  default/orders-1") });
  proxy.ack(response);
  await waitFor("the late ACK", mtls, (report) => report.details[0].in_force);
});

test("a proxy that left is remembered for as long as its workload is registered", async () => {
  await using other = await startWeft();
  await other.apply(documents(SERVICE("orders"), WORKLOAD("orders-1", "orders")));
  const leaving = new DeltaClient(adsOf(other), { token: await tokenOf(other, "orders-1") });
  leaving.subscribe(CLUSTER);
  await leaving.take(CLUSTER);
  leaving.close();
  const proxies = async () => (await other.ask("GET", "/v1/proxies")).json.items;
  await waitFor("the proxy to be gone", proxies, ([proxy]) => proxy.connected === false);
  expect(await other.cli(["check"])).toMatchObject({
    code: 0,
    out: expect.stringContaining("warn  proxy default/orders-1: not connected"),
  });

  expect(await other.cli(["delete", "we", "orders-1"])).toMatchObject({ code: 0 });
  expect(await proxies()).toEqual([]);
  expect((await other.cli(["check"])).out).toContain("ok    proxies: none is connected");
});
