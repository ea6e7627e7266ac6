/**
 * Whom the command line talks to over TLS: a weft whose certificate is an X.509-SVID, under a root that the operator named. Nobody else's root
 * counts, and no name but weft's own SPIFFE ID.
 */
import { readFile, rename, rm, writeFile } from "node:fs/promises";
import type { PeerCertificate } from "node:tls";
import type { Clock } from "../lib/clock.ts";
import { WeftError } from "../lib/errors.ts";
import { certificatesIn } from "../lib/pem.ts";
import { rootByFingerprint } from "./root-by-fingerprint.ts";
import { isSameRoots, rootsListing } from "./roots-listing.ts";
import { UsageError } from "./verb.ts";

export interface TlsFlags {
  readonly ca?: string;
  readonly caFingerprint?: string;
  readonly cert?: string;
  readonly key?: string;
}

const text = (input: string) => input;
const optional = { kind: "parsed", parse: text, optional: true } as const;

export const tlsFlags = {
  ca: {
    ...optional,
    brief: "With --server https://: the mesh's root certificates, PEM (weft ca roots prints them) [$WEFT_CA]",
    placeholder: "FILE",
  },
  caFingerprint: {
    ...optional,
    brief: "Instead of --ca: the SHA-256 of the root that signs now (weft ca roots prints it) [$WEFT_CA_FINGERPRINT]",
    placeholder: "HEX",
  },
  cert: { ...optional, brief: "Call as this X.509-SVID, PEM [$WEFT_CERT]", placeholder: "FILE" },
  key: { ...optional, brief: "Its key, PEM [$WEFT_KEY]", placeholder: "FILE" },
} as const;

/** SPIFFE-ID, 2.1 and 2.2: of the weft of some trust domain. */
const WEFT = /^URI:spiffe:\/\/([a-z0-9._-]{1,255})\/ns\/weft-system\/sa\/weft$/;

/** What fetch takes as `tls`. */
export interface ClientTls {
  readonly ca: string;
  readonly checkServerIdentity: (host: string, certificate: PeerCertificate) => Error | undefined;
  readonly cert?: string;
  readonly key?: string;
}

export class ServerTrust {
  readonly #flags: TlsFlags;
  readonly #trustDomain: string | undefined;
  readonly #clock: Clock;
  readonly #server: URL;
  #roots: string | undefined;

  /** @throws UsageError where nothing says whom to trust */
  constructor(flags: TlsFlags, env: Readonly<Record<string, string | undefined>>, server: URL, clock: Clock) {
    const ca = flags.ca ?? (flags.caFingerprint === undefined ? env.WEFT_CA || undefined : undefined);
    const caFingerprint = ca === undefined ? (flags.caFingerprint ?? (env.WEFT_CA_FINGERPRINT || undefined)) : undefined;
    const cert = flags.cert ?? (env.WEFT_CERT || undefined);
    const key = flags.key ?? (env.WEFT_KEY || undefined);
    if (flags.ca !== undefined && flags.caFingerprint !== undefined) throw new UsageError("--ca and --ca-fingerprint do not go together");
    if (ca === undefined && caFingerprint === undefined) {
      throw new UsageError(
        "Whom to trust at an https server must be said",
        "--ca FILE with the mesh's roots, or --ca-fingerprint HEX of one",
      );
    }
    if ((cert === undefined) !== (key === undefined)) throw new UsageError("--cert and --key go together");
    this.#flags = { ca, caFingerprint, cert, key };
    this.#trustDomain = env.WEFT_TRUST_DOMAIN || undefined;
    this.#server = server;
    this.#clock = clock;
  }

  /** Read anew each time: files are renewed. @throws WeftError "unavailable" */
  async tls(): Promise<ClientTls> {
    const { cert, key } = this.#flags;
    this.#roots ??= await this.#firstRoots();
    return {
      ca: this.#roots,
      checkServerIdentity: (_, { subjectaltname = "" }) => this.#judge(subjectaltname),
      ...(cert !== undefined && key !== undefined ? { cert: await read(cert, "the certificate"), key: await read(key, "the key") } : {}),
    };
  }

  /** What weft says it is to be trusted by from now on: also in the file of --ca, for the next time. @returns whether it is news */
  async learn(roots: string): Promise<boolean> {
    // A file that holds the same certificates keeps its comments.
    if (this.#roots !== undefined && isSameRoots(roots, this.#roots)) return false;
    const { ca } = this.#flags;
    this.#roots = roots;
    if (ca !== undefined) await replaceFile(ca, rootsListing(roots));
    return true;
  }

  #judge(names: string): Error | undefined {
    const [, trustDomain] = WEFT.exec(names) ?? [];
    if (trustDomain !== undefined && (this.#trustDomain ?? trustDomain) === trustDomain) return undefined;
    const wanted = `spiffe://${this.#trustDomain ?? "TRUST_DOMAIN"}/ns/weft-system/sa/weft`;
    return new Error(`it is not weft: its certificate is for ${names.slice(0, 300) || "nobody"}, and must be for ${wanted}`);
  }

  async #firstRoots(): Promise<string> {
    const { ca, caFingerprint } = this.#flags;
    if (ca === undefined) return rootByFingerprint(this.#server, caFingerprint ?? "", this.#clock);
    const roots = certificatesIn(await read(ca, "the roots"));
    if (roots === "")
      throw new WeftError("unavailable", `${ca} holds no PEM certificate`, { help: "weft ca roots prints what belongs there" });
    return roots;
  }
}

async function read(file: string, what: string): Promise<string> {
  try {
    return await readFile(file, "utf8");
  } catch (cause) {
    throw new WeftError("unavailable", `${what} in ${file} cannot be read: ${WeftError.from(cause).message}`, { cause });
  }
}

/** Whole or not at all. @throws WeftError "unavailable" */
async function replaceFile(path: string, text: string): Promise<void> {
  const next = `${path}.new`;
  try {
    await writeFile(next, text, { mode: 0o644 });
    await rename(next, path);
  } catch (cause) {
    await rm(next, { force: true });
    throw new WeftError("unavailable", `${path} cannot be kept up to date: ${WeftError.from(cause).message}`, { cause });
  }
}
