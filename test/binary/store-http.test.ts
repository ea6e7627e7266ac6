import { Database } from "bun:sqlite";
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { documents, MTLS, newDirectory, SERVICE, startWeft, useBinary, type Weft, WORKLOAD } from "./harness.ts";
import { watch } from "./watch.ts";

useBinary();

let weft: Weft;
beforeAll(async () => {
  weft = await startWeft();
});
afterAll(() => weft.stop());

const at = (name: string, kind = "PeerAuthentication") => `/v1/resources/${kind}/default/${name}`;
const revision = async (one = weft) => (await one.ask("GET", "/v1/resources")).json.revision as number;

describe("an apply", () => {
  test("of the same content a second time changes nothing, whatever the order of keys, comments and quotes", async () => {
    const first = await weft.apply(documents(SERVICE("same"), WORKLOAD("same-1", "same")));
    expect(first.applied).toMatchObject([{ action: "created" }, { action: "created" }]);
    const [service, workload] = [SERVICE("same"), WORKLOAD("same-1", "same")];
    const reordered = `# again\nkind: ServiceEntry\n${service.replace("kind: ServiceEntry\n", "")}`.replace(
      "MESH_INTERNAL",
      '"MESH_INTERNAL"',
    );
    const second = await weft.apply(documents(workload, reordered));
    expect(second).toMatchObject({ revision: first.revision, applied: [{ action: "unchanged" }, { action: "unchanged" }] });
  });

  test("of several documents happens whole or not at all: a wrong one, a conflict, or a resource twice undoes the rest", async () => {
    const before = await revision();
    const wrong = await weft.ask("POST", "/v1/apply", documents(MTLS("STRICT", "whole"), MTLS("STRIKT", "wrong")));
    expect(wrong.status).toBe(422);
    const conflict = MTLS("STRICT", "late").replace("name: late", "name: late, resourceVersion: '1'");
    expect((await weft.ask("POST", "/v1/apply", documents(MTLS("STRICT", "whole"), conflict))).status).toBe(409);
    const twice = await weft.ask("POST", "/v1/apply", documents(MTLS("STRICT", "whole"), MTLS("DISABLE", "whole")));
    expect(twice).toMatchObject({ status: 422, json: { problems: [{ code: "WF0013", line: 7 }] } });
    expect(await revision()).toBe(before);
    expect((await weft.ask("GET", at("whole"))).status).toBe(404);
  });

  test("of several files names each problem's own file", async () => {
    const directory = newDirectory();
    for (const name of ["a", "b"]) writeFileSync(join(directory, `${name}.yaml`), MTLS(`BAD_${name}`, name));
    const { code, err } = await weft.cli(["apply", "-f", directory]);
    expect(code).toBe(1);
    expect(err).toContain(`${join(directory, "a.yaml")}:5:16: error WF`);
    expect(err).toContain(`${join(directory, "b.yaml")}:5:16: error WF`);
  });

  test("as a dry run says what would happen, and does nothing", async () => {
    const before = await revision();
    const dry = await weft.ask("POST", "/v1/apply?dryRun=true", MTLS("STRICT", "dry"));
    expect(dry.json).toMatchObject({ applied: [{ action: "created", name: "dry" }] });
    expect((await weft.ask("GET", at("dry"))).status).toBe(404);
    expect(await revision()).toBe(before);
  });
});

