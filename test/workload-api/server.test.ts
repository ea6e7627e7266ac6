import { afterEach, expect, test } from "bun:test";
import { X509Certificate } from "node:crypto";
import { existsSync, statSync } from "node:fs";
import { Code, ConnectError } from "@connectrpc/connect";
import type { X509SVIDResponse } from "../../src/gen/spiffe/workload_pb.ts";
import { WeftError } from "../../src/lib/errors.ts";
import { HEADER, id, registered, type Served, serve } from "./served.ts";

let served: Served | undefined;
const open = async (options?: Parameters<typeof serve>[0]) => {
  served = await serve(options);
  return served;
};
afterEach(async () => {
  await served?.close();
  served = undefined;
});

/** The gRPC status that `call` ends with. */
async function codeOf(call: Promise<unknown>): Promise<string> {
  const reason = await call.then(() => "OK", ConnectError.from);
  return typeof reason === "string" ? reason : (Code[reason.code] ?? "?");
}
const first = async <T>(stream: AsyncIterable<T>): Promise<T> => {
  for await (const message of stream) return message;
  throw new Error("the stream ended without a message");
};
const calls = ({ client }: Served, options: { readonly headers?: Readonly<Record<string, string>> } = HEADER) => ({
  FetchX509SVID: () => first(client.fetchX509SVID({}, options)),
  FetchX509Bundles: () => first(client.fetchX509Bundles({}, options)),
  FetchJWTBundles: () => first(client.fetchJWTBundles({}, options)),
  FetchJWTSVID: () => client.fetchJWTSVID({ audience: ["a"] }, options),
  ValidateJWTSVID: () => client.validateJWTSVID({ audience: "a", svid: "x" }, options),
});
const codesOf = async (all: Readonly<Record<string, () => Promise<unknown>>>) =>
  Promise.all(Object.values(all).map((call) => codeOf(call())));

test("Every call without the security header, or with another value, is answered with InvalidArgument", async () => {
  const weft = await open();
  weft.register(registered("billing"));
  for (const headers of [{}, { "workload.spiffe.io": "TRUE" }, { "workload.spiffe.io": "1" }] as Record<string, string>[]) {
    expect(await codesOf(calls(weft, { headers }))).toEqual(Array(5).fill("InvalidArgument"));
  }
});

test("A process without a registration gets PermissionDenied from each call, and one is all that it needs", async () => {
  const weft = await open();
  expect(await codesOf(calls(weft))).toEqual(Array(5).fill("PermissionDenied"));
  weft.register({ spiffeId: id("other"), unix: { uid: 77_777 }, hint: "" });
  expect(await codesOf(calls(weft))).toEqual(Array(5).fill("PermissionDenied"));
  weft.register(registered("billing"));
  expect(await codesOf(calls(weft))).toEqual(["OK", "OK", "OK", "OK", "InvalidArgument"]);
  expect(weft.told.filter((line) => line.includes("PERMISSION_DENIED"))).toHaveLength(10);
});

test("While registrations are not loaded, and while the CA does not sign, calls are answered with Unavailable", async () => {
  const loading = await open({ registrations: () => undefined });
  expect(await codesOf(calls(loading))).toEqual(Array(5).fill("Unavailable"));
  await loading.close();
  const weft = await open({
    svids: { subscribe: () => () => {} },
    limits: { firstSvidMs: 20 },
    issueJwtSvid: () => Promise.reject(new WeftError("unavailable", "no key")),
  });
  weft.register(registered("billing"));
  expect(await codeOf(calls(weft).FetchX509SVID())).toBe("Unavailable");
  expect(await codeOf(calls(weft).FetchJWTSVID())).toBe("Unavailable");
});

test("The profile that is not served, and whatever else, is Unimplemented", async () => {
  const weft = await open();
  weft.register(registered("billing"));
  for (const method of [
    "/SpiffeWorkloadAPI/FetchWITSVID",
    "/SpiffeWorkloadAPI/FetchWITBundles",
    "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
  ]) {
    expect(await statusOf(weft.path, method, { "workload.spiffe.io": "true" })).toBe(String(Code.Unimplemented));
    expect(await statusOf(weft.path, method, {})).toBe(String(Code.InvalidArgument));
  }
});

