/**
 * Why no connection came about. Bun's client says "Connection closed" whatever it was (tried: nobody listening, a wrong password, a certificate that is not
 * trusted, a server that is full), so the reason is asked for once more, over a plain socket.
 */
import { connect as connectTcp, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import type { Clock } from "../../lib/clock.ts";
import { errnoOf, type WeftError } from "../../lib/errors.ts";
import { ConnectionLost, Refused } from "./errors.ts";
import type { Credentials, Target } from "./target.ts";

const LIMIT_MS = 2_000;
/** An error of the server is one line. */
const MOST_BYTES = 16 * 1024;

export const silence = (target: Target): WeftError =>
  new ConnectionLost(`${target.name}: it does not answer`, {
    sent: false,
    help: "see whether Redis runs, and whether a firewall lies between",
  });

/** Never rejects: that it went well this time is a reason to try again too. */
export function reasonOf(target: Target, clock: Clock): Promise<WeftError> {
  const credentials = target.credentials();
  const host = target.host.replace(/^\[|\]$/g, "");
  const address = { host, port: target.port };
  const { promise, resolve } = Promise.withResolvers<WeftError>();
  const socket: Socket = target.tls
    ? connectTls({ ...address, ...tlsFiles(credentials), ...(/^[\d.]+$|:/.test(host) ? {} : { servername: host }) })
    : connectTcp(address);
  const lost = (why: string, help: string) => resolve(new ConnectionLost(`${target.name}: ${why}`, { sent: false, help }));
  const cancel = clock.after(LIMIT_MS, () => resolve(silence(target)));
  let heard = "";
  socket.on("error", (error) => {
    // "close" follows, and tells it with what was heard before.
    if (errnoOf(error) === "ECONNRESET" || errnoOf(error) === "EPIPE") return;
    const { why, help } = wayProblem(error);
    lost(why, help);
  });
  socket.on(target.tls ? "secureConnect" : "connect", () => socket.write(greeting(credentials)));
  socket.on("data", (data: Buffer) => {
    heard += data.toString("latin1");
    const said = /^-(.*)\r\n/m.exec(heard)?.[1];
    if (said !== undefined) resolve(new Refused(target.name, said));
    else if (heard.includes("+PONG\r\n")) lost("the connection ended", "weft tries again by itself");
    else if (heard.length > MOST_BYTES) lost("what answers is no Redis", "let --store name a Redis");
  });
  socket.on("close", () => {
    const tls = target.tls ? "" : "; if it speaks TLS there, write rediss://";
    lost(heard === "" ? "it closes connections without a word" : "what answers is no Redis", `see what listens there${tls}`);
  });
  return promise.finally(() => {
    cancel();
    socket.on("error", () => {});
    socket.destroy();
  });
}

const tlsFiles = ({ ca, cert, key }: Credentials) => ({
  ...(ca === undefined ? {} : { ca }),
  ...(cert === undefined ? {} : { cert, key }),
});

/** What the client itself says first (https://redis.io/docs/latest/develop/reference/protocol-spec/). */
function greeting({ user, password }: Credentials): string {
  const login = password === undefined ? [] : [["AUTH", ...(user === undefined ? [] : [user]), password]];
  return [...login, ["PING"]]
    .map((words) => `*${words.length}\r\n${words.map((word) => `$${Buffer.byteLength(word)}\r\n${word}\r\n`).join("")}`)
    .join("");
}

function wayProblem(error: Error): { why: string; help: string } {
  const code = errnoOf(error) ?? "";
  if (code === "ECONNREFUSED") return { why: "nothing listens there", help: "start Redis, or look at host and port" };
  if (code === "ENOTFOUND" || code === "EAI_AGAIN") return { why: "its host name does not resolve", help: "look at the name, and at DNS" };
  if (/CERT|SELF_SIGNED|TLS|SSL|ALTNAME|UNABLE_TO/.test(code)) {
    return { why: `TLS: ${error.message}`, help: "look at ca=, cert= and key=, and at the names in Redis's certificate" };
  }
  return { why: error.message || code, help: "see whether Redis runs, and whether a firewall lies between" };
}
