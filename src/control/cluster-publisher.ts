/**
 * Publishes what this authority is to be trusted by, and says when it signs: a new authority's first root signs nothing before all know it. The founder of
 * a mesh signs at once, as there is nobody who could not know.
 */
import { type LocalAuthority, RETRY_FIRST_MS, RETRY_LONGEST_MS, type SvidType, type TrustPropagation } from "../ca/index.ts";
import type { Clock } from "../lib/clock.ts";
import { WeftError } from "../lib/errors.ts";
import type { ClusterRecords } from "./cluster-records.ts";
import { AUTHORITIES, type AuthorityRecord } from "./cluster-schemas.ts";
import { REMOVED_ROOTS_MS } from "./cluster-trust.ts";

/** How long a first root is known at least before it signs; JWT keys for the bundle's refresh hint, as who verifies tokens acknowledges nothing. */
const PUBLISHED_AT_LEAST_MS: Readonly<Record<SvidType, number>> = { x509: 2_000, jwt: 300_000 };
const CHECK_MS = 1_000;
const TYPES: readonly SvidType[] = ["x509", "jwt"];

export interface PublisherOptions {
  readonly node: string;
  /** Of its node-to-node RPC; "" where that is off. */
  readonly address: () => string;
  readonly local: LocalAuthority;
  readonly records: ClusterRecords;
  /** clusterPropagation. */
  readonly propagation: TrustPropagation;
  /** An SVID's: whoever was away for so long holds nothing that is still good. */
  readonly svidMs: number;
  readonly clock: Clock;
  readonly onTrouble: (message: string) => void;
}

export class Publisher {
  readonly #options: PublisherOptions;
  readonly #stop: () => void;
  #forcedAt: AuthorityRecord["forcedAt"] = {};
  #working: Promise<void> | undefined;
  #again = false;
  #failures = 0;
  /** By Clock.monotonic: when what is published now was published. */
  #since: number | undefined;
  #cancel = () => {};
  #closed = false;

  constructor(options: PublisherOptions) {
    this.#options = options;
    this.#forcedAt = options.records.authorities.get(options.node)?.forcedAt ?? {};
    this.#stop = options.local.onBundle(() => void this.publish());
  }

  /** Whether what this node's CA signs of that type is trusted everywhere. */
  signs(type: SvidType): boolean {
    const own = this.#own();
    return own !== undefined && own.removedAt === undefined && own.signs.includes(type);
  }

  /** An authority of this node took over out of turn: what was signed before is to be issued again, everywhere. */
  forced(type: SvidType): void {
    this.#forcedAt = { ...this.#forcedAt, [type]: this.#options.clock.now() };
    void this.publish();
  }

  /** Makes the store say what is so, as soon as it can be; resolves after the first try. */
  async publish(): Promise<void> {
    if (this.#closed) return;
    if (this.#working) {
      this.#again = true;
      return await this.#working;
    }
    this.#cancel();
    this.#working = this.#work().finally(() => {
      this.#working = undefined;
      if (!this.#again) return;
      this.#again = false;
      void this.publish();
    });
    await this.#working;
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#cancel();
    this.#stop();
    await this.#working;
  }

  #own(): AuthorityRecord | undefined {
    return this.#options.records.authorities.get(this.#options.node);
  }

  async #work(): Promise<void> {
    const { records, node, clock, onTrouble } = this.#options;
    try {
      const wanted = this.#wanted();
      if (wanted && !Bun.deepEquals(wanted, this.#own())) {
        const signs = wanted.signs.join(" and ") || "nothing yet";
        await records.write({
          collection: AUTHORITIES,
          puts: [{ id: node, value: wanted }],
          deletes: [],
          audit: {
            who: `weft, node ${node}`,
            from: "weft",
            action: "publish-authority",
            outcome: "done",
            targets: [`authority ${node} (signs ${signs})`],
          },
        });
      }
      this.#failures = 0;
      if (wanted?.removedAt === undefined) this.#since ??= clock.monotonic();
      if (wanted && wanted.signs.length < TYPES.length && !this.#isRemoved()) this.#after(CHECK_MS);
    } catch (reason) {
      if (this.#failures === 0)
        onTrouble(
          `what this authority signs by could not be published, and nothing new of it signs before: ${WeftError.from(reason).message}`,
        );
      this.#after(Math.min(RETRY_LONGEST_MS, RETRY_FIRST_MS * 2 ** this.#failures++));
    }
  }

  #after(milliseconds: number): void {
    if (!this.#closed) this.#cancel = this.#options.clock.after(milliseconds, () => void this.publish());
  }

  #isRemoved(): boolean {
    const { records, node } = this.#options;
    return records.nodes.get(node)?.authority !== true;
  }

  /** Undefined where this node is no authority of the mesh any more. */
  #wanted(): AuthorityRecord | undefined {
    const { local, address, clock } = this.#options;
    if (this.#isRemoved()) return undefined;
    const before = this.#own();
    // An authority of this name was removed, and another has joined: this one. The roots of the one before stay while its SVIDs are replaced.
    if (before?.removedAt !== undefined && clock.now() < before.removedAt + REMOVED_ROOTS_MS) return before;
    const { x509, jwt, sequence } = local.bundle();
    const report = local.report();
    const shown = (all: typeof report.x509) =>
      all.map(({ id, state, notBefore, notAfter, subject, serial, fingerprint }) => ({
        id,
        state,
        notBefore,
        notAfter,
        ...(subject === undefined ? {} : { subject }),
        ...(serial === undefined ? {} : { serial }),
        ...(fingerprint === undefined ? {} : { fingerprint }),
      }));
    return {
      address: address(),
      sequence,
      x509: [...x509],
      jwt: jwt.map(({ kty = "", crv = "", x = "", y = "", kid = "", alg = "" }) => ({ kty, crv, x, y, kid, alg })),
      reports: { x509: shown(report.x509), jwt: shown(report.jwt) },
      signs: this.#signing(before),
      forcedAt: this.#forcedAt,
    };
  }

  #signing(before: AuthorityRecord | undefined): SvidType[] {
    const { records, node, local, propagation, clock, svidMs } = this.#options;
    // The record is that of an authority which had this name before: nobody knows this one's root.
    if (before && (before.removedAt !== undefined || !before.x509.some((root) => local.bundle().x509.includes(root)))) return [];
    if (!before) return records.mesh?.founder === node ? [...TYPES] : [];
    const { signs } = before;
    if (this.#since === undefined) return [...signs];
    const publishedMs = clock.monotonic() - this.#since;
    return TYPES.filter((type) => {
      if (signs.includes(type)) return true;
      const { connected, away } = propagation.missing(local.bundle(), type);
      return publishedMs >= PUBLISHED_AT_LEAST_MS[type] && connected.length === 0 && (away.length === 0 || publishedMs >= svidMs);
    });
  }
}