test("Mandatory fields that are missing are answered with InvalidArgument, the identity of another with PermissionDenied", async () => {
  const weft = await open();
  weft.register(registered("billing"));
  expect(await codeOf(weft.client.fetchJWTSVID({}, HEADER))).toBe("InvalidArgument");
  expect(await codeOf(weft.client.fetchJWTSVID({ audience: [""] }, HEADER))).toBe("InvalidArgument");
  expect(await codeOf(weft.client.fetchJWTSVID({ audience: ["a"], spiffeId: "not-one" }, HEADER))).toBe("InvalidArgument");
  expect(await codeOf(weft.client.fetchJWTSVID({ audience: ["a"], spiffeId: id("orders") }, HEADER))).toBe("PermissionDenied");
  const [svid] = (await weft.client.fetchJWTSVID({ audience: ["a"] }, HEADER)).svids;
  expect(await codeOf(weft.client.validateJWTSVID({ svid: svid?.svid ?? "" }, HEADER))).toBe("InvalidArgument");
  expect(await codeOf(weft.client.validateJWTSVID({ audience: "a" }, HEADER))).toBe("InvalidArgument");
  expect(await codeOf(weft.client.validateJWTSVID({ audience: "b", svid: svid?.svid ?? "" }, HEADER))).toBe("InvalidArgument");
  const good = await weft.client.validateJWTSVID({ audience: "a", svid: svid?.svid ?? "" }, HEADER);
  expect([good.spiffeId, good.claims?.sub, good.claims?.aud]).toEqual([id("billing"), id("billing"), ["a"]]);
});

test("A JWT-SVID is made for every audience that was asked for, and given out again while it is young", async () => {
  const weft = await open();
  weft.register(registered("billing", "internal"), registered("reports"));
  const all = await weft.client.fetchJWTSVID({ audience: ["a", "b"] }, HEADER);
  expect(all.svids.map(({ spiffeId, hint }) => [spiffeId, hint])).toEqual([
    [id("billing"), "internal"],
    [id("reports"), ""],
  ]);
  for (const audience of ["a", "b"]) {
    const checked = await weft.client.validateJWTSVID({ audience, svid: all.svids[0]?.svid ?? "" }, HEADER);
    expect(checked.claims?.aud).toEqual(["a", "b"]);
  }
  const again = await weft.client.fetchJWTSVID({ audience: ["a", "b"], spiffeId: id("reports") }, HEADER);
  expect(again.svids.map(({ svid }) => svid)).toEqual([all.svids[1]?.svid ?? ""]);
});

/** Messages of a stream, one at a time; none is missed. */
function reader(weft: Served) {
  const ending = new AbortController();
  const stream = weft.client.fetchX509SVID({}, { ...HEADER, signal: ending.signal })[Symbol.asyncIterator]();
  const next = async (): Promise<X509SVIDResponse> => {
    const { value, done } = await stream.next();
    if (done) throw new Error("the stream ended");
    return value;
  };
  return { next, end: () => ending.abort() };
}

test("A stream says all again when an SVID is renewed, when identities come and go, and when a bundle changes", async () => {
  const weft = await open();
  weft.register(registered("billing"));
  const { next, end } = reader(weft);
  const [before] = (await next()).svids;
  expect(before?.spiffeId).toBe(id("billing"));
  expect(new X509Certificate(Buffer.from(before?.x509Svid ?? [])).subjectAltName).toBe(`URI:${id("billing")}`);

  weft.svids.reissue();
  const [renewed] = (await next()).svids;
  expect(renewed?.x509Svid).not.toEqual(before?.x509Svid ?? new Uint8Array());

  weft.register(registered("billing"), registered("reports", "external"));
  expect((await next()).svids.map(({ spiffeId, hint }) => [spiffeId, hint])).toEqual([
    [id("billing"), ""],
    [id("reports"), "external"],
  ]);

  const other = { ...weft.authority.bundle(), trustDomain: "other.example" };
  weft.federate(other);
  const federated = await next();
  expect(Object.keys(federated.federatedBundles)).toEqual(["spiffe://other.example"]);
  expect(federated.svids).toHaveLength(2);

  // What is taken back is not in the next message, and where nothing is left the stream ends.
  weft.federate();
  expect((await next()).federatedBundles).toEqual({});
  weft.register();
  expect(await codeOf(next())).toBe("PermissionDenied");
  end();
});

