import { beforeAll, expect, test } from "bun:test";
import { join } from "node:path";
import { waitFor } from "../../scripts/lib/lab/wait.ts";
import { type Sidecar, sidecarSerials } from "../../scripts/lib/lab/workload.ts";
import { callFrom, describeMesh, type Member } from "./harness.ts";

/** Its clock makes an SVID due for renewal some seconds after SIGUSR2. */
const HURRIED = [process.execPath, join(import.meta.dir, "hurried-weft.ts")];

describeMesh(
  "a certificate that grows old",
  (lab) => {
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

    test("is replaced in time, under load, without a failed request and without a new connection to weft", async () => {
      const serials = () => Promise.all(sidecars.map(sidecarSerials));
      const before = await serials();
      const connected = async () => (await lab().weft.api("GET", "/v1/proxies")).text.match(/"connected_at":"[^"]+"/g);
      const streams = await connected();
      let loading = true;
      let calls = 0;
      const failures: string[] = [];
      const load = Array.from({ length: 3 }, async () => {
        while (loading) {
          const answer = await callFrom(web, "orders");
          calls += 1;
          if (answer.status !== 200) failures.push(JSON.stringify(answer));
        }
      });
      try {
        process.kill(lab().weft.process().pid, "SIGUSR2");
        await waitFor(
          "new certificates in both Envoys",
          serials,
          (now) => now.every((own, index) => own.length > 0 && own.every((serial) => before[index]?.includes(serial) === false)),
          { limitMs: 40_000, everyMs: 100 },
        );
        const until = calls + 200;
        await waitFor(
          "calls with the new ones",
          () => calls,
          (now) => now >= until,
        );
      } finally {
        loading = false;
        await Promise.all(load);
      }
      expect(failures).toEqual([]);
      expect(await connected()).toEqual(streams);
    });
  },
  { runCommand: HURRIED },
);
