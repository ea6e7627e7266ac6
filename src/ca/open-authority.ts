/**
 * The SPIFFE authority in a data directory (X509-SVID, 3.2), whose keys never leave their files and this process.
 *
 * It signs with the keys that it read at the start or made itself, so that trouble with the disk does not stop the mesh from renewing. `check`
 * looks at the files, and fails as soon as another start of weft would: a CA that lives in memory only is not healthy.
 */
import { X509Certificate } from "node:crypto";
import { join } from "node:path";
import type { Clock } from "../lib/clock.ts";
import { errnoOf, WeftError } from "../lib/errors.ts";
import { generateLeafKey, type KeyPair, leafPublicKey, signingKeyOf } from "./crypto.ts";
import { type Disk, nodeDisk } from "./disk.ts";
import { emptyJournal, type Journal, type JournalEntry, journalPath, journalText, keyName, readJournal, writeJournal } from "./journal.ts";
import { signJwtSvid, verifyJwtSvid } from "./jwt-svid.ts";
import { type KeyVault, openKeyVault, type SecretSource } from "./key-vault.ts";
import { signSvid } from "./leaf.ts";
import { legacyKeyPath, readLegacy } from "./legacy.ts";
import { Lifecycle, SVID_TYPES } from "./lifecycle.ts";
import type { CaObserver } from "./lifecycle-options.ts";
import { checkLifetimes, DEFAULT_LIFETIMES, type Lifetimes, PROBE_LIFETIME_MS } from "./lifetimes.ts";
import { openAuthorityKey } from "./new-authority.ts";
import { parseCertificates, toPem } from "./pem.ts";
import { caReport, caWarnings, refuseUnusable } from "./report.ts";
import { readSecret } from "./secret-file.ts";
import { isReserved, nodeSpiffeId, parseSpiffeId, parseTrustDomain, workloadSpiffeId } from "./spiffe-id.ts";
import type { Certificate } from "./template.ts";
import type { CaWarning, SignedX509, SpiffeAuthority, SvidType, TrustPropagation } from "./types.ts";
import type { UpstreamFiles } from "./upstream.ts";
import { UpstreamWatch } from "./upstream-watch.ts";

export interface AuthorityOptions {
  /** The data directory; the CA is in its folder `ca` (0700). */
  readonly dir: string;
  readonly trustDomain: string;
  readonly clock: Clock;
  readonly lifetimes?: Lifetimes;
  /** Absent: weft owns its root. */
  readonly upstream?: UpstreamFiles;
  /** Absent: keys are in their files as they are. */
  readonly keyEncryption?: SecretSource;
  /** Absent: nobody is waited for. */
  readonly propagation?: TrustPropagation;
  readonly observer?: CaObserver;
  readonly disk?: Disk;
}

export interface OpenedAuthority extends SpiffeAuthority {
  /** What to tell an operator now. */
  warnings(): readonly CaWarning[];
  /** Replaces the authorities of these types as soon as everybody trusts new ones. On the disk when this resolves. @throws WeftError "unavailable" */
  rotate(types: readonly SvidType[]): Promise<void>;
  /** Does every step that is due now. @throws WeftError where one cannot be done */
  run(): Promise<void>;
  /** Does them when they are due, from now on. */
  start(): void;
  close(): void;
}

/** One whose keys are here, and that can sign for others. */
export interface LocalAuthority extends OpenedAuthority {
  /**
   * The certificate of a workload's SVID for a key that is elsewhere: SubjectPublicKeyInfo, DER. Who may have it, the caller has found out.
   * @throws WeftError "invalid" (no workload's ID in this trust domain, no P-256 key), "unavailable"
   */
  signX509(spiffeId: string, publicKey: Uint8Array): Promise<SignedX509>;
  /** The certificate of a node of the mesh (nodeSpiffeId). @throws as signX509 */
  signNode(node: string, publicKey: Uint8Array): Promise<SignedX509>;
}

const NOBODY: TrustPropagation = { missing: () => ({ connected: [], away: [] }) };

/**
 * Opens the CA, making it at the first start, and does what is due.
 * @throws WeftError "invalid" (trust domain, lifetimes, upstream files), "unavailable" (files that are unreadable, open to others, damaged).
 */
