/** What the command line says of the proxies of other nodes, and of how far that is true. */
import { expect, test } from "bun:test";
import { join } from "node:path";
import type { ControlPlane, MtlsReport } from "../../src/admin/control-plane.ts";
import type { NodeConvergence } from "../../src/admin/nodes.ts";
import { peerAuthentication, startAdmin } from "../admin/harness.ts";
import { FakeClock } from "../fakes/clock.ts";
import { fakeProxy } from "../fakes/control-plane.ts";
import { files, useFiles, weft } from "./harness.ts";

useFiles();

type Convergence = ReturnType<ControlPlane["convergence"]>;

const stale = { as_of: "2026-01-01T14:02:11.000Z", reason: "the shared store is away: etcd does not answer" };
const AS_OF = "what is told of other nodes is as of 14:02:11 UTC, the shared store is away: etcd does not answer";
const node = (name: string, state: NodeConvergence["state"], pending: readonly string[] = [], reason?: string): NodeConvergence => ({
  name,
  state,
  revision: 1,
  pending,
  reason,
});

/** `weft apply --wait` where the API answers so, one after another; the last holds. @returns how often it was asked, too */
async function wait(limit: string, ...answers: readonly Partial<Convergence>[]) {
  await using admin = await startAdmin();
  let asked = 0;
  admin.control.convergence = () => {
    const answer = answers[Math.min(asked++, answers.length - 1)];
    return { acked: [], nacked: [], pending: [], still_nacked: [], ...answer };
  };
  const file = join(files({ "mesh.yaml": peerAuthentication("STRICT") }), "mesh.yaml");
  const { code, out } = await weft(["apply", "-f", file, "--wait", limit, "--data", admin.data]);
  return { code, asked, out: out.slice(out.indexOf("revision 1\n") + "revision 1\n".length) };
}

test("--wait goes on until every node has told that its proxies have the change", async () => {
  const pending = { nodes: [node("b", "pending")] };
  expect(await wait("30s", pending, pending, { acked: ["shop/x"], nodes: [node("b", "in_force")] })).toEqual({
    code: 0,
    asked: 3,
    out: "ACK      shop/x\n",
  });
});

test("--wait names at its limit the nodes and the proxies that it waits for, exit 1", async () => {
  const many = Array.from({ length: 22 }, (_, index) => `shop/c-${index}`);
  const nodes = [
    node("b", "pending", ["shop/b"]),
    node("c", "pending", many, "3 of them lack revision 1"),
    node("d", "pending", [], "it told of revision 0 last"),
  ];
  const { code, out } = await wait("50ms", { acked: ["shop/x"], pending: ["shop/here", "shop/b", ...many], nodes });
  expect(code).toBe(1);
  expect(out).toBe(
    [
      "ACK      shop/x",
      "PENDING  shop/here (no answer within 0.05 s)",
      "PENDING  node b: shop/b (no answer within 0.05 s)",
      `PENDING  node c: ${many.slice(0, 20).join(", ")} and 2 more (no answer within 0.05 s: 3 of them lack revision 1)`,
      "PENDING  node d (no answer within 0.05 s: it told of revision 0 last)",
      "",
    ].join("\n"),
  );
});

test("--wait does not wait for a node that cannot tell, and does not call it a success", async () => {
  const unknown = node("b", "unknown", ["shop/b"], "node b runs an earlier weft, which does not tell what its proxies have");
  expect(await wait("30s", { acked: ["shop/x"], pending: ["shop/b"], nodes: [unknown] })).toEqual({
    code: 1,
    asked: 1,
    out: "ACK      shop/x\nUNKNOWN  node b: shop/b (node b runs an earlier weft, which does not tell what its proxies have)\n",
  });
});

test("--wait takes nothing that may be out of date for an answer, and says as of when that is", async () => {
  const away = { nodes: [node("b", "unknown", ["shop/b"])], pending: ["shop/b"], stale };
  expect((await wait("30s", away, { acked: ["shop/b"], nodes: [node("b", "in_force")] })).code).toBe(0);
  const { code, out, asked } = await wait("50ms", away);
  expect(code).toBe(1);
  expect(asked).toBeGreaterThan(1);
  expect(out).toMatch(
    /^UNKNOWN {2}node b: shop\/b\nUNKNOWN {2}what is told of other nodes is as of .*14:02:11 UTC, the shared store is away: etcd does not answer\n$/,
  );
  // Nobody else is known: there may be others all the same.
  expect((await wait("50ms", { stale: { reason: "the board of the nodes has not been read yet" } })).code).toBe(1);
});

test("--wait does not wait for a node that is away, and says so", async () => {
  const { code, out } = await wait("30s", {
    acked: ["shop/x"],
    away_nodes: [{ name: "b", since: "2026-01-01T14:02:11.000Z" }, { name: "c" }],
  });
  expect(code).toBe(0);
  expect(out).toMatch(
    /^ACK {6}shop\/x\nnote {5}node b is away since .*: what its proxies have is not known, and not waited for\nnote {5}node c is away: /,
  );
});