test("Bundles are told by trust domain, never merged; JWT bundles hold keys for JWT-SVIDs and nothing else", async () => {
  const weft = await open();
  weft.register(registered("billing"));
  weft.federate({ ...weft.authority.bundle(), trustDomain: "other.example", jwt: [] });
  const x509 = await calls(weft).FetchX509Bundles();
  expect(Object.keys(x509.bundles).sort()).toEqual(["spiffe://mesh.local", "spiffe://other.example"]);
  const { bundles } = await calls(weft).FetchJWTBundles();
  const read = (name: string) => JSON.parse(new TextDecoder().decode(bundles[name])) as { keys: Record<string, unknown>[] };
  expect(read("spiffe://other.example")).toEqual({ keys: [] });
  const { keys } = read("spiffe://mesh.local");
  expect(keys.map(({ use, kty, kid, d }) => [use, kty, typeof kid, d])).toEqual([["jwt-svid", "EC", "string", undefined]]);
});

test("A caller is given its first 32 identities, so that no response is larger than what any client takes at once", async () => {
  const weft = await open();
  weft.register(...Array.from({ length: 40 }, (_, index) => registered(`a${index}`)));
  const { svids } = await calls(weft).FetchX509SVID();
  expect([svids.length, svids[0]?.spiffeId, svids.at(-1)?.spiffeId]).toEqual([32, id("a0"), id("a31")]);
  expect(weft.told.join()).toContain("40 identities are registered");
});

test("What the audit is told names process and SVID, and holds no key and no token", async () => {
  const weft = await open();
  weft.register(registered("billing"));
  const [svid] = (await calls(weft).FetchX509SVID()).svids;
  const [token] = (await weft.client.fetchJWTSVID({ audience: ["a"] }, HEADER)).svids;
  const text = weft.told.join("\n");
  expect(text).toContain(`"who":"uid ${process.getuid?.()} (`);
  expect(text).toContain(`X.509-SVID ${id("billing")} serial`);
  expect(text).toContain(`JWT-SVID ${id("billing")} for a`);
  expect(text).not.toContain(token?.svid.split(".")[2] ?? "?");
  for (const encoding of ["base64", "hex"] as const)
    expect(text).not.toContain(
      Buffer.from(svid?.x509SvidKey ?? [])
        .toString(encoding)
        .slice(40, 80),
    );
});

test("An SVID whose record cannot be written is not given out", async () => {
  const weft = await open({ observer: { issuing: () => Promise.reject(new WeftError("unavailable", "the store is full")) } });
  weft.register(registered("billing"));
  expect(await codeOf(calls(weft).FetchX509SVID())).toBe("Unavailable");
  expect(await codeOf(calls(weft).FetchJWTSVID())).toBe("Unavailable");
});

test("A user's calls beyond the limit are shed with Unavailable, and a request that is too large is refused", async () => {
  const weft = await open({ limits: { maxCallsPerUid: 2 } });
  weft.register(registered("billing"));
  const held = [reader(weft), reader(weft)];
  for (const { next } of held) await next();
  expect(await codeOf(calls(weft).FetchJWTSVID())).toBe("Unavailable");
  for (const { end } of held) end();
  for (const until = performance.now() + 10_000; (await codeOf(calls(weft).FetchJWTSVID())) !== "OK"; )
    expect(performance.now()).toBeLessThan(until);
  expect(await codeOf(weft.client.validateJWTSVID({ audience: "a", svid: "x".repeat(100_000) }, HEADER))).toBe("ResourceExhausted");
});

test("At the end streams end with Unavailable, and the socket is gone", async () => {
  const weft = await open();
  weft.register(registered("billing"));
  expect(statSync(weft.path).mode & 0o777).toBe(0o666);
  const { next } = reader(weft);
  await next();
  const closed = weft.api.close(2_000);
  expect(await codeOf(next())).toBe("Unavailable");
  await closed;
  expect(existsSync(weft.path)).toBe(false);
});

async function statusOf(path: string, method: string, headers: Readonly<Record<string, string>>): Promise<string> {
  const { connect } = await import("node:http2");
  const net = await import("node:net");
  const session = connect("http://localhost", { createConnection: () => net.connect(path) });
  try {
    return await new Promise((resolve, reject) => {
      const stream = session.request({
        ":method": "POST",
        ":path": method,
        "content-type": "application/grpc",
        te: "trailers",
        ...headers,
      });
      stream.on("response", (response) => resolve(String(response["grpc-status"])));
      stream.on("error", reject);
      stream.end(Buffer.alloc(5));
    });
  } finally {
    session.destroy();
  }
}