export async function openAuthority(options: AuthorityOptions): Promise<LocalAuthority> {
  const { trustDomain, clock, propagation = NOBODY, observer = {}, disk = nodeDisk } = options;
  parseTrustDomain(trustDomain);
  const lifetimes = checkLifetimes(options.lifetimes ?? DEFAULT_LIFETIMES);
  const dir = join(options.dir, "ca");
  const vault = await openKeyVault(disk, dir, options.keyEncryption);
  const found = await openJournal({ disk, dir, trustDomain, vault, now: clock.now(), lifetimes });
  const journal = found ?? emptyJournal(trustDomain);
  const upstream = options.upstream && new UpstreamWatch(disk, options.upstream, trustDomain);
  const keys = await openKeys(vault, journal);
  await vault.renew(keys.keys());
  await vault.keepOnly(new Set(journal.entries.filter(({ state }) => state !== "retiring").map(keyName)));

  const restarted = found !== undefined;
  const lifecycle = new Lifecycle({ disk, dir, clock, lifetimes, vault, upstream, propagation, observer, journal, keys, restarted });
  const parts = { lifecycle, lifetimes, upstream };
  await lifecycle.run().catch((reason) => {
    // What is there signs on; the next look tries again.
    if (!lifecycle.signer("x509")) throw reason;
    observer.failed?.({ error: WeftError.from(reason), retryInMs: 0 });
  });
  // Files that never worked are a mistake, to be told now; those that worked once are a warning.
  if (upstream?.failure && !lifecycle.signer("x509")) throw upstream.failure;

  return {
    trustDomain,
    bundle: () => lifecycle.bundle,
    onBundle: (listener) => lifecycle.onBundle(listener),
    report: () => caReport(parts),
    warnings: () => caWarnings(parts),
    rotate: (types) => lifecycle.rotate(types),
    run: () => lifecycle.run(),
    start: () => lifecycle.start(),
    close: () => lifecycle.close(),

    async issueX509(spiffeId) {
      refuseReserved(spiffeId);
      const { publicKey, privateKeyPem } = generateLeafKey();
      return { ...(await sign(spiffeId, publicKey)), privateKeyPem };
    },

    async signX509(spiffeId, publicKey) {
      refuseReserved(spiffeId);
      return await sign(spiffeId, leafPublicKey(publicKey));
    },

    signNode: (node, publicKey) => sign(nodeSpiffeId(trustDomain, node), leafPublicKey(publicKey)),

    async issueJwtSvid(spiffeId, audience) {
      refuseReserved(spiffeId);
      const { entry, keys: signing } = signerOf(lifecycle, "jwt", parts);
      const authority = { id: entry.id, notAfter: entry.notAfter, key: await signingKeyOf(signing.privateKey) };
      const svid = signJwtSvid({ spiffeId, trustDomain, audience, now: clock.now(), lifetimeMs: lifetimes.jwtSvidMs, authority });
      lifecycle.noteLeaf(entry, svid.expiresAt);
      return svid;
    },

    verifyJwtSvid: (token, audience) =>
      verifyJwtSvid(token, { audience, now: clock.now(), bundleOf: (name) => (name === trustDomain ? lifecycle.bundle : undefined) }),

    async check() {
      refuseUnusable(parts);
      const onDisk = await readSecret(disk, journalPath(dir), "the CA's journal");
      if (onDisk !== journalText(lifecycle.journal)) {
        throw new WeftError(
          "unavailable",
          `the CA's journal ${journalPath(dir)} is ${onDisk === undefined ? "gone" : "not the one that weft wrote"}`,
          {
            help: "put the folder ca back as it was, or restart weft to use what is there",
          },
        );
      }
      for (const type of SVID_TYPES) await checkKey(type);
    },
  };

  async function sign(spiffeId: string, publicKey: Uint8Array): Promise<SignedX509> {
    const { entry, keys: signing } = signerOf(lifecycle, "x509", parts);
    const caKey = await signingKeyOf(signing.privateKey);
    const { x509SvidMs: lifetimeMs } = lifetimes;
    const ca = certificateOf(entry);
    const { pem, ...signed } = signSvid({ spiffeId, trustDomain, publicKey, ca, caKey, now: clock.now(), lifetimeMs });
    lifecycle.noteLeaf(entry, signed.notAfter);
    // A root is with the peers already; what stands between is not.
    const above = entry.upstream === undefined ? [] : [entry.certificate, ...(entry.issuers ?? [])];
    return { spiffeId, chainPem: [pem, ...above].join(""), ...signed, authorityId: entry.id };
  }

  async function checkKey(type: SvidType): Promise<void> {
    const { entry } = signerOf(lifecycle, type, parts);
    const name = keyName(entry);
    const pem = await vault.read(name);
    if (pem === undefined) {
      throw new WeftError("unavailable", `the CA's key ${vault.path(name)} is gone`, {
        help: "put it back from a backup, or restart weft, which then makes a new authority beside this one",
      });
    }
    const pair = await openAuthorityKey(entry, pem, vault.path(name));
    if (type === "jwt") return;
    const [spiffeId, { publicKey }] = [workloadSpiffeId(trustDomain, "weft-system", "health-check"), generateLeafKey()];
    const ca = certificateOf(entry);
    const caKey = await signingKeyOf(pair.privateKey);
    const { pem: probe } = signSvid({ spiffeId, trustDomain, publicKey, ca, caKey, now: clock.now(), lifetimeMs: PROBE_LIFETIME_MS });
    if (!new X509Certificate(probe).verify(new X509Certificate(toPem(ca)).publicKey)) {
      throw new WeftError("unavailable", `the CA's key ${vault.path(name)} makes signatures that its certificate does not verify`, {
        help: "put the folder ca back from a backup",
      });
    }
  }
}

