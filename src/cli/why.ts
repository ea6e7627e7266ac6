import { buildCommand } from "@stricli/core";
import { WeftError } from "../lib/errors.ts";
import { type WhyAnswer, type WhyRequest, why } from "../why/index.ts";
import { BRIEF } from "./briefs.ts";
import { type ConnectFlags, connect, connectFlags } from "./client.ts";
import { fileFlag } from "./files.ts";
import { parseText } from "./names.ts";
import { offlineMesh } from "./offline-mesh.ts";
import { clean, json } from "./output.ts";
import { UsageError, verb } from "./verb.ts";
import { formatWhy } from "./why-text.ts";

interface Flags extends ConnectFlags {
  readonly from: string;
  readonly to: string;
  readonly via?: string;
  readonly method?: string;
  readonly path?: string;
  readonly header?: readonly string[];
  readonly jwtClaim?: readonly string[];
  readonly clientCert?: readonly string[];
  readonly sourceIp?: string;
  readonly file?: readonly string[];
  readonly trustDomain?: string;
  readonly output: "text" | "json";
}

const optionalText = (brief: string, placeholder: string) =>
  ({ kind: "parsed", parse: parseText, optional: true, brief, placeholder }) as const;
const several = (brief: string, placeholder: string) =>
  ({ kind: "parsed", parse: parseText, optional: true, variadic: true, brief, placeholder }) as const;

export const whyCommand = buildCommand({
  docs: {
    brief: BRIEF.why,
    fullDescription:
      "Follows the request: the caller's route, the destination, mutual TLS, tokens, each authorization policy. Of a running weft, or with -f of\n" +
      "files alone. Exit 0 where it reaches the application, 1 where not, 2 where the question cannot be answered.",
  },
  parameters: {
    flags: {
      from: {
        kind: "parsed",
        parse: parseText,
        default: "plaintext",
        brief:
          "The calling workload, a gateway where the request comes in, plaintext: a client without a sidecar, or the SPIFFE ID of a client in another mesh",
        placeholder: "[NS/]WORKLOAD|plaintext|SPIFFEID",
      },
      to: { kind: "parsed", parse: parseText, brief: "The service, as the caller names it", placeholder: "HOST[:PORT]" },
      via: optionalText("An egress listener of the caller's Sidecar, instead of the outbound listener", "ADDRESS:PORT|unix:///PATH"),
      method: optionalText("GET where absent", "METHOD"),
      path: optionalText("With its query; / where absent", "PATH"),
      header: several("A header of the request; may be repeated", "NAME=VALUE"),
      jwtClaim: several("A claim of a verified token (JSON where it is a list or an object); may be repeated", "NAME=VALUE"),
      clientCert: several("At a gateway: a name in the certificate that the client shows; may be repeated", "NAME"),
      sourceIp: optionalText("The address from which the server sees the call come", "IP"),
      file: { ...fileFlag, optional: true, brief: "Answer by these files, without a running weft; may be repeated" },
      trustDomain: optionalText("With -f, mesh.local where absent", "TD"),
      output: { kind: "enum", values: ["text", "json"], default: "text", brief: "Format" },
      ...connectFlags,
    },
    aliases: { f: "file", o: "output" },
  },
  func: verb<Flags, []>(async (cli, flags) => {
    const request = requestOf(flags);
    const answer = await answerTo(request, flags).catch((reason: unknown) => {
      const error = WeftError.from(reason);
      // A caller or a request that is none is no negative answer.
      if (error.code === "not_found" || error.code === "invalid") throw new UsageError(error.message, error.help);
      throw reason;
    });
    cli.print(flags.output === "json" ? json(answer) : clean(formatWhy(request, answer)));
    return answer.verdict === "allow" ? 0 : 1;

    async function answerTo(request: WhyRequest, { file, trustDomain }: Flags): Promise<WhyAnswer> {
      if (file?.length) return why(await offlineMesh(cli, file, trustDomain), request, { now: cli.io.clock.now() });
      const client = await connect(cli.io, flags);
      return client.call<WhyAnswer>("/v1/why", {
        method: "POST",
        body: JSON.stringify(request),
        headers: { "content-type": "application/json" },
      });
    }
  }),
});

function requestOf({ from, to, via, method, path, header = [], jwtClaim = [], clientCert, sourceIp }: Flags): WhyRequest {
  const caller = from === "plaintext" || from.includes("/") ? from : `default/${from}`;
  const headers = Object.fromEntries(header.map((text) => pairOf(text, "--header", /^([^=:\s]+|:[^=:\s]+)(?:=|:\s*)(.*)$/s)));
  const claims: Record<string, unknown> = {};
  for (const [name, value] of jwtClaim.map((text) => pairOf(text, "--jwt-claim", /^([^=]+)=(.*)$/s))) claims[name] = claimValue(value);
  return {
    from: caller,
    to,
    via,
    method,
    path,
    headers,
    claims: jwtClaim.length > 0 ? claims : undefined,
    clientCertificate: clientCert,
    sourceIp,
  };
}

function pairOf(text: string, flag: string, form: RegExp): readonly [string, string] {
  const [, name, value] = form.exec(text) ?? [];
  if (name === undefined || value === undefined) throw new UsageError(`${flag} takes NAME=VALUE, not ${JSON.stringify(text)}`);
  return [name, value];
}

/** A list or an object as JSON; anything else is a text. */
function claimValue(text: string): unknown {
  if (!/^\s*[[{]/.test(text)) return text;
  try {
    return JSON.parse(text);
  } catch {
    throw new UsageError(`--jwt-claim: ${text} looks like JSON and is none`);
  }
}