describe("one resource over HTTP", () => {
  test("is created, read, replaced and deleted under its ETag", async () => {
    const created = await weft.ask("PUT", at("one"), MTLS("STRICT", "one"), { "if-none-match": "*" });
    expect(created).toMatchObject({ status: 201, json: { metadata: { name: "one" }, spec: { mtls: { mode: "STRICT" } } } });
    const etag = created.headers.get("etag") ?? "";
    expect(etag).toMatch(/^"\d+"$/);
    expect((await weft.ask("GET", created.headers.get("location") ?? "")).headers.get("etag")).toBe(etag);
    expect((await weft.ask("GET", at("one"), undefined, { "if-none-match": etag })).status).toBe(304);
    expect((await weft.ask("GET", "/v1/resources/pa/default/one")).status).toBe(200);

    expect((await weft.ask("PUT", at("one"), MTLS("DISABLE", "one"), { "if-none-match": "*" })).status).toBe(412);
    const replaced = await weft.ask("PUT", at("one"), MTLS("DISABLE", "one"), { "if-match": etag });
    expect(replaced.status).toBe(200);
    const next = replaced.headers.get("etag") ?? "";
    expect(next).not.toBe(etag);
    const again = await weft.ask("PUT", at("one"), MTLS("DISABLE", "one"));
    expect(again.headers.get("etag")).toBe(next);

    expect((await weft.ask("DELETE", at("one"), undefined, { "if-match": etag })).status).toBe(412);
    expect((await weft.ask("DELETE", at("one"), undefined, { "if-match": next })).json).toMatchObject({ applied: [{ action: "deleted" }] });
    expect((await weft.ask("GET", at("one"))).status).toBe(404);
    expect((await weft.ask("DELETE", at("one"))).status).toBe(404);
  });

  test("under a wrong If-Match is refused with 412 and a problem, and nothing is changed", async () => {
    const { revision: before } = await weft.apply(MTLS("STRICT", "guarded"));
    for (const [method, body] of [
      ["PUT", MTLS("DISABLE", "guarded")],
      ["DELETE", undefined],
    ] as const) {
      const refused = await weft.ask(method, at("guarded"), body, { "if-match": '"999999"' });
      expect(refused).toMatchObject({ status: 412, json: { code: "conflict" } });
      expect(refused.headers.get("content-type")).toBe("application/problem+json");
    }
    expect((await weft.ask("PUT", at("nowhere"), MTLS("STRICT", "nowhere"), { "if-match": "*" })).status).toBeGreaterThanOrEqual(404);
    expect((await weft.ask("PUT", at("guarded"), MTLS("DISABLE", "guarded"), { "if-match": "7" })).status).toBe(400);
    expect(await revision()).toBe(before);
  });

  test("must be the one that the address names", async () => {
    const before = await revision();
    expect((await weft.ask("PUT", at("this"), MTLS("STRICT", "that"))).status).toBe(400);
    expect((await weft.ask("PUT", at("this"), documents(MTLS("STRICT", "this"), MTLS("STRICT", "that")))).status).toBe(400);
    expect((await weft.ask("PUT", at("this", "Gatewey"), MTLS("STRICT", "this"))).status).toBe(404);
    expect((await weft.ask("PATCH", at("this"), "{}")).status).toBe(405);
    expect(await revision()).toBe(before);
  });
});

describe("a watch", () => {
  test("from 0 gives every revision once and in order, also those that come meanwhile, and resumes where it was", async () => {
    await using own = await startWeft();
    for (let index = 0; index < 20; index++) await own.apply(MTLS(index % 2 ? "STRICT" : "PERMISSIVE", "switch"));
    const first = watch(own, "?since=0");
    const applies = (async () => {
      for (let index = 0; index < 20; index++) await own.apply(documents(SERVICE(`s${index}`), MTLS("STRICT", `p${index}`)));
      await own.ask("DELETE", at("switch"));
    })();
    const seen = await first.take(30);
    await first.close();
    await applies;
    expect(seen.map(({ revision: number }) => number)).toEqual(Array.from({ length: 30 }, (_, index) => index + 1));
    expect(seen.map(({ id }) => id)).toEqual(seen.map(({ revision: number }) => String(number)));
    expect(seen[0]).toMatchObject({ changes: [{ action: "created", resource: { spec: { mtls: { mode: "PERMISSIVE" } } } }] });
    expect(seen[19]).toMatchObject({ changes: [{ action: "updated", resource: { spec: { mtls: { mode: "STRICT" } } } }] });
    expect(seen[25]?.changes).toHaveLength(2);

    const resumed = watch(own, "?since=0", { "last-event-id": "30" });
    const rest = await resumed.take(11);
    await resumed.close();
    expect(rest.map(({ revision: number }) => number)).toEqual(Array.from({ length: 11 }, (_, index) => index + 31));
    expect(rest[10]).toMatchObject({ changes: [{ action: "deleted", name: "switch" }] });
  });

  test("ends when weft ends", async () => {
    const own = await startWeft();
    const open = watch(own, "");
    await open.opened;
    expect(await own.stop()).toBe(0);
    expect(await open.take(1)).toEqual([]);
  });
});

