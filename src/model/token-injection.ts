/**
 * TokenInjection (weft.dev/v1): to calls of which hosts a workload's proxy adds a JWT-SVID of the workload, for whom it is, and where it stands.
 */
import type * as v from "valibot";
import { checkHost } from "./check.ts";
import { headerNameError } from "./check-header.ts";
import { selector } from "./common.ts";
import { list, needed, object, type Report, text } from "./schema.ts";

/** Where a token stands that nothing is said of (RFC 6750, 2.1). */
export const DEFAULT_HEADER = "authorization";

/** Of one connection (RFC 9110, 7.6.1), and those by which a message is framed or finds its way: Envoy's own to write. */
const RESERVED: ReadonlySet<string> = new Set([
  "connection",
  "content-length",
  "expect",
  "host",
  "keep-alive",
  "proxy-authenticate",
  "proxy-authorization",
  "proxy-connection",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
]);
/** What proxies tell each other of a request: who called, from where, how to route it. */
const PROXIES = /^(x-forwarded-|x-envoy-|x-request-id$|forwarded$|via$)/;

/** Envoy's limit of a header's name is none; a longer one is a mistake. */
const LONGEST_NAME = 256;
/** As the CA takes it (ca/jwt-svid.ts). */
const LONGEST_AUDIENCE = 2048;
const LONGEST_PREFIX = 64;

function checkHeader(name: string, report: Report): void {
  const lower = name.toLowerCase();
  if (name.startsWith(":")) report("badHeader", "headers that begin with ':' say where a request goes, and carry no token");
  else if (RESERVED.has(lower)) report("badHeader", `${name} belongs to the connection, and carries no token to the application`);
  else if (PROXIES.test(lower)) report("badHeader", `${name} is what proxies tell each other, and no place for a token`);
  else if (name.length > LONGEST_NAME) report("badHeader", `is longer than ${LONGEST_NAME} characters`);
  else {
    const error = name === "" ? "a header's name must not be empty" : headerNameError(name);
    if (error) report("badHeader", error, { help: `leave it out for ${DEFAULT_HEADER}` });
  }
}

function checkHosts(hosts: readonly string[], report: Report): void {
  if (hosts.length === 0) report("badValue", "must name a host: a token for nobody in particular is everybody's");
  for (const [index, host] of hosts.entries()) {
    if (hosts.indexOf(host) < index) report("duplicateItem", `${host} occurs twice`, { path: [index] });
    else if (host === "*") {
      const help = "name the services; a wildcard such as *.example.com is one too";
      report("badHost", '"*" would hand the token to every service that is called', { path: [index], help });
    } else checkHost(host, report, [index]);
  }
}

export const TokenInjectionSchema = object({
  selector: selector(),
  hosts: needed(list(text(), checkHosts)),
  audience: needed(
    text((audience, report) => {
      if (audience === "") report("badValue", "must not be empty: a token without an audience is good anywhere");
      else if (audience.length > LONGEST_AUDIENCE) report("badValue", `is longer than ${LONGEST_AUDIENCE} characters`);
    }),
  ),
  header: text(checkHeader),
  prefix: text((prefix, report) => {
    if (!/^[\x20-\x7e]*$/.test(prefix)) report("badHeader", "holds what no header's value may hold");
    else if (prefix.length > LONGEST_PREFIX) report("badHeader", `is longer than ${LONGEST_PREFIX} characters`);
    else if (prefix.startsWith(" ")) report("badHeader", "a header's value begins with no space");
  }),
});

export type TokenInjectionSpec = v.InferOutput<typeof TokenInjectionSchema>;

/** In lower case. */
export function headerOf({ header }: TokenInjectionSpec): string {
  return (header ?? DEFAULT_HEADER).toLowerCase();
}

/** "Bearer " in authorization (RFC 6750), and nothing elsewhere, as RequestAuthentication reads them. */
export function prefixOf(spec: TokenInjectionSpec): string {
  return spec.prefix ?? (headerOf(spec) === DEFAULT_HEADER ? "Bearer " : "");
}
