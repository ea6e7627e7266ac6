/**
 * A node's SVIDs so that an outage of all authorities is not noticed: what was issued is kept, on the disk too; what is young is given again, and what is
 * old as long as nothing else can be had.
 */
import { X509Certificate } from "node:crypto";
import {
  isUnderBundle,
  type JwtSvid,
  NOT_BEFORE_BACKDATE_MS,
  RETRY_LONGEST_MS,
  type SvidType,
  type TrustBundle,
  type X509Svid,
} from "../ca/index.ts";
import type { Clock } from "../lib/clock.ts";
import { WeftError } from "../lib/errors.ts";
import type { KeptSvids } from "./kept-svids.ts";
import type { RemoteIssuer } from "./remote-issuer.ts";

export interface LastingIssuerOptions {
  readonly remote: Pick<RemoteIssuer, "issueX509" | "issueJwtSvid">;
  readonly kept: KeptSvids;
  readonly bundle: () => TrustBundle;
  /** Before when an SVID was made that is to be used no more: revoked, or its authority replaced out of turn. Milliseconds since the epoch; 0 where never. */
  readonly notFrom: (type: SvidType, spiffeId: string, authorityId: string) => number;
  readonly clock: Clock;
  /** Uniform in [0, 1). */
  readonly random: () => number;
  /** What could not be kept: it is used all the same. */
  readonly onTrouble: (message: string) => void;
}

/** Part of its life in which one is as good as new. Renewals come at half, give or take a tenth of that, and must get another. */
const YOUNG = 0.4;

interface Life {
  readonly issued: number;
  readonly ends: number;
}

export class LastingIssuer {
  readonly #options: LastingIssuerOptions;

  constructor(options: LastingIssuerOptions) {
    this.#options = options;
  }

  /** @throws WeftError as RemoteIssuer, where there is none that is still good */
  async issueX509(spiffeId: string): Promise<X509Svid> {
    const { kept, remote } = this.#options;
    const old = await kept.readX509(spiffeId);
    const life = old && this.#isTrusted(old) ? { issued: old.notBefore + NOT_BEFORE_BACKDATE_MS, ends: old.notAfter } : undefined;
    const usable = old && life && this.#isUsable("x509", old, life) ? old : undefined;
    return await this.#another(
      usable,
      life,
      () => remote.issueX509(spiffeId),
      (svid) => kept.writeX509(svid),
    );
  }

  /** @throws WeftError as RemoteIssuer, where there is none that is still good */
  async issueJwtSvid(spiffeId: string, audience: readonly string[]): Promise<JwtSvid> {
    const { kept, remote, bundle } = this.#options;
    const old = await kept.readJwt(spiffeId, audience);
    const isTrusted = old !== undefined && bundle().jwt.some(({ kid }) => kid === old.authorityId);
    const life = old && isTrusted ? { issued: old.issuedAt, ends: old.expiresAt } : undefined;
    const usable = old && life && this.#isUsable("jwt", old, life) ? old : undefined;
    return await this.#another(
      usable,
      life,
      () => remote.issueJwtSvid(spiffeId, audience),
      (svid) => kept.writeJwt(svid),
    );
  }

  async #another<S extends X509Svid | JwtSvid>(
    old: S | undefined,
    life: Life | undefined,
    issue: () => Promise<S>,
    keep: (svid: S) => Promise<void>,
  ): Promise<S> {
    const { clock, random, onTrouble } = this.#options;
    if (old && life && clock.now() < life.issued + YOUNG * (life.ends - life.issued)) return old;
    try {
      const svid = await issue();
      await keep(svid).catch((reason) => onTrouble(`an SVID could not be kept over a restart: ${WeftError.from(reason).message}`));
      return svid;
    } catch (reason) {
      if (!old || WeftError.from(reason).code !== "unavailable") throw reason;
      return { ...old, renewAt: clock.now() + RETRY_LONGEST_MS * (1 - random() / 2) };
    }
  }

  #isUsable(type: SvidType, { spiffeId, authorityId }: X509Svid | JwtSvid, { issued, ends }: Life): boolean {
    const { clock, notFrom } = this.#options;
    return clock.now() < ends && issued > notFrom(type, spiffeId, authorityId);
  }

  #isTrusted({ chainPem }: X509Svid): boolean {
    const { bundle, clock } = this.#options;
    const chain = [...chainPem.matchAll(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g)].map(
      ([pem]) => new X509Certificate(pem),
    );
    return isUnderBundle(chain, bundle(), clock.now());
  }
}