test("the history keeps every revision, with who and when, and no unchanged apply", async () => {
  const own = await startWeft();
  await own.apply(MTLS("STRICT"));
  await own.apply(MTLS("STRICT"));
  await own.apply(MTLS("DISABLE"));
  const token = (await own.cli(["token"])).out.trim();
  expect((await own.askTcp("DELETE", at("default"), undefined, { authorization: `Bearer ${token}` })).status).toBe(200);
  await own.stop();
  using database = new Database(join(own.data, "weft.db"), { readonly: true });
  const rows = database.query("SELECT revision, action, who, at FROM history ORDER BY revision").all();
  expect(rows).toMatchObject([
    { revision: 1, action: "created", who: `uid ${process.getuid?.()}`, at: expect.stringMatching(/^20\d\d-.*Z$/) },
    { revision: 2, action: "updated", who: `uid ${process.getuid?.()}` },
    { revision: 3, action: "deleted", who: "admin token" },
  ]);
  await using again = await startWeft({ data: own.data });
  expect(await again.apply(MTLS("STRICT"))).toMatchObject({ revision: 4, applied: [{ action: "created" }] });
});

describe("files and the store", () => {
  test("what weft get prints, weft apply and weft diff take as unchanged", async () => {
    await using own = await startWeft();
    await own.apply(
      documents(SERVICE("orders"), WORKLOAD("orders-1", "orders"), MTLS("STRICT"), MTLS("DISABLE", "yes"), MTLS("STRICT", "n1")),
    );
    for (const kind of ["ServiceEntry", "WorkloadEntry", "PeerAuthentication"]) {
      for (const format of ["yaml", "json"]) {
        const { out } = await own.cli(["get", kind, "-o", format]);
        const applied = await own.cli(["apply", "-f", "-"], { input: out });
        expect(applied.code).toBe(0);
        expect(applied.out).toContain("unchanged");
        expect(applied.out).not.toContain("updated");
        expect(await own.cli(["diff", "-f", "-"], { input: out })).toEqual({ code: 0, out: "", err: "" });
      }
    }
    expect(await revision(own)).toBe(1);
  });

  test("weft diff shows the lines that an apply would change, and exits 1", async () => {
    await weft.apply(MTLS("STRICT", "diffed"));
    const { code, out } = await weft.cli(["diff", "-f", "-"], { input: documents(MTLS("DISABLE", "diffed"), MTLS("STRICT", "new")) });
    expect(code).toBe(1);
    expect(out).toMatch(/^- +mode: STRICT$/m);
    expect(out).toMatch(/^\+ +mode: DISABLE$/m);
    expect(out).toContain("/dev/null");
    expect((await weft.ask("GET", at("new"))).status).toBe(404);
  });

  test("weft delete -f removes what the file names as one revision, and says with exit 1 what was not there", async () => {
    const file = documents(MTLS("STRICT", "gone-1"), MTLS("STRICT", "gone-2"));
    const { revision: before } = await weft.apply(file);
    const dry = await weft.cli(["delete", "-f", "-", "--dry-run"], { input: file });
    expect([dry.code, dry.out]).toEqual([
      0,
      "PeerAuthentication default/gone-1 deleted (dry run)\nPeerAuthentication default/gone-2 deleted (dry run)\n",
    ]);
    expect([await revision(), (await weft.ask("GET", at("gone-1"))).status]).toEqual([before, 200]);
    const deleted = await weft.cli(["delete", "-f", "-"], { input: file });
    expect([deleted.code, deleted.err]).toEqual([0, ""]);
    expect(deleted.out).toEndWith(`PeerAuthentication default/gone-2 deleted\nrevision ${before + 1}\n`);
    expect(await revision()).toBe(before + 1);
    expect((await weft.ask("GET", at("gone-1"))).status).toBe(404);
    const again = await weft.cli(["delete", "-f", "-"], { input: file });
    expect(again.code).toBe(1);
    expect(again.err).toContain("PeerAuthentication default/gone-2 is not there");
  });
});