test("weft nodes says as of when it knows of the others while the shared store is away", async () => {
  await using admin = await startAdmin();
  const items = [
    { name: "a", roles: [], state: "here", revision: 7, last_seen: "2026-01-01T14:03:11.000Z" },
    { name: "b", roles: [], state: "connected", revision: 7, last_seen: stale.as_of },
  ];
  Object.assign(admin.control, { nodes: { ...admin.control.nodes, list: () => items, stale: () => stale } });
  const nodes = async (now: string) => (await weft(["nodes", "--data", admin.data], { clock: new FakeClock(now) })).out;
  const out = await nodes("2026-01-01T14:03:11Z");
  expect(out).toMatch(/\na +node +HERE .* now /);
  expect(out).toMatch(/\nb +node +CONNECTED .* 60s ago /);
  expect(out).toEndWith(`\n${AS_OF}\n`);
  expect(await nodes("2026-01-02T00:00:00Z")).toContain("as of 2026-01-01 14:02:11 UTC, ");
  expect(JSON.parse((await weft(["nodes", "-o", "json", "--data", admin.data])).out)).toEqual({ items, stale });
});

test("weft proxies lists those of other nodes with what is known of them, and weft check warns of what is not", async () => {
  await using admin = await startAdmin();
  const clock = new FakeClock("2026-01-01T14:03:11Z");
  const { types: _, protocol: _p, connected_at: _c, ...other } = fakeProxy("shop/b");
  admin.control.proxyList = [
    fakeProxy("shop/a"),
    { ...other, envoy_version: "", on_node: "b", acked_revision: 7, types: [] },
    {
      ...other,
      id: "shop/c",
      envoy_version: "",
      on_node: "c",
      status: "UNKNOWN",
      unknown_because: "node c runs an earlier weft",
      types: [],
    },
  ];
  admin.control.otherNodesNow = { stale, away_nodes: [{ name: "d", since: "2026-01-01T14:00:00.000Z" }] };
  const { out } = await weft(["proxies", "--data", admin.data], { clock });
  expect(out).toBe(
    [
      "PROXY   NODE  ENVOY   STATUS   CDS     EDS  LDS     RDS  VHDS  SDS  ECDS  REVISION  CONNECTED",
      "shop/a  here  1.40.0  SYNCED   SYNCED  -    SYNCED  -    -     -    -     1         14h",
      "shop/b  b     -       SYNCED   -       -    -       -    -     -    -     7         yes",
      "shop/c  c     -       UNKNOWN  -       -    -       -    -     -    -     -         yes",
      "what shop/c has is not known: node c runs an earlier weft",
      AS_OF,
      "node d is away since 14:00:00 UTC: what its proxies have is not known",
      "",
    ].join("\n"),
  );
  const checked = (await weft(["check", "--data", admin.data], { clock })).out;
  expect(checked).toContain(`warn  other nodes: ${AS_OF}\n`);
  expect(checked).toContain("warn  other nodes: node d is away since 14:00:00 UTC");
  expect(checked).toContain("warn  proxy shop/c: what it has is not known: node c runs an earlier weft\n");
});

test("weft mtls tells what is not in force from what is not known", async () => {
  await using admin = await startAdmin();
  const detail = { namespace: "shop", port: 8080, mode: "STRICT" } as const;
  const report: MtlsReport = {
    ...admin.control.mtls("orders", "default"),
    details: [
      { ...detail, workload: "a", in_force: true, proxy: "synced", on_node: "b" },
      { ...detail, workload: "b", in_force: false, proxy: "away", on_node: "b", reason: "node b is away since 2026-01-01T14:02:11.000Z" },
      { ...detail, workload: "c", in_force: false, proxy: "unknown", reason: "node c runs an earlier weft" },
      { ...detail, workload: "d", in_force: false, proxy: "disconnected", on_node: "e", reason: "not connected to node e" },
      { ...detail, workload: "e", in_force: false, proxy: "pending" },
    ],
  };
  admin.control.mtls = () => ({ ...report, stale });
  const { out } = await weft(["mtls", "orders", "-n", "default", "--data", admin.data], { clock: new FakeClock("2026-01-01T14:03:11Z") });
  expect(out).toEndWith(`\n${AS_OF}\n`);
  const inForce = [...out.matchAll(/STRICT {2}(.*?) {2,}Istio/g)].map(([, cell]) => cell);
  expect(inForce).toEqual([
    "yes",
    "unknown (node b is away since 2026-01-01T14:02:11.000Z)",
    "unknown (node c runs an earlier weft)",
    "no (disconnected: not connected to node e)",
    "no (pending)",
  ]);
});
