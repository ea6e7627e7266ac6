/** Who gets in at ADS, and as whom, with a whole weft behind it. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fromBinary } from "@bufbuild/protobuf";
import { Code } from "@connectrpc/connect";
import { type RunningWeft, startWeft } from "../../src/control/start.ts";
import { SecretSchema } from "../../src/gen/envoy/extensions/transport_sockets/tls/v3/secret_pb.ts";
import { systemClock } from "../../src/lib/clock.ts";
import { TYPE } from "../../src/lib/encoded.ts";
import { DeltaClient, type Target } from "../feature/ads-client.ts";
import { eventually } from "./weft.ts";

const entry = (name: string, serviceAccount: string, more = "") =>
  `apiVersion: networking.istio.io/v1\nkind: WorkloadEntry\nmetadata: {name: ${name}${more}}\nspec: {address: 127.9.0.1, serviceAccount: ${serviceAccount}}\n---\n`;

describe("At ADS", () => {
  const data = mkdtempSync(join(tmpdir(), "weft-doors-"));
  let weft: RunningWeft;
  const clients: DeltaClient[] = [];

  const ask = async (method: string, path: string, body?: unknown) => {
    const init = typeof body === "string" ? { body } : { body: JSON.stringify(body), headers: { "content-type": "application/json" } };
    const response = await fetch(`http://weft${path}`, { method, unix: weft.listening.admin_socket, ...(body === undefined ? {} : init) });
    const text = await response.text();
    if (!response.ok) throw new Error(text);
    return JSON.parse(text) as Record<string, string>;
  };
  const place = (text = "") => ({ address: text.slice(0, text.lastIndexOf(":")), port: Number(text.slice(text.lastIndexOf(":") + 1)) });
  const client = (target: Target, options: ConstructorParameters<typeof DeltaClient>[1]) => {
    const made = new DeltaClient(target, options);
    clients.push(made);
    made.subscribe(TYPE.secret, "default");
    return made;
  };
  const tokenOf = async (workload: string) => (await ask("POST", "/v1/tokens", { workload })).token ?? "";

  /** The SVID that the workload's own proxy is given. */
  const svidOf = async (workload: string) => {
    const proxy = client(place(weft.listening.ads), { token: await tokenOf(workload) });
    const { bodies } = await proxy.next(TYPE.secret);
    proxy.close();
    const { type } = fromBinary(SecretSchema, bodies[0] ?? new Uint8Array());
    if (type.case !== "tlsCertificate") throw new Error("no certificate");
    const text = (source?: { specifier: { value?: unknown } }) => {
      const value = source?.specifier.value;
      return typeof value === "string" ? value : new TextDecoder().decode(value as Uint8Array);
    };
    return { cert: text(type.value.certificateChain), key: text(type.value.privateKey) };
  };
  const byTls = (node: string, tls: object, token?: string) =>
    client({ ...place(weft.listening.ads_tls), tls: { rejectUnauthorized: false, ...tls } }, { node, token });
  const connected = async () =>
    ((await ask("GET", "/v1/proxies")) as unknown as { items: { id: string; connected: boolean }[] }).items
      .filter((one) => one.connected)
      .map(({ id }) => id);

  beforeAll(async () => {
    const anywhere = { host: "127.0.0.1", port: 0 };
    weft = await startWeft({
      data,
      ads: anywhere,
      admin: anywhere,
      adsTls: anywhere,
      trustDomain: "mesh.local",
      store: "sqlite",
      adminHosts: () => [],
      version: "test",
      clock: systemClock,
      env: {},
    });
    await ask(
      "POST",
      "/v1/apply",
      entry("web-1", "web") +
        entry("web-2", "web") +
        entry("stolen-1", "shared") +
        entry("stolen-2", "shared") +
        entry("admin-1", "admin") +
        entry("own", "own", `, annotations: {weft.dev/unix-user: "47003"}`),
    );
  });
  afterAll(async () => {
    for (const one of clients) one.close();
    await weft.close();
    rmSync(data, { recursive: true, force: true });
  });

  test("a token, an X.509-SVID and nothing else open a stream over TLS, each as the workload that it proves", async () => {
    const svid = await svidOf("web-1");
    await byTls("default/web-1", {}, await tokenOf("web-1")).next(TYPE.secret);
    await byTls("sidecar~default/web-2", svid).next(TYPE.secret);
    expect((await connected()).sort()).toEqual(["default/web-1", "default/web-2"]);
    const nobody = await byTls("default/web-1", {}).end();
    expect(nobody).toMatchObject({ code: Code.Unauthenticated, rawMessage: expect.stringContaining("no workload token was sent") });
  });

  test("a node.id chooses among the workloads of an identity, is needed where there are several, and opens no other", async () => {
    const svid = await svidOf("web-1");
    const outside = await byTls("default/admin-1", svid).end();
    const absent = await byTls("default/not-there", svid).end();
    expect(outside?.code).toBe(Code.PermissionDenied);
    expect(outside?.rawMessage).toContain("is not that of a workload default/admin-1");
    // What there is besides, nobody learns from a refusal.
    expect(absent?.rawMessage).toBe(outside?.rawMessage.replace("admin-1", "not-there") ?? "");
    expect((await byTls("anything", svid).end())?.rawMessage).toContain("is that of several workloads (default/web-1, default/web-2)");
    await byTls("anything", await svidOf("admin-1")).next(TYPE.secret);
  });

  test("a token wins over a certificate, and a bad one is not mended by a good certificate", async () => {
    const svid = await svidOf("web-1");
    const other = await tokenOf("admin-1");
    const proxy = byTls("default/web-1", svid, other);
    const { bodies } = await proxy.next(TYPE.secret);
    expect(bodies.length).toBe(1);
    expect(await connected()).toContain("default/admin-1");
    expect((await byTls("default/web-1", svid, "nonsense").end())?.code).toBe(Code.Unauthenticated);
  });

  test("a certificate from before a revocation opens no stream, neither of the workload nor of another with its service account", async () => {
    const svid = await svidOf("stolen-1");
    await byTls("default/stolen-1", svid).next(TYPE.secret);
    await byTls("default/stolen-2", svid).next(TYPE.secret);
    const byToken = client(place(weft.listening.ads), { token: await tokenOf("stolen-2") });
    await byToken.next(TYPE.secret);
    const revoked = await ask("POST", "/v1/tokens/revoke", { workload: "default/stolen-1" });
    // A token of its own is no certificate: that stream stays.
    expect(revoked).toMatchObject({ streams: 2, spiffe_ids: ["spiffe://mesh.local/ns/default/sa/shared"] as never });
    await eventually(async () => expect(await connected()).not.toContain("default/stolen-1"));
    expect(await connected()).toContain("default/stolen-2");
    for (const name of ["stolen-1", "stolen-2"]) {
      const refused = await byTls(`default/${name}`, svid).end();
      expect(refused).toMatchObject({
        code: Code.Unauthenticated,
        rawMessage: expect.stringContaining("was revoked, and opens nothing any more"),
      });
    }
    byToken.close();
  });

  test("a workload's certificate opens nothing after its revocation, although its WorkloadEntry has another service account by then, or is gone", async () => {
    await ask("POST", "/v1/apply", entry("moved-1", "moved") + entry("moved-2", "moved"));
    const svid = await svidOf("moved-1");
    await ask("POST", "/v1/apply", entry("moved-1", "elsewhere"));
    await ask("DELETE", "/v1/resources/WorkloadEntry/default/moved-1");
    await ask("POST", "/v1/tokens/revoke", { workload: "default/moved-1" });
    expect((await byTls("default/moved-2", svid).end())?.rawMessage).toContain("was revoked");
  });

  test("who proved one service account gets nothing of another that its workload is given later", async () => {
    const svid = await svidOf("web-2");
    const proxy = byTls("default/web-2", svid);
    await proxy.next(TYPE.secret);
    const before = proxy.responses.length;
    await ask("POST", "/v1/apply", entry("web-2", "admin"));
    expect((await proxy.end())?.rawMessage).toContain("is not good for its workload any more");
    for (const { bodies } of proxy.responses.slice(before)) expect(bodies).toEqual([]);
  });

  test("root is nobody's user at the Unix socket, and a stream without a token is told what it lacks", async () => {
    const proxy = client({ path: weft.listening.ads_socket }, { node: "default/own" });
    const end = await proxy.end();
    expect(end?.code).toBe(Code.Unauthenticated);
    expect(end?.rawMessage).toContain(`uid ${process.getuid?.()} runs no workload's proxy`);
    expect(end?.rawMessage).toContain("weft token --workload");
  });

  test("the plain port serves no TLS, and no user's name counts there", async () => {
    const refused = await client(place(weft.listening.ads), { node: "default/own" }).end();
    expect(refused?.code).toBe(Code.Unauthenticated);
    expect(readFileSync(join(data, "listening.json"), "utf8")).toContain("ads_tls");
  });
});