describe("POST /v1/delete", () => {
  const remove = (items: unknown[], query = "") => weft.ask("POST", `/v1/delete${query}`, JSON.stringify({ items }));
  const item = (name: string, more = {}) => ({ kind: "pa", namespace: "default", name, ...more });

  test("deletes what is there in one transaction, tells what is not, and does neither where a resourceVersion is another", async () => {
    const applied = await weft.apply(documents(MTLS("STRICT", "batch-1"), MTLS("STRICT", "batch-2")));
    const { resourceVersion } = applied.applied[0];
    const before = await revision();
    expect((await remove([item("batch-1"), item("batch-2", { resourceVersion: "1" })])).status).toBe(409);
    expect((await remove([item("batch-1"), item("absent", { resourceVersion: "1" })])).status).toBe(409);
    expect((await weft.ask("GET", at("batch-1"))).status).toBe(200);

    const { status, json } = await remove([item("batch-1", { resourceVersion }), item("absent"), item("batch-2")]);
    expect(status).toBe(200);
    expect(json).toMatchObject({
      revision: before + 1,
      applied: [
        { name: "batch-1", action: "deleted" },
        { name: "batch-2", action: "deleted" },
      ],
      missing: [{ kind: "PeerAuthentication", namespace: "default", name: "absent" }],
    });
    expect((await remove([item("batch-1")])).json).toMatchObject({ revision: before + 1, applied: [], missing: [{ name: "batch-1" }] });
  });

  test("refuses what is named twice, names no kind, or names nothing", async () => {
    const before = await revision();
    expect((await remove([item("one"), { kind: "PeerAuthentication", name: "one" }])).status).toBe(400);
    expect((await remove([{ kind: "Pod", name: "one" }])).status).toBe(404);
    expect((await remove([])).status).toBe(400);
    expect((await remove([item("one", { resourceversion: "1" })])).status).toBe(400);
    expect(await revision()).toBe(before);
  });
});

describe("writers at the same time", () => {
  test("each get a revision of their own, and none is lost", async () => {
    await using own = await startWeft();
    const outcomes = await Promise.all(Array.from({ length: 40 }, (_, index) => own.apply(MTLS("STRICT", `writer-${index}`))));
    expect(outcomes.map((outcome) => outcome.revision as number).sort((a, b) => a - b)).toEqual(
      Array.from({ length: 40 }, (_, index) => index + 1),
    );
    expect((await own.ask("GET", "/v1/resources")).json).toMatchObject({ revision: 40, items: { length: 40 } });
  });

  test("with the same ETag: one wins, the others are refused with 412", async () => {
    const etag = (await weft.ask("PUT", at("race"), MTLS("STRICT", "race"))).headers.get("etag") ?? "";
    const writers = Array.from({ length: 10 }, (_, index) =>
      weft.ask("PUT", at("race"), MTLS("DISABLE", "race").replace("name: race", `name: race, labels: {by: w${index}}`), {
        "if-match": etag,
      }),
    );
    const statuses = (await Promise.all(writers)).map(({ status }) => status).sort();
    expect(statuses).toEqual([200, ...Array(9).fill(412)]);
  });
});
