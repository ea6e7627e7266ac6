/**
 * Workload tokens: what the bootstrap of a workload's Envoy carries to prove on the ADS stream whose it is. A JWT (RFC 7519, by the rules of
 * RFC 8725), signed with a key of its own: `iss` is the trust domain, `sub` the workload, `aud` only ADS.
 */
import { createPublicKey, randomUUID } from "node:crypto";
import { join } from "node:path";
import { calculateJwkThumbprint, errors, exportJWK, importPKCS8, importSPKI, type JWTPayload, jwtVerify, SignJWT } from "jose";
import type { Clock } from "../lib/clock.ts";
import { WeftError } from "../lib/errors.ts";
import {
  TOKEN_ALGORITHM,
  TOKEN_AUDIENCE,
  TOKEN_CLOCK_SKEW_MS,
  TOKEN_LIFETIME_MS,
  TOKEN_LONGEST,
  TOKEN_LONGEST_LIFETIME_MS,
  TOKEN_TYPE,
} from "./constants.ts";
import { exportPrivateKeyPem, generateKeyPair } from "./crypto.ts";
import { type Disk, nodeDisk } from "./disk.ts";
import { readSecret, writeAtomically } from "./secret-file.ts";
import { parseTrustDomain, trustDomainId } from "./spiffe-id.ts";
import type { WorkloadIdentity } from "./types.ts";

export interface WorkloadTokensOptions {
  /** The data directory; the key is in its folder `ca`. */
  readonly dir: string;
  readonly trustDomain: string;
  readonly clock: Clock;
  readonly disk?: Disk;
}

export interface WorkloadToken {
  readonly token: string;
  /** Milliseconds since the epoch. */
  readonly expiresAt: number;
}

/** "ns/name"; neither part is empty or holds another slash. */
const SUBJECT = /^([^/\s]+)\/([^/\s]+)$/;

type SigningKey = Awaited<ReturnType<typeof importPKCS8>>;

export class WorkloadTokens {
  readonly #private: SigningKey;
  readonly #public: SigningKey;
  readonly #keyId: string;
  readonly #issuer: string;
  readonly #clock: Clock;

  private constructor(keys: { private: SigningKey; public: SigningKey; id: string }, issuer: string, clock: Clock) {
    this.#private = keys.private;
    this.#public = keys.public;
    this.#keyId = keys.id;
    this.#issuer = issuer;
    this.#clock = clock;
  }

  /** Loads the key, making it at the first start. @throws WeftError "unavailable" naming the file and its mend. */
  static async open({ dir, trustDomain, clock, disk = nodeDisk }: WorkloadTokensOptions): Promise<WorkloadTokens> {
    parseTrustDomain(trustDomain);
    const path = join(dir, "ca", "token-key.pem");
    let pem = await readSecret(disk, path, "the token key");
    if (pem === undefined) {
      pem = await exportPrivateKeyPem((await generateKeyPair()).privateKey);
      await writeAtomically(disk, path, pem, 0o600);
    }
    try {
      const publicPem = createPublicKey(pem).export({ type: "spki", format: "pem" }).toString();
      const publicKey = await importSPKI(publicPem, TOKEN_ALGORITHM, { extractable: true });
      const id = await calculateJwkThumbprint(await exportJWK(publicKey));
      const keys = { private: await importPKCS8(pem, TOKEN_ALGORITHM), public: publicKey, id };
      return new WorkloadTokens(keys, trustDomainId(trustDomain), clock);
    } catch (reason) {
      throw new WeftError("unavailable", `${path} does not hold a PKCS #8 PEM key on curve P-256`, {
        help: `put it back from a backup; or, every proxy's bootstrap then being void: rm ${path} and restart weft`,
        cause: reason,
      });
    }
  }

