import { afterEach, describe, expect, test } from "bun:test";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { detailOf, fetchJwksWith } from "../../src/control/jwks-fetch.ts";
import { systemClock } from "../../src/lib/clock.ts";
import { WeftError } from "../../src/lib/errors.ts";
import { NO_PEERS, parseAllowedPeers } from "../../src/lib/public-address.ts";

const KEY = { kty: "EC", crv: "P-256", x: "3TMbKG9DkCAB2L1b2N4nZvaHLIMS7TvedUTXJwSjcnw", y: "HJEDGoTRlv1zC_OF1cWnkM9bdQIfxTposHUnZxc_xd8" };
const SET = JSON.stringify({ keys: [KEY] });

type Answer = (request: IncomingMessage, response: ServerResponse) => void;

const servers: { close(): void }[] = [];
afterEach(() => {
  for (const server of servers.splice(0)) server.close();
});

async function serve(answer: Answer): Promise<{ readonly port: number; readonly asked: string[] }> {
  const asked: string[] = [];
  const server = createServer((request, response) => {
    asked.push(`${request.headers.host} ${request.url}`);
    answer(request, response);
  });
  servers.push({
    close() {
      server.closeAllConnections();
      server.close();
    },
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return { port: (server.address() as AddressInfo).port, asked };
}

interface Options {
  readonly allow?: readonly string[];
  /** Answers of the DNS, one after the other, the last one for good. */
  readonly names?: readonly (readonly string[])[];
  readonly timeoutMs?: number;
  readonly discovery?: boolean;
  readonly resolve?: (host: string) => Promise<readonly string[]>;
}

function fetchJwks(
  url: string,
  { allow = ["127.0.0.1"], names = [["127.0.0.1"]], timeoutMs = 5_000, discovery = false, ...more }: Options = {},
) {
  let lookups = 0;
  const { resolve = async () => names[Math.min(lookups++, names.length - 1)] ?? [] } = more;
  const allowed = () => parseAllowedPeers(allow) ?? NO_PEERS;
  return fetchJwksWith({ clock: systemClock, allowed, resolve })({ url, discovery }, timeoutMs);
}

/** The message of the failure. */
const failure = (promise: Promise<unknown>) =>
  promise.then(
    (value) => `no failure, but ${JSON.stringify(value)}`,
    (reason: unknown) => (reason instanceof Error ? reason.message : String(reason)),
  );

describe("Fetching keys", () => {
  test("gives the key set, and how long the server lets it be kept", async () => {
    const { port, asked } = await serve((_, response) => response.setHeader("cache-control", "public, max-age=60").end(SET));
    expect(await fetchJwks(`http://issuer.example:${port}/keys.json?v=1`)).toEqual({ jwks: SET, maxAgeMs: 60_000 });
    expect(asked).toEqual([`issuer.example:${port} /keys.json?v=1`]);
  });

  test("finds the key set by the issuer's discovery document", async () => {
    const { port, asked } = await serve((request, response) =>
      response.end(request.url === "/keys" ? SET : JSON.stringify({ jwks_uri: `http://issuer.example:${port}/keys` })),
    );
    const url = `http://issuer.example:${port}/.well-known/openid-configuration`;
    expect((await fetchJwks(url, { discovery: true })).jwks).toBe(SET);
    expect(asked).toHaveLength(2);
  });

  test("follows redirects, and judges each as it judged the first URL", async () => {
    const { port } = await serve((request, response) => {
      if (request.url === "/keys") response.end(SET);
      else response.writeHead(302, { location: request.url === "/away" ? "http://169.254.169.254/latest" : "/keys" }).end();
    });
    expect((await fetchJwks(`http://issuer.example:${port}/near`)).jwks).toBe(SET);
    expect(await failure(fetchJwks(`http://issuer.example:${port}/away`))).toContain("169.254.169.254 is no public address");
  });

  test("gives up on redirects without end", async () => {
    const { port, asked } = await serve((_, response) => response.writeHead(301, { location: "/again" }).end());
    expect(await failure(fetchJwks(`http://issuer.example:${port}/`))).toContain("redirects more than 3 times");
    expect(asked).toHaveLength(4);
  });

  test("connects to nothing that is not public, unless it is allowed", async () => {
    const { port, asked } = await serve((_, response) => response.end(SET));
    const refused = "is no public address: weft fetches from such ones only if weft run --jwks-allow names it";
    expect(await failure(fetchJwks(`http://127.0.0.1:${port}/`, { allow: [] }))).toBe(`127.0.0.1 ${refused}`);
    expect(await failure(fetchJwks(`http://issuer.example:${port}/`, { allow: [] }))).toContain(
      "issuer.example leads to no public address: weft fetches from others only if",
    );
    for (const host of ["127.1", "2130706433", "0x7f.1", "0", "[::ffff:127.0.0.1]", "[::1]"]) {
      expect(await failure(fetchJwks(`http://${host}:${port}/`, { allow: [] }))).toContain(refused);
    }
    expect(asked).toEqual([]);
    expect((await fetchJwks(`http://issuer.example:${port}/`, { allow: ["issuer.example"] })).jwks).toBe(SET);
  });

  test("asks the DNS once, and goes where its answer was judged: a second answer leads nowhere", async () => {
    const { port, asked } = await serve((_, response) => response.end(SET));
    const names = [["127.0.0.1"], ["169.254.169.254"]];
    expect((await fetchJwks(`http://issuer.example:${port}/`, { names })).jwks).toBe(SET);
    expect(asked).toHaveLength(1);
    const rebinding = [["192.168.7.7"], ["127.0.0.1"]];
    expect(await failure(fetchJwks(`http://issuer.example:${port}/`, { names: rebinding }))).toContain("leads to no public address");
    expect(asked).toHaveLength(1);
  });

  test("takes the next address where one cannot be reached", async () => {
    const { port } = await serve((_, response) => response.end(SET));
    const names = [["127.0.0.9", "127.0.0.1"]];
    expect((await fetchJwks(`http://issuer.example:${port}/`, { names, allow: ["127.0.0.0/8"] })).jwks).toBe(SET);
  });

  test("says what is wrong with an answer", async () => {
    const answers: readonly (readonly [Answer, string])[] = [
      [(_, response) => response.writeHead(503).end("busy"), "answers with status 503"],
      [(_, response) => response.end("<html>"), "is no JSON Web Key Set: it is no JSON"],
      [(_, response) => response.end("{}"), 'it has no member "keys"'],
      [(_, response) => response.end('{"keys":{}}'), '"keys" is no list'],
      [(_, response) => response.end('{"keys":[]}'), "holds no key by which Envoy could verify a token"],
      [(_, response) => response.end(JSON.stringify({ keys: [{ ...KEY, x: "AA" }] })), "holds no key by which Envoy could verify"],
      [(_, response) => response.end(`{"keys":[${" ".repeat(300_000)}]}`), "answers with more than 262144 bytes"],
    ];
    for (const [answer, message] of answers) {
      const { port } = await serve(answer);
      expect(await failure(fetchJwks(`http://issuer.example:${port}/keys`))).toContain(message);
    }
  });

  test("keeps a set of which Envoy can use only a part", async () => {
    const mixed = JSON.stringify({ keys: [{ kty: "new", z: "1" }, KEY] });
    const { port } = await serve((_, response) => response.end(mixed));
    expect((await fetchJwks(`http://issuer.example:${port}/keys`)).jwks).toBe(mixed);
  });

  test("takes no longer than the rule allows, whether the server keeps silent or never ends", async () => {
    const silent = await serve(() => {});
    expect(await failure(fetchJwks(`http://issuer.example:${silent.port}/`, { timeoutMs: 50 }))).toContain("did not answer within 50 ms");
    const endless = await serve((_, response) => response.write('{"keys":['));
    expect(await failure(fetchJwks(`http://issuer.example:${endless.port}/`, { timeoutMs: 50 }))).toContain("did not answer within 50 ms");
  });

  test("says which host does not answer", async () => {
    const { port } = await serve((_, response) => response.end(SET));
    servers.pop()?.close();
    expect(await failure(fetchJwks(`http://issuer.example:${port}/keys`))).toContain(
      `http://issuer.example:${port}/keys cannot be reached`,
    );
    expect(await failure(fetchJwks(`http://issuer.example:${port}/keys`, { names: [[]] }))).toContain(
      "issuer.example leads to no public address",
    );
  });

  test("tells who writes policies nothing of names on the inside: not whether they are there, nor where; the log has it", async () => {
    const reasonOf = async (promise: Promise<unknown>) => {
      const reason = await promise.then(
        () => undefined,
        (one: unknown) => one,
      );
      if (!(reason instanceof WeftError)) throw new Error("no failure");
      return { message: reason.message, detail: detailOf(reason) ?? "" };
    };
    const { port } = await serve((_, response) => response.end(SET));
    servers.pop()?.close();
    const url = `http://vault.internal:${port}/keys`;
    const there = await reasonOf(fetchJwks(url, { names: [["10.1.2.3"]] }));
    const absent = await reasonOf(fetchJwks(url, { resolve: () => Promise.reject(new Error("getaddrinfo ENOTFOUND vault.internal")) }));
    expect(absent.message).toBe(there.message);
    expect([there.detail, absent.detail]).toEqual(["it leads to 10.1.2.3", "getaddrinfo ENOTFOUND vault.internal"]);
    const closed = await reasonOf(fetchJwks(url, { allow: ["127.0.0.0/8"], names: [["127.0.0.7"]] }));
    expect(closed.message).toStartWith(`${url} cannot be reached: `);
    expect(closed.message).not.toContain("127.0.0.7");
    expect(closed.detail).toContain("127.0.0.7");
  });
});
