/**
 * Fetches a key set: GET, at most three redirects, a limit on time and size. A host's name is resolved once and the connection goes to the
 * address that was judged, so that another answer of the DNS (rebinding) leads nowhere. Each redirect is judged as the first URL was, and may
 * not leave https. No proxy of the environment is used: it would resolve the name again, elsewhere.
 *
 * Whoever may write a policy reads why a fetch failed, and must not learn by it which names there are on the inside, and what they lead to: that
 * stands in the error's `cause`, for the log.
 */
import { request as httpRequest, type IncomingMessage } from "node:http";
import { request as httpsRequest } from "node:https";
import { isIP } from "node:net";
import type { PeerCertificate } from "node:tls";
import type { Clock } from "../lib/clock.ts";
import { errnoOf, WeftError } from "../lib/errors.ts";
import { parseJwks, usableJwks } from "../lib/jwks.ts";
import { type AllowedPeers, mayConnect } from "../lib/public-address.ts";
import type { JwksSource } from "../mesh/request-authentication.ts";

export interface FetchedJwks {
  /** As usableJwks gives it. */
  readonly jwks: string;
  /** How long the server lets it be kept (Cache-Control: max-age), where it says so. */
  readonly maxAgeMs?: number;
}

/** @throws WeftError "unavailable" or "forbidden", saying why. */
export type FetchJwks = (source: JwksSource, timeoutMs: number) => Promise<FetchedJwks>;

export interface FetchJwksOptions {
  readonly clock: Clock;
  /** Asked at each request, so that a reload counts. */
  readonly allowed: () => AllowedPeers;
  /** All addresses of a name. */
  readonly resolve: (host: string) => Promise<readonly string[]>;
  /** Certificates (PEM) to trust instead of the system's. */
  readonly ca?: string | readonly string[];
  /** Judges the server's certificate, once its chain is verified, instead of by the host's name. */
  readonly checkServerIdentity?: (host: string, certificate: PeerCertificate) => Error | undefined;
}

const MOST_REDIRECTS = 3;
/** Real key sets have a few keys of less than 1 KiB, or of 8 KiB with certificates. */
const MOST_BYTES = 256 * 1024;

export function fetchJwksWith(options: FetchJwksOptions): FetchJwks {
  return (source, timeoutMs) => within(options, timeoutMs, (get) => fetchOnce(source, get));
}

/** What `url` answers, with the limits and guards above. @throws WeftError "unavailable" or "forbidden", saying why. */
export function fetchText(url: string, options: FetchJwksOptions, timeoutMs: number): Promise<Answer> {
  return within(options, timeoutMs, (get) => get(url));
}

async function within<T>(
  options: FetchJwksOptions,
  timeoutMs: number,
  action: (get: (url: string) => Promise<Answer>) => Promise<T>,
): Promise<T> {
  const limit = new AbortController();
  const cancel = options.clock.after(timeoutMs, () => limit.abort());
  try {
    return await action((url) => follow(url, options, limit.signal, timeoutMs));
  } finally {
    cancel();
  }
}

async function fetchOnce(source: JwksSource, get: (url: string) => Promise<Answer>): Promise<FetchedJwks> {
  const url = source.discovery ? discovered(await get(source.url)) : source.url;
  const { body, maxAgeMs } = await get(url);
  const parsed = parseJwks(body);
  if ("error" in parsed) throw new WeftError("unavailable", `what ${url} answers is no JSON Web Key Set: it ${parsed.error}`);
  const jwks = usableJwks(body);
  if (jwks === undefined) throw new WeftError("unavailable", `the key set of ${url} holds no key by which Envoy could verify a token`);
  return { jwks, maxAgeMs };
}