  /** A token for `workload`, valid for `lifetimeMs` from now. @throws WeftError "invalid" where a name is none. */
  async issue(workload: WorkloadIdentity, lifetimeMs: number = TOKEN_LIFETIME_MS): Promise<WorkloadToken> {
    const subject = `${workload.namespace}/${workload.name}`;
    if (!SUBJECT.test(subject)) throw new WeftError("invalid", `"${subject}" is no workload: write NAMESPACE/NAME`);
    if (lifetimeMs > TOKEN_LONGEST_LIFETIME_MS) {
      throw new WeftError("invalid", `a token may be valid for ${TOKEN_LONGEST_LIFETIME_MS / 86_400_000} days at the most`);
    }
    const now = Math.floor(this.#clock.now() / 1_000);
    const expires = Math.floor((this.#clock.now() + lifetimeMs) / 1_000);
    if (expires <= now) throw new WeftError("invalid", "a token must be valid for at least one second");
    const token = await new SignJWT({})
      .setProtectedHeader({ alg: TOKEN_ALGORITHM, typ: TOKEN_TYPE, kid: this.#keyId })
      .setIssuer(this.#issuer)
      .setAudience(TOKEN_AUDIENCE)
      .setSubject(subject)
      .setIssuedAt(now)
      .setExpirationTime(expires)
      .setJti(randomUUID())
      .sign(this.#private);
    return { token, expiresAt: expires * 1_000 };
  }

  /**
   * Who an `authorization` header ("Bearer TOKEN") belongs to.
   * @throws WeftError "unauthenticated", saying what is wrong with it and which command makes a good one.
   */
  async verifyHeader(authorization: string | undefined): Promise<WorkloadIdentity> {
    if (authorization === undefined || authorization === "") throw refuse("no workload token was sent (authorization: Bearer TOKEN)");
    const token = /^bearer +(\S+) *$/i.exec(authorization)?.[1];
    if (token === undefined) throw refuse('the authorization header is malformed: it must be "Bearer TOKEN"');
    return await this.verify(token);
  }

  /** @throws WeftError "unauthenticated", as verifyHeader. */
  async verify(token: string): Promise<WorkloadIdentity> {
    if (token === "") throw refuse("no workload token was sent (authorization: Bearer TOKEN)");
    if (token.length > TOKEN_LONGEST) throw refuse(`the workload token is malformed: it is longer than ${TOKEN_LONGEST} characters`);
    const { sub } = await this.#check(token);
    const [, namespace, name] = SUBJECT.exec(sub ?? "") ?? [];
    if (namespace === undefined || name === undefined) throw refuse('the workload token is malformed: its subject is not "NAMESPACE/NAME"');
    return { namespace, name };
  }

  async #check(token: string): Promise<JWTPayload> {
    try {
      const { payload } = await jwtVerify(token, this.#public, {
        algorithms: [TOKEN_ALGORITHM],
        audience: TOKEN_AUDIENCE,
        issuer: this.#issuer,
        typ: TOKEN_TYPE,
        requiredClaims: ["sub", "exp", "iat", "jti"],
        currentDate: new Date(this.#clock.now()),
        clockTolerance: TOKEN_CLOCK_SKEW_MS / 1_000,
      });
      return payload;
    } catch (reason) {
      throw this.#explain(reason);
    }
  }

  /** jose looks at claims only after the signature: what is said of them here is what this weft, or one with its key, once signed. */
  #explain(reason: unknown): WeftError {
    if (reason instanceof errors.JWTExpired) {
      const { sub, exp } = reason.payload;
      return refuse(`the workload token of ${sub} expired at ${new Date((exp ?? 0) * 1_000).toISOString()}`, sub);
    }
    if (reason instanceof errors.JWSSignatureVerificationFailed) {
      return refuse("the workload token was not signed by this weft: it comes from another installation, or was changed");
    }
    if (reason instanceof errors.JOSEAlgNotAllowed) {
      return refuse(`the workload token is not signed with ${TOKEN_ALGORITHM}: it comes from somewhere else`);
    }
    if (reason instanceof errors.JWTClaimValidationFailed) {
      const { claim, payload } = reason;
      if (claim === "aud") return refuse(`the workload token is for audience "${payload.aud}", not "${TOKEN_AUDIENCE}"`, payload.sub);
      if (claim === "iss") return refuse(`the workload token is of ${payload.iss}, and this weft is of ${this.#issuer}`, payload.sub);
      return refuse(`the workload token's claim "${claim}" is missing or not acceptable`, payload.sub);
    }
    return refuse("the workload token is malformed: it is no signed JWT", undefined, reason);
  }
}

function refuse(message: string, workload = "NAMESPACE/NAME", cause?: unknown): WeftError {
  const commands = `weft token --workload ${workload}, or a whole new bootstrap with: weft proxy bootstrap ${workload}`;
  // In the message too: a gRPC status carries nothing else to the operator, who reads it in Envoy's log.
  return new WeftError("unauthenticated", `${message}. Make a new one with: ${commands}`, { cause });
}
