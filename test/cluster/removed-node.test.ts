/** A node that is removed while it runs: its process, on a real Redis; and what is no removal. */
import { expect, test } from "bun:test";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { cleanEnvironment } from "../../scripts/lib/lab/processes.ts";
import { expulsion } from "../../src/control/cluster-member.ts";
import { openCluster } from "../../src/control/cluster-open.ts";
import { NODES, removedId } from "../../src/control/cluster-schemas.ts";
import { systemClock } from "../../src/lib/clock.ts";
import { NodeRemovedError } from "../../src/lib/errors.ts";
import { openMemoryStore } from "../../src/store/index.ts";
import { installRedis, RedisServer } from "../store/redis-server.ts";
import { eventually } from "./mesh.ts";

const MAIN = join(import.meta.dir, "../../src/main.ts");
const redis = installRedis();

function weft(...args: string[]) {
  const child = Bun.spawn([process.execPath, MAIN, ...args], {
    env: { ...cleanEnvironment(), WEFT_CONFIG: "/dev/null", WEFT_ADS: "127.0.0.1:0", WEFT_ADMIN: "127.0.0.1:0" },
    stdout: "pipe",
    stderr: "pipe",
  });
  const told = (async () => {
    const [out, err, code] = await Promise.all([child.stdout.text(), child.stderr.text(), child.exited]);
    return { code, out, err };
  })();
  return { child, told };
}

test.skipIf(redis === undefined)(
  "weft run ends by itself where its node is removed, with exit 3, and a start is refused with the same; the database stays",
  async () => {
    const directory = mkdtempSync(join(tmpdir(), "weft-removed-"));
    const server = await RedisServer.start(redis?.current ?? "");
    const store = ["--store", server.url()];
    const running: ReturnType<typeof weft>[] = [];
    const run = async (name: string, ...more: string[]) => {
      const data = join(directory, name);
      const one = weft("run", "--data", data, "--node", name, ...store, ...more);
      running.push(one);
      await eventually(() => expect(existsSync(join(data, "listening.json"))).toBe(true));
      return { ...one, data };
    };
    try {
      const a = await run("a", "--cluster", "127.0.0.1:0");
      const { out: command } = await weft("node", "token", "--data", a.data).told;
      const [, address = "", token = ""] = /weft join (\S+) --token (\S+)/.exec(command) ?? [];
      expect(await weft("join", address, "--token", token, "--node", "b", "--data", join(directory, "b")).told).toMatchObject({ code: 0 });
      const b = await run("b");
      expect(await weft("node", "remove", "b", "--data", b.data).told).toMatchObject({ code: 0, out: "node b removed\n" });
      const ended = await b.told;
      expect(ended.code).toBe(3);
      const said = /this node, b, was removed from the mesh by .+ at \S+Z: it serves nobody any more/;
      const [message = ""] = said.exec(ended.err) ?? [];
      expect(message).not.toBe("");
      expect(ended.err).toContain("weft audit");
      expect(readFileSync(join(b.data, "weft.db")).length).toBeGreaterThan(0);
      const again = await weft("run", "--data", b.data, ...store).told;
      expect(again).toMatchObject({
        code: 3,
        err: expect.stringContaining(`weft: ${message}\n    help: who removed it is in the audit trail`),
      });
      expect(a.child.exitCode).toBeNull();
    } finally {
      for (const { child } of running) child.kill("SIGKILL");
      await Promise.all(running.map(({ told }) => told));
      await server.dispose();
      rmSync(directory, { recursive: true, force: true });
    }
  },
);

test("A node that the store knows nothing of any more says so, and serves on; one that was removed ends once", async () => {
  const data = mkdtempSync(join(tmpdir(), "weft-forgotten-"));
  const memory = openMemoryStore({ clock: systemClock });
  const standing = () => ({ engine: "memory", inTouch: true, behindMs: 0, warnings: [] });
  const warnings: string[] = [];
  const ended: string[] = [];
  const options = {
    data,
    state: { name: "a" },
    trustDomain: "mesh.local",
    store: Object.assign(memory, { standing }),
    wanted: false,
    revokedAt: () => 0,
    encryption: undefined,
    takeOver: false,
    svidMs: 3_600_000,
    cards: () => new Map(),
    revision: () => 0,
    onCertificate: () => {},
    onExpelled: (reason: Error, forgotten: Promise<void>) => void forgotten.then(() => ended.push(reason.message)),
    clock: systemClock,
    random: () => 0.5,
    log: { info: () => {}, warning: (message: string) => warnings.push(message) },
  };
  const cluster = await openCluster(options);
  try {
    const change = {
      collection: NODES,
      audit: { who: "uid 0", from: "admin.sock", action: "test", outcome: "done", targets: [] },
    } as const;
    const [own] = (await memory.readPrivate(NODES)).filter(({ id }) => id === "a");
    await memory.writePrivate({ ...change, puts: [], deletes: ["a"] });
    await eventually(() => expect(warnings).toEqual([expect.stringContaining("the shared store does not know this node, a")]));
    expect([cluster?.expelled, ended]).toEqual([undefined, []]);
    const removed = { keyHash: own?.value.keyHash, removedAt: 0, by: "uid 0" };
    await memory.writePrivate({ ...change, puts: [{ id: removedId("a"), value: removed }], deletes: [] });
    await eventually(() => expect(ended).toEqual([expect.stringContaining("this node, a, was removed from the mesh by uid 0")]));
    await cluster?.records.refresh();
    await cluster?.close();
    await expect(openCluster(options)).rejects.toBeInstanceOf(NodeRemovedError);
    expect([ended.length, warnings.length]).toEqual([1, 1]);
  } finally {
    await cluster?.close();
    rmSync(data, { recursive: true, force: true });
  }
});

test("Only a record says that a node was removed: its own, or that its name is another's", () => {
  const mine = { keyHash: "mine", authority: false, joinedAt: 0, joinedBy: "uid 0" };
  const gone = { keyHash: "mine", removedAt: 0, by: "uid 0" };
  const said = (nodes: Record<string, typeof mine>, removed: Record<string, typeof gone> = {}) =>
    expulsion("b", "mine", { nodes: new Map(Object.entries(nodes)), removed: new Map(Object.entries(removed)) })?.message;
  expect(said({ b: mine })).toBeUndefined();
  expect(said({})).toBeUndefined();
  expect(said({ a: mine }, { a: gone })).toBeUndefined();
  expect(said({}, { b: gone })).toContain("was removed from the mesh by uid 0 at 1970-01-01T00:00:00.000Z");
  for (const another of [said({ b: { ...mine, keyHash: "another's" } }), said({}, { b: { ...gone, keyHash: "another's" } })])
    expect(another).toContain("was removed from the mesh, and its name is another node's since");
});
