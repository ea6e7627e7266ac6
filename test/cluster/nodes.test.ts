/** Whole wefts that become one mesh: who is let in, who signs for whom, who is thrown out. */
import { afterEach, describe, expect, test } from "bun:test";
import { readFileSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { joinNode } from "../../src/control/join-node.ts";
import { systemClock } from "../../src/lib/clock.ts";
import { eventually, TestMesh } from "./mesh.ts";

let mesh = new TestMesh();
afterEach(async () => {
  await mesh.close();
  mesh = new TestMesh();
});

describe("A mesh of nodes", () => {
  test("is founded by the first node of an empty store, and lists it", async () => {
    const a = await mesh.found();
    const { json } = await a.ask("GET", "/v1/nodes");
    expect(json.items).toMatchObject([{ name: "a", roles: ["authority"], state: "here", address: a.listening.cluster }]);
  });

  test("lets a node in by a token, which then has the mesh's seal key and no CA of its own", async () => {
    const a = await mesh.found();
    const b = await mesh.join(a, "b");
    expect(readFileSync(join(b.data, "secrets.key"), "utf8")).toBe(readFileSync(join(a.data, "secrets.key"), "utf8"));
    for (const file of ["node.key", "node.crt", "node.json"]) expect(statSync(join(b.data, file)).mode & 0o777).toBe(0o600);
    expect(() => statSync(join(b.data, "ca", "journal.json"))).toThrow();
    await eventually(async () => {
      const { json } = await a.ask("GET", "/v1/nodes");
      expect(json.items).toMatchObject([
        { name: "a", state: "here" },
        { name: "b", roles: [], state: "connected", revisions_behind: 0 },
      ]);
    });
    const metrics = await fetch("http://weft/metrics", { unix: b.listening.admin_socket });
    const [, ends = "0"] = /^weft_certificate_expiry_timestamp_seconds\{certificate="node"\} (\S+)$/m.exec(await metrics.text()) ?? [];
    expect(Number(ends)).toBeGreaterThan(Date.now() / 1_000 + 3_000);
    const [bundleOfA, bundleOfB] = await Promise.all([a, b].map((node) => node.ask("GET", "/v1/bundle")));
    expect(bundleOfB?.json.keys).toEqual(bundleOfA?.json.keys);
  });

  test("makes no seal key of its own for a node that lost the mesh's", async () => {
    const a = await mesh.found();
    const b = await mesh.join(a, "b");
    await b.stop();
    rmSync(join(b.data, "secrets.key"));
    await expect(mesh.start(b.data)).rejects.toThrow("which all nodes of the mesh share");
  });

  test("uses a token once", async () => {
    const a = await mesh.found();
    const { token, address } = await mesh.token(a);
    await joinNode({ data: mesh.directory(), node: "b", token, address, clock: systemClock });
    await expect(joinNode({ data: mesh.directory(), node: "c", token, address, clock: systemClock })).rejects.toThrow(
      "this join token is not known: it was used",
    );
    const both = await mesh.token(a);
    const outcomes = await Promise.allSettled(
      ["d", "e", "f"].map((node) => joinNode({ data: mesh.directory(), node, clock: systemClock, ...both })),
    );
    expect(outcomes.map(({ status }) => status).sort()).toEqual(["fulfilled", "rejected", "rejected"]);
    const { json } = await a.ask("GET", "/v1/audit");
    const actions = (json.records as { action: string; outcome: string; who: string }[]).map(
      ({ action, outcome }) => `${action} ${outcome}`,
    );
    expect(actions).toContain("issue-join-token done");
    expect(actions).toContain("use-join-token done");
    expect(actions).toContain("join done");
    expect(actions).toContain("Join refused");
    expect(JSON.stringify(json)).not.toContain(token.split(".")[1] ?? "");
  });

  test("lets a node whose join was cut short do it again with the same token and data directory", async () => {
    const a = await mesh.found();
    const granted = await mesh.token(a);
    const data = mesh.directory();
    await joinNode({ data, node: "b", clock: systemClock, ...granted });
    // As where weft join was killed before it had kept the answer: of all that it writes, the key comes first.
    for (const file of ["node.json", "node.crt", "secrets.key"]) rmSync(join(data, file));
    await expect(joinNode({ data: mesh.directory(), node: "b", clock: systemClock, ...granted })).rejects.toThrow("it was used");
    await joinNode({ data, node: "b", clock: systemClock, ...granted });
    const b = await mesh.start(data);
    expect((await b.ask("GET", "/v1/nodes")).json.items).toMatchObject([{ name: "a" }, { name: "b", state: "here" }]);
  });

  test("refuses a token for another name, a name that is taken, and a directory that is a node's already", async () => {
    const a = await mesh.found();
    const forB = await mesh.token(a, { node: "b" });
    await expect(joinNode({ data: mesh.directory(), node: "c", clock: systemClock, ...forB })).rejects.toThrow("is for node b, not c");
    const data = mesh.directory();
    await joinNode({ data, node: "b", clock: systemClock, ...forB });
    const again = await mesh.token(a);
    await expect(joinNode({ data: mesh.directory(), node: "b", clock: systemClock, ...again })).rejects.toThrow(
      "there is a node b in the mesh",
    );
    await expect(joinNode({ data, node: "c", clock: systemClock, ...again })).rejects.toThrow("that of node b");
    await expect(joinNode({ data: a.data, node: "c", clock: systemClock, ...again })).rejects.toThrow("another weft runs on");
  });

  test("lets no node make a second root: it must join", async () => {
    const a = await mesh.found();
    await expect(mesh.start(mesh.directory(), { node: "b" })).rejects.toThrow("it would make a second root");
    const stranger = await mesh.start(mesh.directory(), { node: "b" }).catch((reason) => reason);
    expect(stranger.help).toContain(`a (${a.listening.cluster})`);
    await expect(mesh.start(mesh.directory(), { node: "a" })).rejects.toThrow("it would make a second root");
  });

  test("is founded by one of two that start at once", async () => {
    const starting = ["a", "b"].map((node) => mesh.start(mesh.directory(), { node }));
    const outcomes = await Promise.allSettled(starting);
    expect(outcomes.map(({ status }) => status).sort()).toEqual(["fulfilled", "rejected"]);
    const refused = outcomes.find((one) => one.status === "rejected");
    expect(String(refused?.reason)).toContain("it would make a second root");
  });

  test("keeps a node's name", async () => {
    const a = await mesh.found("a");
    await a.stop();
    await expect(mesh.start(a.data, { node: "z" })).rejects.toThrow("cannot become node z's");
    const again = await mesh.start(a.data);
    expect((await again.ask("GET", "/v1/nodes")).json.items).toMatchObject([{ name: "a", state: "here" }]);
  });

  test("is of one trust domain", async () => {
    const a = await mesh.found();
    await expect(mesh.start(mesh.directory(), { node: "b", trustDomain: "other.mesh" })).rejects.toThrow(
      "of trust domain mesh.local, not other.mesh",
    );
    const token = await mesh.token(a);
    await expect(joinNode({ data: mesh.directory(), node: "b", trustDomain: "other.mesh", clock: systemClock, ...token })).rejects.toThrow(
      "is of trust domain mesh.local",
    );
  });
});
