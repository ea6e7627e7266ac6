/**
 * This weft as one node of a mesh whose store is shared: its place in it, the bundle, who signs for it, and, on an authority, what it does for others.
 * Several parts need each other, so they are made in two steps: open() before there is a CA, serve() when the mesh is loaded.
 */
import type { LocalAuthority, OpenedAuthority, SecretSource, SvidType, TrustPropagation } from "../ca/index.ts";
import { type KeptSvids, openKeptSvids } from "../cluster/kept-svids.ts";
import { LastingIssuer } from "../cluster/lasting-issuer.ts";
import { RemoteIssuer, renewNodeCertificate } from "../cluster/remote-issuer.ts";
import { Signers } from "../cluster/signers.ts";
import type { Clock } from "../lib/clock.ts";
import type { NodeRemovedError } from "../lib/errors.ts";
import { meshAuthority } from "./cluster-authority.ts";
import { notFrom, watchReissues } from "./cluster-issuing.ts";
import { expulsion, keyHashOf, takePlace } from "./cluster-member.ts";
import { clusterPropagation, trustedHere } from "./cluster-propagation.ts";
import { Publisher } from "./cluster-publisher.ts";
import { ClusterRecords, type ClusterStore } from "./cluster-records.ts";
import { MeshTrust } from "./cluster-trust.ts";
import type { NodeCard } from "./node-card.ts";
import { NodeCertificate, pemOfCertificates } from "./node-certificate.ts";
import { type NodeState, openNodeKey, readNodeCertificate, writeNodeCertificate } from "./node-file.ts";

export interface ClusterOptions {
  readonly data: string;
  readonly state: NodeState;
  readonly trustDomain: string;
  readonly store: ClusterStore;
  /** As SvidManagerOptions.revokedAt. */
  readonly revokedAt: (spiffeId: string) => number;
  /** Of the keys that are kept. */
  readonly encryption: SecretSource | undefined;
  /** MemberOptions.takeOver. */
  readonly takeOver: boolean;
  /** How long an X.509-SVID lives, milliseconds. */
  readonly svidMs: number;
  /** Those on the board; of all nodes that can be seen. */
  readonly cards: () => ReadonlyMap<string, NodeCard>;
  /** The revision of the Mesh that is served. */
  readonly revision: () => number;
  readonly clock: Clock;
  /** Uniform in [0, 1). */
  readonly random: () => number;
  readonly log: { info(message: string): void; warning(message: string): void };
}

export class Cluster {
  readonly node: string;
  readonly isAuthority: boolean;
  readonly records: ClusterRecords;
  readonly trust: MeshTrust;
  readonly certificate: NodeCertificate;
  readonly #options: ClusterOptions;
  readonly #keyHash: string;
  readonly #signers: Signers;
  readonly #kept: KeptSvids;
  #local: LocalAuthority | undefined;
  #publisher: Publisher | undefined;
  #inner: TrustPropagation | undefined;
  /** Undefined until that is known: a restart is no reason to take the address away that others have. */
  #address: string | undefined;

