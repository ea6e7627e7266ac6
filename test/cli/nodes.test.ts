/** The verbs about nodes: what they ask, what they print, how they end. */
import { expect, test } from "bun:test";
import type { NodeAnswer, NodesControl } from "../../src/admin/nodes.ts";
import type { JoinSettings } from "../../src/cli/io.ts";
import { WeftError } from "../../src/lib/errors.ts";
import { startAdmin } from "../admin/harness.ts";
import { FakeClock } from "../fakes/clock.ts";
import { weft } from "./harness.ts";

const ADDRESS = "10.0.0.5:15016";

test("weft nodes lists each node with what is known of it, and JSON tells the same", async () => {
  await using admin = await startAdmin();
  const certified = "2026-01-01T01:00:00Z";
  const items: NodeAnswer[] = [
    {
      name: "a",
      roles: ["authority"],
      state: "here",
      revision: 7,
      revisions_behind: 0,
      proxies: 2,
      certificate_expires: certified,
      version: "1.2.3",
      address: ADDRESS,
    },
    {
      name: "b",
      roles: [],
      state: "connected",
      revision: 5,
      revisions_behind: 2,
      proxies: 1,
      certificate_expires: certified,
      version: "1.2.2",
    },
    { name: "c", roles: [], state: "away", last_seen: "2026-01-01T00:00:00Z" },
    { name: "d", roles: [], state: "removed", removed: "2026-01-01T00:00:00Z" },
  ];
  Object.assign(admin.control, { nodes: { ...admin.control.nodes, list: () => items } });
  const { code, out } = await weft(["nodes", "--data", admin.data], { clock: new FakeClock("2026-01-01T00:10:00Z") });
  expect(code).toBe(0);
  expect(out).toBe(
    [
      "NODE  ROLE       STATE      REVISION  LAG  PROXIES  CERTIFICATE UNTIL     LAST SEEN  VERSION  ADDRESS",
      "a     authority  HERE       7         0    2        2026-01-01T01:00:00Z  now        1.2.3    10.0.0.5:15016",
      "b     node       CONNECTED  5         2    1        2026-01-01T01:00:00Z  now        1.2.2    -",
      "c     node       AWAY       -         -    -        -                     10m ago    -        -",
      "d     node       REMOVED    -         -    -        -                     -          -        -",
      "",
    ].join("\n"),
  );
  expect(JSON.parse((await weft(["nodes", "-o", "json", "--data", admin.data])).out)).toEqual({ items });
});

test("weft node token prints the command to call, alone on stdout, and passes its limits on", async () => {
  await using admin = await startAdmin();
  const asked: unknown[] = [];
  const createToken: NodesControl["createToken"] = async (request) => {
    asked.push(request);
    return { token: "weft_join_x", address: ADDRESS, expires: "2026-01-01T00:15:00Z", authority: true };
  };
  Object.assign(admin.control, { nodes: { ...admin.control.nodes, createToken } });
  const { code, out, err } = await weft(["node", "token", "--authority", "--node", "b", "--ttl", "1h", "--data", admin.data]);
  expect([code, out]).toEqual([0, `weft join ${ADDRESS} --token weft_join_x --node b\n`]);
  expect(err).toBe("good for one authority until 2026-01-01T00:15:00Z; call there:\n");
  expect(asked).toEqual([{ authority: true, node: "b", ttlMs: 3_600_000 }]);
});

test("weft node remove says what it did, and exits 1 where there is no such node", async () => {
  await using admin = await startAdmin();
  expect(await weft(["node", "remove", "gone", "--data", admin.data])).toMatchObject({ code: 0, out: "node gone removed\n" });
  expect(await weft(["node", "remove", "z", "--data", admin.data])).toMatchObject({ code: 1, err: "weft: there is no node z\n" });
});

test("weft join takes the token from a flag or the environment, and says what to call next", async () => {
  const asked: JoinSettings[] = [];
  const joinNode = async (settings: JoinSettings) => {
    asked.push(settings);
    return { node: "b", trustDomain: "mesh.local", authority: false, by: "a" };
  };
  const { code, out } = await weft(["join", ADDRESS, "--data", "d", "--node", "b"], { env: { WEFT_JOIN_TOKEN: "weft_join_x" }, joinNode });
  expect([code, out]).toEqual([
    0,
    "node b joined the mesh mesh.local, by a\n  next   weft run --data d --store STORE --trust-domain mesh.local\n",
  ]);
  expect(asked).toEqual([{ data: "d", address: ADDRESS, token: "weft_join_x", node: "b" }]);
  expect(await weft(["join", ADDRESS, "--data", "d"], { joinNode })).toMatchObject({
    code: 2,
    err: expect.stringContaining("A token is needed"),
  });
  const refuse = () => Promise.reject(new WeftError("unauthenticated", "the token ended", { help: "make a new one" }));
  const refused = await weft(["join", ADDRESS, "--token", "t", "--data", "d"], { joinNode: refuse });
  expect(refused).toEqual({ code: 2, out: "", err: "weft: the token ended\n    help: make a new one\n" });
});
