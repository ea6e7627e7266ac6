/**
 * The trust bundle of a mesh with several authorities: this node's own, where it is one, and what the others have published. Each node makes it from the
 * same records.
 */
import type { LocalAuthority, TrustBundle } from "../ca/index.ts";
import type { Clock } from "../lib/clock.ts";
import type { ClusterRecords } from "./cluster-records.ts";
import type { AuthorityRecord } from "./cluster-schemas.ts";

/**
 * How long the roots of an authority that was removed stay: its SVIDs are issued again by others within seconds (REISSUE_SPREAD_MS), and every node and proxy
 * has them well before.
 */
export const REMOVED_ROOTS_MS = 2 * 60_000;
/** As ca/bundle.ts: seconds. */
const REFRESH_HINT_S = 300;

export interface MeshTrustOptions {
  readonly trustDomain: string;
  readonly node: string;
  readonly records: Pick<ClusterRecords, "authorities" | "onChange">;
  readonly clock: Clock;
}

export class MeshTrust {
  readonly #options: MeshTrustOptions;
  readonly #listeners = new Set<(bundle: TrustBundle) => void>();
  readonly #stops: (() => void)[];
  #local: LocalAuthority | undefined;
  #bundle: TrustBundle;
  #cancel = () => {};

  constructor(options: MeshTrustOptions) {
    this.#options = options;
    this.#bundle = this.#make();
    this.#stops = [options.records.onChange(() => this.#look())];
    this.#look();
  }

  /** This node holds a CA of its own from now on. */
  add(local: LocalAuthority): void {
    this.#local = local;
    this.#stops.push(local.onBundle(() => this.#look()));
    this.#look();
  }

  bundle(): TrustBundle {
    return this.#bundle;
  }

  onBundle(listener: (bundle: TrustBundle) => void): () => void {
    const own = (bundle: TrustBundle) => listener(bundle);
    this.#listeners.add(own);
    return () => this.#listeners.delete(own);
  }

  close(): void {
    this.#cancel();
    for (const stop of this.#stops) stop();
    this.#listeners.clear();
  }

  #look(): void {
    const { clock, records } = this.#options;
    this.#cancel();
    const ends = [...records.authorities.values()]
      .map((one) => endOf(one) - clock.now())
      .filter((left) => left > 0 && left !== Number.POSITIVE_INFINITY);
    if (ends.length > 0) this.#cancel = clock.after(Math.min(...ends), () => this.#look());
    const next = this.#make();
    if (sameTrust(next, this.#bundle)) return;
    this.#bundle = next.sequence > this.#bundle.sequence ? next : { ...next, sequence: this.#bundle.sequence + 1 };
    for (const listener of [...this.#listeners]) listener(this.#bundle);
  }

  #make(): TrustBundle {
    const { trustDomain, node, records, clock } = this.#options;
    const own = this.#local?.bundle();
    const others = [...records.authorities]
      .filter(([name, one]) => (name !== node || !own) && clock.now() < endOf(one))
      .map(([, one]) => one);
    const all = own ? [own, ...others] : others;
    const x509 = [...new Set(all.flatMap((one) => one.x509))];
    const jwt = [...new Map(all.flatMap((one) => one.jwt).map((key) => [key.kid, key])).values()];
    const sequence = Math.max(0, ...all.map((one) => one.sequence));
    return { trustDomain, sequence, refreshHint: REFRESH_HINT_S, x509, x509Pem: x509.join(""), jwt };
  }
}

/** When its roots leave the bundle. */
const endOf = ({ removedAt }: AuthorityRecord): number =>
  removedAt === undefined ? Number.POSITIVE_INFINITY : removedAt + REMOVED_ROOTS_MS;

function sameTrust(one: TrustBundle, other: TrustBundle): boolean {
  const kids = ({ jwt }: TrustBundle) => jwt.map(({ kid }) => kid).join();
  return one.x509Pem === other.x509Pem && kids(one) === kids(other);
}
