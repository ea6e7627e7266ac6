import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { chmodSync, copyFileSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { caKeyFile } from "../ca/key-file.ts";
import { describeWhere } from "../skip.ts";
import { type Answer, newDirectory, run, startWeft, untilStatus, useBinary, type Weft, waitFor } from "./harness.ts";

useBinary();

let weft: Weft;
beforeAll(async () => {
  weft = await startWeft();
});
afterAll(() => weft.stop());

/** /healthz answers 503 naming `part` only, /livez stays 200, and `weft check` says no. */
async function expectUnhealthy(one: Weft, part: string): Promise<Answer> {
  const health = await untilStatus(one, "/healthz", 503);
  const bad = [...health.text.matchAll(/^\[-\](\w+) failed: \S/gm)].map(([, name]) => name);
  expect(bad).toEqual([part]);
  expect((await one.ask("GET", "/livez")).status).toBe(200);
  expect((await one.ask("GET", "/readyz")).text).toContain(`[-]${part} failed: `);
  const asked = await one.ask("GET", "/healthz", undefined, { accept: "application/json" });
  expect(asked).toMatchObject({
    status: 503,
    json: { ok: false, parts: expect.arrayContaining([expect.objectContaining({ part, ok: false })]) },
  });
  expect((await one.ask("GET", "/metrics")).text).toContain(`weft_healthy{part="${part}"} 0`);
  return health;
}

test("/readyz?verbose lists every part, and /healthz those of which weft consists", async () => {
  expect((await weft.ask("GET", "/readyz?verbose")).text).toBe(
    "[+]load ok\n[+]store ok\n[+]xds ok\n[+]ca ok\n[+]workload-api ok\n[+]presence ok\nreadyz check passed\n",
  );
  expect((await weft.ask("GET", "/healthz?verbose")).text).toBe("[+]store ok\n[+]xds ok\n[+]ca ok\nhealthz check passed\n");
  expect((await weft.askTcp("GET", "/livez")).text).toBe("ok\n");
});

describe("/healthz answers 503 and names the part, and 200 again when it is mended:", () => {
  test("xds, where the ADS socket is gone", async () => {
    const socket = weft.listening.ads_socket;
    renameSync(socket, `${socket}.away`);
    expect((await expectUnhealthy(weft, "xds")).text).toContain(socket);
    expect((await weft.cli(["check"])).code).toBe(1);
    renameSync(`${socket}.away`, socket);
    await untilStatus(weft, "/healthz", 200);
  });

  test("ca, where its key is gone", async () => {
    const key = caKeyFile(weft.data);
    renameSync(key, `${key}.away`);
    expect((await expectUnhealthy(weft, "ca")).text).toContain(key);
    renameSync(`${key}.away`, key);
    await untilStatus(weft, "/healthz", 200);
  });

  test("ca, where its key may be read by others", async () => {
    const key = caKeyFile(weft.data);
    chmodSync(key, 0o640);
    expect((await expectUnhealthy(weft, "ca")).text).toContain(key);
    chmodSync(key, 0o600);
    await untilStatus(weft, "/healthz", 200);
  });

  test("ca, where its key is another one", async () => {
    const key = caKeyFile(weft.data);
    copyFileSync(key, `${key}.own`);
    // On the same curve: only a signature tells.
    writeFileSync(key, readFileSync(join(weft.data, "ca", "token-key.pem")));
    expect((await expectUnhealthy(weft, "ca")).text).toContain(key);
    renameSync(`${key}.own`, key);
    await untilStatus(weft, "/healthz", 200);
  });

  test("ca, where its journal is another one's", async () => {
    await using other = await startWeft();
    const journal = join(weft.data, "ca", "journal.json");
    const own = readFileSync(journal);
    writeFileSync(journal, readFileSync(join(other.data, "ca", "journal.json")));
    expect((await expectUnhealthy(weft, "ca")).text).toContain(journal);
    writeFileSync(journal, own);
    await untilStatus(weft, "/healthz", 200);
  });
});

test("weft check exits 0 on a weft that is well, and 2 where there is none", async () => {
  expect(await weft.cli(["check"])).toMatchObject({ code: 0 });
  expect(await run(["check", "--data", join(newDirectory(), "none")])).toMatchObject({ code: 2 });
});

const canNamespace =
  process.platform === "linux" &&
  process.getuid?.() === 0 &&
  Bun.which("ip") !== null &&
  Bun.which("tc") !== null &&
  Bun.which("nsenter") !== null &&
  Bun.spawnSync(["unshare", "--net", "sh", "-c", "ip link set lo up && tc qdisc add dev lo root pfifo limit 0"], { stderr: "ignore" })
    .success;

describeWhere(canNamespace, "root, and Debian's iproute2 in a network namespace of its own", "in a network that drops every packet", () => {
  test("/healthz answers 503 naming xds in seconds, and 200 again when the network is mended", async () => {
    const holder = Bun.spawn(["unshare", "--net", "sh", "-c", "ip link set lo up && echo up && exec sleep 600"], {
      stdin: "ignore",
      stdout: "pipe",
    });
    try {
      await waitFor("the network", async () => !(await holder.stdout.getReader().read()).done);
      const inside = ["nsenter", `--target=${holder.pid}`, "--net", "--"];
      const network = (...words: string[]) => expect(Bun.spawnSync([...inside, ...words]).exitCode).toBe(0);
      await using one = await startWeft({ prefix: inside });
      expect((await one.ask("GET", "/healthz")).status).toBe(200);
      network("tc", "qdisc", "add", "dev", "lo", "root", "pfifo", "limit", "0");
      const health = await untilStatus(one, "/healthz", 503);
      expect(health.text).toContain(`[-]xds failed: ADS does not answer on ${one.listening.ads}`);
      expect(health.text).toContain("[+]store ok");
      expect((await one.ask("GET", "/livez")).status).toBe(200);
      network("tc", "qdisc", "del", "dev", "lo", "root");
      await untilStatus(one, "/healthz", 200);
    } finally {
      holder.kill("SIGKILL");
    }
  });
});
