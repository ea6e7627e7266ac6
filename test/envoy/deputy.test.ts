/** Proxies that are led to weft's own sockets: they run as weft's user here, so the files' modes do not keep them out. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { rmSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { tcpExchange } from "../../scripts/lib/lab/call.ts";
import { waitFor } from "../../scripts/lib/lab/wait.ts";
import { callFrom, callPlaintext, describeMesh, type Member } from "./harness.ts";

const entry = (name: string, path: string, port = "{number: 80, name: http, protocol: HTTP}") => `apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: ${name}}
spec:
  hosts: [${name}.example]
  resolution: STATIC
  ports: [${port}]
  endpoints: [{address: "unix://${path}"}]
`;

describeMesh("An Envoy that an editor leads to a Unix socket", (lab) => {
  let web: Member;
  let batch: Member;
  /** What the mesh knows, and where the application of `batch` listens. */
  let outside: string;
  let inside: string;
  const servers: { stop(closeActive: boolean): unknown }[] = [];

  beforeAll(async () => {
    const { directory, weft } = lab();
    outside = join(directory, "outside.sock");
    inside = join(directory, "inside.sock");
    const listen = (unix: string) => servers.push(Bun.serve({ unix, fetch: () => new Response(`at ${unix}`) }));
    listen(outside);
    listen(inside);
    web = await lab().workload({ name: "web-1", service: "web", listenFor: { stream: "stream.example:9" } });
    const member = await lab().workload({ name: "batch-1", service: "batch" });
    batch = { ...member, yaml: member.yaml.replace(/http=[0-9.]+:\d+/, `http=unix://${inside}`) };
    await weft.apply(`${entry("route", outside)}---\n${entry("stream", outside, "{number: 9, name: tcp, protocol: TCP}")}`);
    await lab().join([{ name: "web" }, { name: "batch" }], [web, batch]);
  });
  afterAll(() => Promise.all(servers.map((server) => server.stop(true))));

  const byTcp = async () => {
    const request = `GET /v1/resources HTTP/1.1\r\nHost: weft\r\nConnection: close\r\n\r\n`;
    const { reply = "" } = await tcpExchange({ address: web.place.address, port: web.place.listen.stream ?? 0 }, request, 3_000);
    return { status: Number(/^HTTP\/1\.1 (\d+)/.exec(reply)?.[1] ?? 0), text: reply };
  };
  /** The ways there are to whatever listens: a route, a stream of bytes, and a workload's own application. */
  const ways = {
    route: () => callFrom(web, "route.example", { path: "/v1/resources" }),
    stream: byTcp,
    application: () => callPlaintext(batch, { path: "/v1/resources" }),
  };

  test("reaches an application's, as in Istio, by each way there is", async () => {
    for (const [way, ask] of Object.entries(ways)) {
      const { text } = await waitFor(way, ask, ({ status }) => status === 200);
      expect(text).toContain(`at ${way === "application" ? inside : outside}`);
    }
  });

  test("reaches none of weft's: the document is refused, and its line told", async () => {
    for (const socket of ["admin.sock", "ads.sock", "workload.sock"]) {
      const path = join(lab().weft.data, socket);
      const { code, stderr } = await lab().weft.cli(["apply", "-f", "-"], { input: entry("route", path) });
      expect({ code, stderr }).toMatchObject({ code: 1, stderr: expect.stringContaining(`<stdin>:8:`) });
      expect(stderr).toContain(`${path} leads to weft's own files`);
    }
  });

  test("... and where a link leads to admin.sock, made later, weft knows that it is an Envoy which asks", async () => {
    await Promise.all(servers.splice(0).map((server) => server.stop(true)));
    for (const path of [outside, inside]) {
      rmSync(path, { force: true });
      symlinkSync(join(lab().weft.data, "admin.sock"), path);
    }
    for (const [way, ask] of Object.entries(ways)) {
      const { status, text } = await waitFor(way, ask, ({ text }) => text.includes("weft") || text.includes("apiVersion"));
      expect([way, status, text]).toEqual([way, 403, expect.stringContaining("this call comes through an Envoy")]);
    }
    // Its owner, by curl or otherwise, needs nothing more than before.
    expect((await lab().weft.api("GET", "/v1/resources")).status).toBe(200);
    expect((await lab().weft.cli(["get", "serviceentries"])).code).toBe(0);
  });
});