  private constructor(
    options: ClusterOptions,
    parts: {
      readonly records: ClusterRecords;
      readonly isAuthority: boolean;
      readonly keyPem: string;
      readonly chainPem: string | undefined;
      readonly kept: KeptSvids;
    },
  ) {
    const { state, trustDomain, clock, random, data, log } = options;
    const { records, isAuthority, keyPem, chainPem, kept } = parts;
    this.#options = options;
    this.node = state.name;
    this.isAuthority = isAuthority;
    this.records = records;
    this.#kept = kept;
    this.#keyHash = keyHashOf(keyPem);
    this.trust = new MeshTrust({ trustDomain, node: this.node, records, clock });
    const bundle = () => this.trust.bundle();
    this.certificate = new NodeCertificate({
      keyPem,
      chainPem,
      sign: (publicKey) => this.#certify(publicKey),
      keep: (chain) => writeNodeCertificate(data, chain),
      bundle,
      clock,
      random,
      onTrouble: (message) => log.warning(message),
    });
    this.#signers = new Signers({ places: () => this.#places(), certificate: () => this.certificate.presented(), bundle, clock, random });
    this.certificate.onRenewal(() => this.#signers.renewed());
    this.trust.onBundle(() => this.certificate.bundleChanged());
  }

  /** @throws WeftError "conflict" (it must join first), "unavailable" */
  static async open(options: ClusterOptions): Promise<Cluster> {
    const { data, state, trustDomain, store, clock, encryption, takeOver, log } = options;
    const records = await ClusterRecords.open({ store, onTrouble: (message) => log.warning(message) });
    try {
      const keyPem = await openNodeKey(data);
      const isAuthority = await takePlace({ state, trustDomain, keyPem, records, takeOver, clock });
      const kept = await openKeptSvids(data, encryption, clock.now());
      return new Cluster(options, { records, isAuthority, keyPem, chainPem: await readNodeCertificate(data), kept });
    } catch (reason) {
      records.close();
      throw reason;
    }
  }

  /** Why this node is no part of the mesh any more; undefined where it is. */
  get expelled(): NodeRemovedError | undefined {
    return expulsion(this.node, this.#keyHash, this.records);
  }

  /** Whether the store knows nothing of this node, which was not removed. */
  get isForgotten(): boolean {
    return !this.expelled && !this.records.nodes.has(this.node);
  }

  /** Of its node-to-node RPC, as others reach it; "" where that is off. */
  get address(): string {
    return this.#address ?? "";
  }

  /** Of an authority. */
  get local(): LocalAuthority | undefined {
    return this.#local;
  }

  /** What of the bundle all proxies that are connected here have. */
  get trusted(): readonly string[] {
    return this.#inner ? trustedHere(this.#inner, this.trust.bundle()) : [];
  }

  signs(type: SvidType): boolean {
    return this.expelled === undefined && this.#publisher?.signs(type) === true;
  }

  /**
   * The CA of this node, in the mesh's.
   * @param inner who of this node's proxies trusts a bundle
   * @param openLocal makes or opens the CA in the data directory, which waits for whom it is given
   */
  async authorityOver(
    inner: TrustPropagation,
    openLocal: (propagation: TrustPropagation) => Promise<LocalAuthority>,
  ): Promise<OpenedAuthority> {
    const { node, records, trust, certificate } = this;
    const { trustDomain, revokedAt, revision, clock, random, cards, svidMs, log } = this.#options;
    this.#inner = inner;
    if (this.isAuthority) {
      const propagation = clusterPropagation(inner, { node, records, trust, cards });
      this.#local = await openLocal(propagation);
      trust.add(this.#local);
      this.#publisher = new Publisher({
        node,
        address: () => this.#address ?? records.authorities.get(node)?.address ?? "",
        local: this.#local,
        records,
        propagation,
        svidMs,
        clock,
        onTrouble: (message) => log.warning(message),
      });
      await this.#publisher.publish();
    }
    const bundle = () => trust.bundle();
    const issuer = new LastingIssuer({
      remote: new RemoteIssuer({ signers: this.#signers, bundle, revision, clock }),
      kept: this.#kept,
      bundle,
      notFrom: (type, spiffeId, authorityId) =>
        Math.max(type === "x509" ? revokedAt(spiffeId) : 0, notFrom(records.authorities, type, authorityId)),
      clock,
      random,
      onTrouble: (message) => log.warning(message),
    });
    await certificate.start();
    return meshAuthority({
      trustDomain,
      node,
      trust,
      records,
      issuer,
      certificate,
      local: this.#local,
      signs: (type) => this.signs(type),
      expelled: () => this.expelled,
      clock,
    });
  }

  /** An authority of this node took over out of turn. */
  forced(type: SvidType): void {
    this.#publisher?.forced(type);
  }

  /** Calls `reissue` where SVIDs of other authorities must be replaced. @returns what ends it */
  onReissue(reissue: (type: SvidType) => void): () => void {
    return watchReissues(this.records, reissue);
  }

  /** Where others reach its node-to-node RPC; "" where that is off. */
  serveAt(address: string): void {
    this.#address = address;
    void this.#publisher?.publish();
  }

  /** What is kept for workloads is deleted: this node serves nobody any more. */
  async forget(): Promise<void> {
    await this.#kept.clear();
  }

  async close(): Promise<void> {
    this.certificate.close();
    this.trust.close();
    this.records.close();
    this.#signers.close();
    await this.#publisher?.close();
  }

  #places() {
    const signing = [...this.records.authorities].filter(
      ([node, { signs, address, removedAt }]) => node !== this.node && removedAt === undefined && address !== "" && signs.includes("x509"),
    );
    return signing.map(([node, { address }]) => ({ node, address }));
  }

  async #certify(publicKey: Uint8Array): Promise<string> {
    const { expelled } = this;
    if (expelled) throw expelled;
    if (this.#local && this.signs("x509")) return (await this.#local.signNode(this.node, publicKey)).chainPem;
    return pemOfCertificates(await renewNodeCertificate(this.#signers));
  }
}
