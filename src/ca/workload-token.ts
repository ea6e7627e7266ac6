/**
 * Workload tokens: what the bootstrap of a workload's Envoy carries to prove on the ADS stream whose it is. A JWT (RFC 7519, by the rules of
 * RFC 8725), signed with a key of its own: `iss` is the trust domain, `sub` the workload, `aud` only ADS. That of an instance of a
 * WorkloadGroup also carries what was registered, so that weft, which forgets those that leave, can register it again when it comes back.
 *
 * Group tokens: what lets its bearer register instances of one WorkloadGroup, with its service account; for another audience, so that
 * neither passes for the other.
 */
import { createPublicKey, randomUUID } from "node:crypto";
import { join } from "node:path";
import { calculateJwkThumbprint, errors, exportJWK, importPKCS8, importSPKI, type JWTPayload, jwtVerify, SignJWT } from "jose";
import type { Clock } from "../lib/clock.ts";
import { WeftError } from "../lib/errors.ts";
import {
  GROUP_TOKEN_AUDIENCE,
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
import type { GroupIdentity, Registered, TokenHolder, WorkloadIdentity } from "./types.ts";

export interface WorkloadTokensOptions {
  /** Which tokens were taken back: a token is good while it was made in its holder's present epoch. Where absent none ever was. */
  readonly epochOf?: (holder: TokenHolder) => number;
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

/** Whose a token is, and until when (milliseconds since the epoch). */
export type VerifiedToken = WorkloadIdentity & { readonly expiresAt: number };

/** "ns/name"; neither part is empty or holds another slash. */
const SUBJECT = /^([^/\s]+)\/([^/\s]+)$/;

type SigningKey = Awaited<ReturnType<typeof importPKCS8>>;

export class WorkloadTokens {
  readonly #private: SigningKey;
  readonly #public: SigningKey;
  readonly #keyId: string;
  readonly #issuer: string;
  readonly #clock: Clock;
  readonly #epochOf: (holder: TokenHolder) => number;

  private constructor(
    keys: { private: SigningKey; public: SigningKey; id: string },
    issuer: string,
    { clock, epochOf = () => 0 }: Pick<WorkloadTokensOptions, "clock" | "epochOf">,
  ) {
    this.#private = keys.private;
    this.#public = keys.public;
    this.#keyId = keys.id;
    this.#issuer = issuer;
    this.#clock = clock;
    this.#epochOf = epochOf;
  }

  /** Loads the key, making it at the first start. @throws WeftError "unavailable" naming the file and its mend. */
  static async open({ dir, trustDomain, clock, epochOf, disk = nodeDisk }: WorkloadTokensOptions): Promise<WorkloadTokens> {
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
      return new WorkloadTokens(keys, trustDomainId(trustDomain), { clock, epochOf });
    } catch (reason) {
      throw new WeftError("unavailable", `${path} does not hold a PKCS #8 PEM key on curve P-256`, {
        help: `put it back from a backup; or, every proxy's bootstrap then being void: rm ${path} and restart weft`,
        cause: reason,
      });
    }
  }

  /**
   * A token for `workload`, valid for `lifetimeMs` from now; for an instance of a group with what it `registered`.
   * @throws WeftError "invalid" where a name is none.
   */
  issue(workload: WorkloadIdentity, lifetimeMs: number = TOKEN_LIFETIME_MS, registered?: Registered): Promise<WorkloadToken> {
    return this.#issue(
      TOKEN_AUDIENCE,
      workload,
      lifetimeMs,
      registered === undefined ? {} : { registered, group_epoch: this.#groupEpoch(workload, registered) },
    );
  }

  /** A token by which instances of `group` register themselves. @throws WeftError "invalid" where a name is none. */
  issueForGroup({ serviceAccount, ...group }: GroupIdentity, lifetimeMs: number = TOKEN_LIFETIME_MS): Promise<WorkloadToken> {
    return this.#issue(GROUP_TOKEN_AUDIENCE, group, lifetimeMs, { service_account: serviceAccount });
  }

  async #issue(
    audience: string,
    { namespace, name }: { readonly namespace: string; readonly name: string },
    lifetimeMs: number,
    claims: JWTPayload,
  ): Promise<WorkloadToken> {
    const subject = `${namespace}/${name}`;
    if (!SUBJECT.test(subject)) throw new WeftError("invalid", `"${subject}" is no workload: write NAMESPACE/NAME`);
    if (lifetimeMs > TOKEN_LONGEST_LIFETIME_MS) {
      throw new WeftError("invalid", `a token may be valid for ${TOKEN_LONGEST_LIFETIME_MS / 86_400_000} days at the most`);
    }
    const now = Math.floor(this.#clock.now() / 1_000);
    const expires = Math.floor((this.#clock.now() + lifetimeMs) / 1_000);
    if (expires <= now) throw new WeftError("invalid", "a token must be valid for at least one second");
    const epoch = this.#epochOf({ kind: kindOf(audience), namespace, name });
    const token = await new SignJWT({ ...claims, epoch })
      .setProtectedHeader({ alg: TOKEN_ALGORITHM, typ: TOKEN_TYPE, kid: this.#keyId })
      .setIssuer(this.#issuer)
      .setAudience(audience)
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
  async verifyHeader(authorization: string | undefined): Promise<VerifiedToken> {
    return await this.verify(bearerOf(authorization));
  }

  /** @throws WeftError "unauthenticated", as verifyHeader. */
  async verify(token: string): Promise<VerifiedToken> {
    const { registered, ...claims } = await this.#check(token, TOKEN_AUDIENCE);
    // As long as it is accepted: a stream that ended earlier would come back at once, and end again.
    const workload = { ...subjectOf(claims), expiresAt: (claims.exp ?? 0) * 1_000 + TOKEN_CLOCK_SKEW_MS };
    return registered === undefined ? workload : { ...workload, registered: readRegistered(registered) };
  }

  /** Which group's instances the bearer of an `authorization` header may register. @throws WeftError "unauthenticated" */
  async verifyGroupHeader(authorization: string | undefined): Promise<GroupIdentity> {
    const { service_account: serviceAccount, ...claims } = await this.#check(bearerOf(authorization), GROUP_TOKEN_AUDIENCE);
    if (typeof serviceAccount !== "string" || serviceAccount === "")
      throw refuse("the group token is malformed: it names no service account");
    return { ...subjectOf(claims), serviceAccount };
  }

  async #check(token: string, audience: string): Promise<JWTPayload> {
    if (token === "") throw refuse("no workload token was sent (authorization: Bearer TOKEN)");
    if (token.length > TOKEN_LONGEST) throw refuse(`the workload token is malformed: it is longer than ${TOKEN_LONGEST} characters`);
    try {
      const { payload } = await jwtVerify(token, this.#public, {
        algorithms: [TOKEN_ALGORITHM],
        audience,
        issuer: this.#issuer,
        typ: TOKEN_TYPE,
        requiredClaims: ["sub", "exp", "iat", "jti"],
        currentDate: new Date(this.#clock.now()),
        clockTolerance: TOKEN_CLOCK_SKEW_MS / 1_000,
      });
      this.#checkEpoch(payload, audience);
      return payload;
    } catch (reason) {
      throw reason instanceof WeftError ? reason : this.#explain(reason, audience);
    }
  }

  #checkEpoch(payload: JWTPayload, audience: string): void {
    const { epoch = 0, group_epoch: groupEpoch = 0, registered } = payload as Record<string, unknown>;
    const workload = subjectOf(payload);
    const group = registered === undefined ? 0 : this.#groupEpoch(workload, readRegistered(registered));
    const isOfNow = typeof epoch === "number" && epoch >= this.#epochOf({ kind: kindOf(audience), ...workload });
    if (isOfNow && typeof groupEpoch === "number" && groupEpoch >= group) return;
    throw refuse(`the workload token of ${payload.sub} was revoked`, payload.sub, undefined, audience);
  }

  /** Whoever may not register instances any more has none that may stay. */
  #groupEpoch({ namespace }: { readonly namespace: string }, { group }: Registered): number {
    return this.#epochOf({ kind: "WorkloadGroup", namespace, name: group });
  }

  /** jose looks at claims only after the signature: what is said of them here is what this weft, or one with its key, once signed. */
  #explain(reason: unknown, audience: string): WeftError {
    const refusal = (message: string, subject?: string, cause?: unknown) => refuse(message, subject, cause, audience);
    if (reason instanceof errors.JWTExpired) {
      const { sub, exp } = reason.payload;
      return refusal(`the workload token of ${sub} expired at ${new Date((exp ?? 0) * 1_000).toISOString()}`, sub);
    }
    if (reason instanceof errors.JWSSignatureVerificationFailed) {
      return refusal("the workload token was not signed by this weft: it comes from another installation, or was changed");
    }
    if (reason instanceof errors.JOSEAlgNotAllowed) {
      return refusal(`the workload token is not signed with ${TOKEN_ALGORITHM}: it comes from somewhere else`);
    }
    if (reason instanceof errors.JWTClaimValidationFailed) {
      const { claim, payload } = reason;
      if (claim === "aud") return refusal(`the workload token is for audience "${payload.aud}", not "${audience}"`, payload.sub);
      if (claim === "iss") return refusal(`the workload token is of ${payload.iss}, and this weft is of ${this.#issuer}`, payload.sub);
      return refusal(`the workload token's claim "${claim}" is missing or not acceptable`, payload.sub);
    }
    return refusal("the workload token is malformed: it is no signed JWT", undefined, reason);
  }
}

const kindOf = (audience: string): TokenHolder["kind"] => (audience === GROUP_TOKEN_AUDIENCE ? "WorkloadGroup" : "workload");

function bearerOf(authorization: string | undefined): string {
  if (authorization === undefined || authorization === "") throw refuse("no workload token was sent (authorization: Bearer TOKEN)");
  const token = /^bearer +(\S+) *$/i.exec(authorization)?.[1];
  if (token === undefined) throw refuse('the authorization header is malformed: it must be "Bearer TOKEN"');
  return token;
}

function subjectOf({ sub }: JWTPayload): { readonly namespace: string; readonly name: string } {
  const [, namespace, name] = SUBJECT.exec(sub ?? "") ?? [];
  if (namespace === undefined || name === undefined) throw refuse('the workload token is malformed: its subject is not "NAMESPACE/NAME"');
  return { namespace, name };
}

/** Signed by this weft, but perhaps by another version of it. */
function readRegistered(claim: unknown): Registered {
  const { group, serviceAccount, instance, address, labels, locality } = (claim ?? {}) as Partial<Record<keyof Registered, unknown>>;
  const texts = [group, serviceAccount, instance, address, locality ?? "", ...Object.values(labels ?? {})];
  if (texts.some((text) => typeof text !== "string")) throw refuse("the workload token is malformed: what it registered cannot be read");
  return claim as Registered;
}

function refuse(message: string, subject = "NAMESPACE/NAME", cause?: unknown, audience: string = TOKEN_AUDIENCE): WeftError {
  const commands =
    audience === GROUP_TOKEN_AUDIENCE
      ? `weft token --workload-group ${subject}`
      : `weft token --workload ${subject}, or a whole new bootstrap with: weft proxy bootstrap ${subject}`;
  // In the message too: a gRPC status carries nothing else to the operator, who reads it in Envoy's log.
  return new WeftError("unauthenticated", `${message}. Make a new one with: ${commands}`, { cause });
}
