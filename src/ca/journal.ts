/**
 * The journal of the authorities: which there are, in which state, and what of a rotation is under way. One file, replaced whole, and the one
 * truth: a key file that it does not name means nothing. So every step of a rotation is one rename, and a crash is before or after it.
 */
import { join } from "node:path";
import * as v from "valibot";
import { WeftError } from "../lib/errors.ts";
import type { Disk } from "./disk.ts";
import { readSecret, writeAtomically } from "./secret-file.ts";
import { trustDomainId } from "./spiffe-id.ts";

const pem = v.string();
const time = v.number();

/** Times are milliseconds since the epoch. */
const EntrySchema = v.strictObject({
  /** AuthorityReport.id; the key's file is TYPE-ID.key. */
  id: v.string(),
  type: v.picklist(["x509", "jwt"]),
  state: v.picklist(["prepared", "active", "retiring"]),
  notBefore: time,
  notAfter: time,
  /** When it came into the bundle. */
  preparedAt: time,
  activatedAt: v.optional(time),
  /** retiring: when the last SVID under it has expired. */
  retireAt: v.optional(time),
  /** The longest lifetime, milliseconds, that SVIDs under it were given. */
  leafMs: v.number(),
  /** x509: the certificate of the key that signs SVIDs. */
  certificate: v.optional(pem),
  /** x509: what peers get after it in the chain; empty under a root of weft's own. */
  issuers: v.optional(v.array(pem)),
  /** x509: what peers must trust. */
  roots: v.optional(v.array(pem)),
  /** x509: Upstream.fingerprint; absent under a root of weft's own. */
  upstream: v.optional(v.string()),
  /** jwt: the public key. */
  jwk: v.optional(v.strictObject({ kty: v.string(), crv: v.string(), x: v.string(), y: v.string(), kid: v.string(), alg: v.string() })),
});

const RotationSchema = v.strictObject({
  reason: v.picklist(["scheduled", "forced", "upstream", "key-lost", "expired"]),
  since: time,
});

const JournalSchema = v.strictObject({
  version: v.literal(1),
  trustDomain: v.string(),
  sequence: v.number(),
  entries: v.array(EntrySchema),
  rotations: v.strictObject({ x509: v.optional(RotationSchema), jwt: v.optional(RotationSchema) }),
});

export type JournalEntry = Readonly<v.InferOutput<typeof EntrySchema>>;
export type Rotation = Readonly<v.InferOutput<typeof RotationSchema>>;
/** Immutable: a step makes a new one. */
export type Journal = Readonly<
  Omit<v.InferOutput<typeof JournalSchema>, "entries" | "rotations"> & {
    readonly entries: readonly JournalEntry[];
    readonly rotations: { readonly x509?: Rotation; readonly jwt?: Rotation };
  }
>;

export const emptyJournal = (trustDomain: string): Journal => ({ version: 1, trustDomain, sequence: 0, entries: [], rotations: {} });

export const journalPath = (dir: string): string => join(dir, "journal.json");

/** The name of an authority's key. */
export const keyName = ({ type, id }: Pick<JournalEntry, "type" | "id">): string => `${type}-${id}`;

/** Undefined where there is none. @throws WeftError naming the file and its mend, also where it is another trust domain's. */
export async function readJournal(disk: Disk, dir: string, trustDomain: string): Promise<Journal | undefined> {
  const path = journalPath(dir);
  const text = await readSecret(disk, path, "the CA's journal");
  if (text === undefined) return undefined;
  let journal: Journal;
  try {
    journal = v.parse(JournalSchema, JSON.parse(text));
  } catch (reason) {
    throw new WeftError("unavailable", `the CA's journal ${path} is damaged`, {
      help: "put the folder ca of the data directory back from a backup",
      cause: reason,
    });
  }
  if (journal.trustDomain !== trustDomain) {
    const [found, expected] = [trustDomainId(journal.trustDomain), trustDomainId(trustDomain)];
    throw new WeftError("invalid", `the CA in ${dir} is for ${found}, not ${expected}`, {
      help: `start weft with --trust-domain ${journal.trustDomain}, or with another data directory (--data)`,
    });
  }
  return journal;
}

/** On the disk when this resolves, whole or not at all. */
export async function writeJournal(disk: Disk, dir: string, journal: Journal): Promise<void> {
  await writeAtomically(disk, journalPath(dir), journalText(journal), 0o600);
}

/** The same for the same journal: members are in the schema's order, wherever they came from. */
export function journalText(journal: Journal): string {
  return `${JSON.stringify(v.parse(JournalSchema, journal), null, 2)}\n`;
}
