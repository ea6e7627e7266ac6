/**
 * The node's own certificate (nodeSpiffeId), by which nodes know each other: signed here where this node's CA signs, else by another authority; renewed at
 * half its life, and kept over restarts. Its key stays the same as long as the node is part of the mesh: by it the mesh knows the node.
 */
import { createPrivateKey, createPublicKey, X509Certificate } from "node:crypto";
import { isUnderBundle, NOT_BEFORE_BACKDATE_MS, RETRY_FIRST_MS, RETRY_LONGEST_MS, type TrustBundle } from "../ca/index.ts";
import { type Clock, sleep } from "../lib/clock.ts";
import { WeftError } from "../lib/errors.ts";
import type { ServerCertificate } from "../lib/server-tls.ts";

export interface NodeCertificateOptions {
  /** PKCS #8, PEM. */
  readonly keyPem: string;
  /** What was kept; PEM. */
  readonly chainPem: string | undefined;
  /** @returns the chain, PEM. @throws WeftError */
  readonly sign: (publicKey: Uint8Array) => Promise<string>;
  readonly keep: (chainPem: string) => Promise<void>;
  readonly bundle: () => TrustBundle;
  readonly clock: Clock;
  /** Uniform in [0, 1). */
  readonly random: () => number;
  readonly onTrouble: (message: string) => void;
}

/** The wall clock is looked at so often: a machine may have slept. */
const LOOK_MS = 30_000;
/** An authority that is there answers sooner. */
const FIRST_MS = 1_000;
const RENEW_AT = 0.5;
const JITTER = 0.1;

export class NodeCertificate implements ServerCertificate {
  readonly #options: NodeCertificateOptions;
  readonly #publicKey: Uint8Array;
  readonly #listeners = new Set<() => void>();
  readonly #jitter: number;
  #chain: string | undefined;
  #leaf: X509Certificate | undefined;
  #cancel = () => {};
  #renewing: Promise<void> | undefined;
  #failures = 0;
  #trouble: WeftError | undefined;
  #started = false;
  #closed = false;

  constructor(options: NodeCertificateOptions) {
    this.#options = options;
    this.#publicKey = createPublicKey(createPrivateKey(options.keyPem)).export({ type: "spki", format: "der" });
    this.#jitter = 1 + JITTER * (2 * options.random() - 1);
    try {
      if (options.chainPem !== undefined) this.#take(options.chainPem);
    } catch {
      // One that cannot be read is worth nothing: another is asked for.
    }
  }

  /** SubjectPublicKeyInfo, DER. */
  get publicKey(): Uint8Array {
    return this.#publicKey;
  }

  /** Milliseconds since the epoch; undefined while there is none. */
  get notAfter(): number | undefined {
    return this.#leaf?.validToDate.getTime();
  }

  /** Why it could not be renewed, the last time that was tried; undefined where it could. */
  get trouble(): WeftError | undefined {
    return this.#trouble;
  }

  /** Renews it when that is due, from now on; resolves after the first look, or a moment later: where there is one, nothing waits for authorities that are away. */
  async start(): Promise<void> {
    this.#started = true;
    const looking = this.#look();
    await (this.#chain === undefined ? looking : Promise.race([looking, sleep(this.#options.clock, FIRST_MS)]));
  }

  /** As a client presents it; undefined while there is none. */
  presented(): { readonly chain: string; readonly key: string } | undefined {
    return this.#chain === undefined ? undefined : { chain: this.#chain, key: this.#options.keyPem };
  }

  /** As a server does: the roots go with it, so that who pins one finds it. */
  current(): { readonly chain: string; readonly key: string } {
    const own = this.presented();
    if (!own) throw new WeftError("unavailable", "this node has no certificate yet");
    return { chain: own.chain + this.#options.bundle().x509Pem, key: own.key };
  }

  onRenewal(listener: () => void): () => void {
    const own = () => listener();
    this.#listeners.add(own);
    return () => this.#listeners.delete(own);
  }

  /** The bundle is another one: whoever follows onRenewal serves it, and where it has no place for this certificate's authority, another is asked for. */
  bundleChanged(): void {
    this.#tell();
    void this.#look();
  }

  close(): void {
    this.#closed = true;
    this.#cancel();
    this.#listeners.clear();
  }

  async #look(): Promise<void> {
    this.#cancel();
    // A CA is in the bundle before it may sign: asked then, it would refuse, and the operator would be told.
    if (this.#closed || !this.#started) return;
    const due = this.#dueIn();
    if (due <= 0) {
      this.#renewing ??= this.#renew().finally(() => {
        this.#renewing = undefined;
      });
      await this.#renewing;
    } else this.#wait(due);
  }

  #wait(milliseconds: number): void {
    this.#cancel();
    if (!this.#closed) this.#cancel = this.#options.clock.after(Math.min(milliseconds, LOOK_MS), () => void this.#look());
  }

  #dueIn(): number {
    const leaf = this.#leaf;
    if (!leaf || !this.#isTrusted()) return 0;
    const [issued, ends] = [leaf.validFromDate.getTime() + NOT_BEFORE_BACKDATE_MS, leaf.validToDate.getTime()];
    return issued + (ends - issued) * RENEW_AT * this.#jitter - this.#options.clock.now();
  }

  #isTrusted(): boolean {
    const { bundle, clock } = this.#options;
    const chain = certificatesOf(this.#chain ?? "").map((der) => new X509Certificate(der));
    return isUnderBundle(chain, bundle(), clock.now());
  }

  async #renew(): Promise<void> {
    const { sign, keep, random, onTrouble } = this.#options;
    try {
      const chain = await sign(this.#publicKey);
      if (!this.#take(chain)) throw new WeftError("unavailable", "an authority answered with a certificate that is not this node's");
      this.#failures = 0;
      this.#trouble = undefined;
      await keep(chain).catch((reason) => onTrouble(`the node's certificate could not be kept: ${WeftError.from(reason).message}`));
      this.#tell();
      this.#wait(LOOK_MS);
    } catch (reason) {
      const error = WeftError.from(reason);
      if (this.#trouble?.message !== error.message)
        onTrouble(`the node's certificate could not be renewed: ${error.message}${error.help ? `; ${error.help}` : ""}`);
      this.#trouble = error;
      this.#wait(Math.min(RETRY_LONGEST_MS, RETRY_FIRST_MS * 2 ** this.#failures++) * (1 - random() / 2));
    }
  }

  #take(chain: string): boolean {
    const [der] = certificatesOf(chain);
    const leaf = der && new X509Certificate(der);
    if (!leaf?.publicKey.export({ type: "spki", format: "der" }).equals(this.#publicKey)) return false;
    this.#chain = chain;
    this.#leaf = leaf;
    return true;
  }

  #tell(): void {
    if (this.#chain === undefined) return;
    for (const listener of [...this.#listeners]) listener();
  }
}

/** DER, in their order. */
export function certificatesOf(pem: string): Uint8Array[] {
  return [...pem.matchAll(/-----BEGIN CERTIFICATE-----([^-]+)-----END CERTIFICATE-----/g)].map(
    ([, text = ""]) => new Uint8Array(Buffer.from(text, "base64")),
  );
}

/** PEM, in their order. */
export const pemOfCertificates = (certificates: readonly Uint8Array[]): string =>
  certificates.map((der) => `${new X509Certificate(der).toString().trim()}\n`).join("");