/** Whoever had a certificate of a node's would be that node to the others: only signNode makes them. */
function refuseReserved(spiffeId: string): void {
  if (isReserved(parseSpiffeId(spiffeId).path))
    throw new WeftError("invalid", `"${spiffeId}" is kept for weft's own nodes: no workload can have it`);
}

function signerOf(lifecycle: Lifecycle, type: SvidType, parts: Parameters<typeof refuseUnusable>[0]) {
  const signer = lifecycle.signer(type);
  if (signer) return signer;
  refuseUnusable(parts);
  throw new WeftError("unavailable", "weft is shutting down: it issues no more identities");
}

const certificates = new WeakMap<JournalEntry, Certificate>();

/** Parsed once for an authority. */
function certificateOf(entry: JournalEntry): Certificate {
  const known = certificates.get(entry);
  if (known) return known;
  const [certificate] = parseCertificates(entry.certificate ?? "", "the CA's journal");
  if (!certificate) throw new WeftError("internal", "an X.509 authority has no certificate");
  certificates.set(entry, certificate);
  return certificate;
}

interface JournalOptions {
  readonly disk: Disk;
  readonly dir: string;
  readonly trustDomain: string;
  readonly vault: KeyVault;
  readonly now: number;
  readonly lifetimes: Lifetimes;
}

/** The journal; where there is none, that of the CA that an older version made. Undefined at a first start. */
async function openJournal({ disk, dir, trustDomain, vault, now, lifetimes }: JournalOptions): Promise<Journal | undefined> {
  const journal = await readJournal(disk, dir, trustDomain);
  if (journal) {
    await forgetLegacyKey(disk, dir, journal);
    const longer = withLongerLeaves(journal, lifetimes);
    if (journalText(longer) !== journalText(journal)) await writeJournal(disk, dir, longer);
    return longer;
  }
  const legacy = await readLegacy(disk, dir, trustDomain, now, lifetimes);
  if (!legacy) return undefined;
  const { entry, keyPem } = legacy;
  // Its bundle's number was the certificate's beginning.
  const adopted: Journal = { ...emptyJournal(trustDomain), sequence: Math.floor(entry.notBefore / 1_000), entries: [entry] };
  await vault.write(keyName(entry), keyPem);
  await writeJournal(disk, dir, adopted);
  await disk.remove(legacyKeyPath(dir));
  return adopted;
}

/** A take-over that died after its journal was written left the key in two places. */
async function forgetLegacyKey(disk: Disk, dir: string, journal: Journal): Promise<void> {
  const path = legacyKeyPath(dir);
  const pem = await readSecret(disk, path, "the CA's key").catch((reason) => {
    if (errnoOf(reason) === undefined) return undefined;
    throw reason;
  });
  if (pem === undefined) return;
  for (const entry of journal.entries.filter(({ type }) => type === "x509")) {
    const same = await openAuthorityKey(entry, pem, path).catch(() => undefined);
    if (same) await disk.remove(path);
  }
}

/** SVIDs may be given longer lives since a restart: their authorities must be trusted for as long. */
function withLongerLeaves(journal: Journal, { x509SvidMs, jwtSvidMs }: Lifetimes): Journal {
  const longest = { x509: x509SvidMs, jwt: jwtSvidMs };
  const entries = journal.entries.map((entry) => (entry.leafMs >= longest[entry.type] ? entry : { ...entry, leafMs: longest[entry.type] }));
  return { ...journal, entries };
}

/** The keys of those that sign or will. One that is gone is lost, and its authority is replaced; one that is damaged is told. */
async function openKeys(vault: KeyVault, journal: Journal): Promise<Map<string, KeyPair>> {
  const keys = new Map<string, KeyPair>();
  for (const entry of journal.entries.filter(({ state }) => state !== "retiring")) {
    const name = keyName(entry);
    const pem = await vault.read(name);
    if (pem !== undefined) keys.set(name, await openAuthorityKey(entry, pem, vault.path(name)));
  }
  return keys;
}
