/** The wall clock of a running weft, a day wrong in either direction and mended again: what a connected proxy and its token meet. */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { X509Certificate } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type RunningWeft, startWeft } from "../../src/control/start.ts";
import { TYPE } from "../../src/lib/encoded.ts";
import { FakeClock } from "../fakes/clock.ts";
import { DeltaClient } from "../feature/ads-client.ts";
import { eventually } from "./weft.ts";

setDefaultTimeout(60_000);

const [MINUTE, DAY] = [60_000, 86_400_000];
const ANYWHERE = { host: "127.0.0.1", port: 0 };
const WORKLOAD = `apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: orders}
spec: {address: 127.0.0.2, serviceAccount: orders}
`;

describe.each([
  ["forward", 1],
  ["back", -1],
])("A wall clock that jumps a day %s, and then to the right time", (_name, days) => {
  const data = mkdtempSync(join(tmpdir(), "weft-jump-"));
  const clock = new FakeClock("2026-01-10T00:00:00Z");
  let weft: RunningWeft;
  let token = "";
  let client: DeltaClient;

  const connect = () => {
    const at = weft.listening.ads.lastIndexOf(":");
    return new DeltaClient({ address: weft.listening.ads.slice(0, at), port: Number(weft.listening.ads.slice(at + 1)) }, { token });
  };
  const ask = (method: string, path: string, body?: string) =>
    fetch(`http://weft${path}`, { method, body, headers: { connection: "close" }, unix: weft.listening.admin_socket });

  beforeAll(async () => {
    weft = await startWeft({
      data,
      ads: ANYWHERE,
      admin: ANYWHERE,
      trustDomain: "mesh.local",
      store: "sqlite",
      adminHosts: () => [],
      version: "test",
      clock,
      env: {},
    });
    expect((await ask("POST", "/v1/apply", WORKLOAD)).status).toBe(200);
    token = ((await (await ask("POST", "/v1/tokens", '{"workload": "default/orders"}')).json()) as { token: string }).token;
    client = connect();
    client.subscribe(TYPE.secret, "default");
    // Acknowledges whatever comes, as Envoy does.
    void (async () => {
      while (client.ended === undefined) await client.take(TYPE.secret).catch(() => {});
    })();
  });

  afterAll(async () => {
    client.close();
    await weft.close();
    rmSync(data, { recursive: true, force: true });
  });

  /** The newest certificate that came. */
  const certificate = () => {
    const text =
      client.responses
        .flatMap(({ bodies }) => bodies.map((body) => Buffer.from(body).toString("latin1")))
        .filter((body) => body.includes("PRIVATE KEY"))
        .at(-1) ?? "";
    const [pem] = /-----BEGIN CERTIFICATE-----[\s\S]+?-----END CERTIFICATE-----/.exec(text) ?? [];
    return pem === undefined ? undefined : new X509Certificate(pem);
  };
  const isValid = () => {
    const leaf = certificate();
    return leaf !== undefined && Date.parse(leaf.validFrom) <= clock.now() && clock.now() < Date.parse(leaf.validTo);
  };
  /** Within minutes on the injected clock. */
  const untilValid = () =>
    eventually(async () => {
      await clock.advance(10_000);
      expect(isValid()).toBe(true);
    }, 20_000);

  test("gives every connected proxy an SVID that is good by the new time, on the stream that it has", async () => {
    await untilValid();
    for (const jump of [days, -days]) {
      clock.setWallClock(clock.now() + jump * DAY);
      expect(isValid()).toBe(false);
      const before = clock.monotonic();
      await untilValid();
      expect(clock.monotonic() - before).toBeLessThan(30 * MINUTE);
      expect(client.ended).toBeUndefined();
      // The clock's jump shows in no part's health once that is done.
      await eventually(async () => {
        await clock.advance(1_000);
        expect((await ask("GET", "/healthz")).status).toBe(200);
      });
    }
  });

  test("refuses no token that is good at either time", async () => {
    const late = connect();
    late.subscribe(TYPE.secret, "default");
    await late.take(TYPE.secret);
    late.close();
  });
});
