/** Workload tokens on real Envoys: renewed while Envoy runs, and taken back. */
import { beforeAll, expect, test } from "bun:test";
import { waitFor } from "../../scripts/lib/lab/wait.ts";
import { callFrom, describeMesh, type Member } from "./harness.ts";

describeMesh("a workload's token", (lab) => {
  let web: Member;
  let orders: Member;

  beforeAll(async () => {
    [web, orders] = await Promise.all([
      lab().workload({ name: "web-1", service: "web" }),
      lab().workload({ name: "orders-1", service: "orders" }),
    ]);
    await lab().join([{ name: "web" }, { name: "orders" }], [web, orders]);
    await waitFor(
      "the first call",
      () => callFrom(web, "orders"),
      ({ status }) => status === 200,
    );
  });

  const connectedAt = async () => {
    const { stdout } = await lab().weft.cli(["proxies", "-o", "json"]);
    const { items } = JSON.parse(stdout) as { items: { id: string; connected: boolean; connected_at: string }[] };
    return items.find(({ id, connected }) => id === "default/web-1" && connected)?.connected_at;
  };

  test("that is revoked ends the stream which it opened; weft proxy run takes a new one, and no call fails meanwhile", async () => {
    const before = await connectedAt();
    expect(before).toBeDefined();
    const { code, stdout: out } = await lab().weft.cli(["token", "--workload", "web-1", "--revoke"]);
    expect({ code, out: out.split("\n")[0] }).toEqual({
      code: 0,
      out: "all tokens of workload default/web-1 are revoked; 1 stream was ended",
    });
    expect(out).toContain("X.509-SVIDs of spiffe://mesh.local/ns/default/sa/web made before");
    for (let call = 0; call < 50; call++) expect((await callFrom(web, "orders")).status).toBe(200);
    const audit = JSON.parse((await lab().weft.cli(["audit", "--last", "20", "-o", "json"])).stdout) as {
      action: string;
      outcome: string;
      targets: string[];
    }[];
    expect(audit.find(({ action }) => action === "revoke-token")).toMatchObject({
      outcome: "done",
      targets: ["workload default/web-1", "spiffe://mesh.local/ns/default/sa/web"],
    });
    await waitFor(
      "the old token's refusal",
      async () => (await lab().weft.cli(["audit", "--last", "20"])).stdout,
      (text) => /ads-stream +refused .*the workload token of default\/web-1 was revoked/.test(text),
    );
    await waitFor("the proxy with a new token", connectedAt, (at) => at !== undefined && at !== before, { limitMs: 60_000 });
  });
});