/** The member jwks_uri of a discovery document (OpenID Connect Discovery 1.0, 3). */
function discovered({ body }: Answer): string {
  let uri: unknown;
  try {
    uri = (JSON.parse(body) as { jwks_uri?: unknown } | null)?.jwks_uri;
  } catch {
    throw new WeftError("unavailable", "the issuer's discovery document is no JSON");
  }
  if (typeof uri === "string" && /^https?:\/\//i.test(uri)) return uri;
  throw new WeftError("unavailable", "the issuer's discovery document has no jwks_uri");
}

export interface Answer {
  readonly body: string;
  readonly maxAgeMs?: number;
}

async function follow(first: string, options: FetchJwksOptions, limit: AbortSignal, timeoutMs: number): Promise<Answer> {
  let url = parseUrl(first);
  for (let hops = 0; hops <= MOST_REDIRECTS; hops++) {
    const response = await getFromAllowed(url, options, limit).catch((reason: unknown) => {
      throw limit.aborted ? tooSlow(url, timeoutMs) : WeftError.from(reason);
    });
    const { statusCode = 0, headers } = response;
    if (statusCode >= 300 && statusCode < 400 && headers.location !== undefined) {
      response.destroy();
      const next = parseUrl(headers.location, url);
      if (url.protocol === "https:" && next.protocol !== "https:") {
        throw new WeftError("forbidden", `${shown(url)} redirects to ${shown(next)}, away from https`);
      }
      if (next.username !== "" || next.password !== "") {
        throw new WeftError("forbidden", `${shown(url)} redirects to ${shown(next)} with a user's name or password`);
      }
      url = next;
      continue;
    }
    if (statusCode < 200 || statusCode >= 300) {
      response.destroy();
      throw new WeftError("unavailable", `${shown(url)} answers with status ${statusCode}`);
    }
    const body = await read(response, url).catch((reason: unknown) => {
      throw limit.aborted ? tooSlow(url, timeoutMs) : WeftError.from(reason);
    });
    return { body, maxAgeMs: maxAge(headers["cache-control"]) };
  }
  throw new WeftError("unavailable", `${shown(parseUrl(first))} redirects more than ${MOST_REDIRECTS} times`);
}

function tooSlow(url: URL, timeoutMs: number): WeftError {
  return new WeftError("unavailable", `${shown(url)} did not answer within ${timeoutMs} ms`);
}

function parseUrl(text: string, base?: URL): URL {
  const url = URL.parse(text, base?.href) ?? undefined;
  if (url?.protocol === "http:" || url?.protocol === "https:") return url;
  throw new WeftError("forbidden", `${JSON.stringify(text)} is no http or https URL`);
}

/** Without credentials and query, which are nobody's business in a log. */
function shown(url: URL): string {
  return `${url.origin}${url.pathname}`;
}

interface Failure {
  readonly address: string;
  readonly reason: unknown;
}

/** From the first of the host's allowed addresses that can be reached. */
async function getFromAllowed(url: URL, options: FetchJwksOptions, limit: AbortSignal): Promise<IncomingMessage> {
  const host = url.hostname.replace(/^\[|\]$/g, "");
  const addresses = isIP(host) ? [host] : await resolveWithin(host, options, limit);
  const peers = options.allowed();
  const allowed = addresses.filter((address) => mayConnect(host, address, peers));
  if (allowed.length === 0) {
    if (!isIP(host)) throw noAddress(host, `it leads to ${addresses.join(", ") || "nothing"}`);
    throw new WeftError("forbidden", `${host} is no public address: weft fetches from such ones only if weft run --jwks-allow names it`);
  }
  let failure: Failure | undefined;
  for (const address of allowed) {
    try {
      return await get(url, address, options, limit);
    } catch (reason) {
      failure = { address, reason };
      if (limit.aborted) break;
    }
  }
  throw unreachable(url, host, failure);
}

/** The same for a name that does not exist as for one on the inside. */
function noAddress(host: string, found: string): WeftError {
  return new WeftError(
    "forbidden",
    `${host} leads to no public address: weft fetches from others only if weft run --jwks-allow names them. Its log says what was found`,
    { cause: new Error(found) },
  );
}

function unreachable(url: URL, host: string, failure: Failure | undefined): WeftError {
  const { address = "", reason } = failure ?? {};
  const message = reason instanceof Error ? reason.message : String(reason);
  // Texts of system errors name addresses; those of TLS say what is wrong with the certificate.
  const code = errnoOf(reason);
  const told = code !== undefined && /^E[A-Z]+$/.test(code) ? code : message.replaceAll(address, host);
  return new WeftError("unavailable", `${shown(url)} cannot be reached: ${told}`, { cause: new Error(`${address}: ${message}`) });
}

/** What the log says of a failure besides its message; undefined where there is no more. */
export function detailOf(reason: unknown): string | undefined {
  return reason instanceof WeftError && reason.cause instanceof Error ? reason.cause.message : undefined;
}

function resolveWithin(host: string, { resolve }: FetchJwksOptions, limit: AbortSignal): Promise<readonly string[]> {
  return new Promise((done, fail) => {
    limit.addEventListener("abort", () => fail(new WeftError("unavailable", `${host} was not resolved in time`)), { once: true });
    resolve(host).then(done, (reason: unknown) => fail(noAddress(host, reason instanceof Error ? reason.message : String(reason))));
  });
}

function get(url: URL, address: string, trust: FetchJwksOptions, signal: AbortSignal): Promise<IncomingMessage> {
  const family = isIP(address);
  const { ca, checkServerIdentity } = trust;
  const tls = { ...(ca === undefined ? {} : { ca: [ca].flat() }), ...(checkServerIdentity ? { checkServerIdentity } : {}) };
  const options = {
    host: url.hostname.replace(/^\[|\]$/g, ""),
    port: url.port || undefined,
    path: `${url.pathname}${url.search}`,
    headers: { accept: "application/json", "user-agent": "weft" },
    agent: false as const,
    signal,
    lookup: (_host: string, { all }: { all?: boolean }, answer: Lookup) =>
      all ? answer(null, [{ address, family }]) : answer(null, address, family),
  };
  return new Promise((done, fail) => {
    const request = url.protocol === "https:" ? httpsRequest({ ...options, ...tls }, done) : httpRequest(options, done);
    request.on("error", fail);
    request.end();
  });
}

type Lookup = (error: null, address: string | { address: string; family: number }[], family?: number) => void;

function read(response: IncomingMessage, url: URL): Promise<string> {
  return new Promise((done, fail) => {
    const chunks: Buffer[] = [];
    let size = 0;
    response.on("data", (chunk: Buffer) => {
      size += chunk.length;
      chunks.push(chunk);
      if (size <= MOST_BYTES) return;
      fail(new WeftError("unavailable", `${shown(url)} answers with more than ${MOST_BYTES} bytes`));
      response.destroy();
    });
    response.on("end", () => done(Buffer.concat(chunks).toString("utf8")));
    response.on("error", (reason) => fail(new WeftError("unavailable", `${shown(url)} broke off: ${reason.message}`)));
    response.on("aborted", () => fail(new WeftError("unavailable", `${shown(url)} broke off`)));
  });
}

/** In milliseconds; no-store and no-cache count as 0 (RFC 9111, 5.2.2). */
function maxAge(header: string | undefined): number | undefined {
  if (header === undefined) return undefined;
  if (/\bno-(?:store|cache)\b/i.test(header)) return 0;
  const seconds = /\bmax-age\s*=\s*"?(\d{1,9})/i.exec(header)?.[1];
  return seconds === undefined ? undefined : Number(seconds) * 1000;
}
