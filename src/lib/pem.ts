/** Certificates and keys as PEM (RFC 7468), judged by what Envoy takes. What is said of them never repeats them. */
import { createPrivateKey, type KeyObject, X509Certificate } from "node:crypto";

const BLOCK = /-----BEGIN ([A-Z0-9 ]+)-----[\s\S]*?-----END \1-----/g;

/** The blocks of `text` with this label, one after another; text around them is left out. */
function blocksOf(text: string, label: RegExp): readonly string[] {
  return [...text.matchAll(BLOCK)].flatMap(([block, name]) => (label.test(name ?? "") ? [block] : []));
}

const CERTIFICATE = /^CERTIFICATE$/;
const PRIVATE_KEY = /PRIVATE KEY$/;
const CRL = /^X509 CRL$/;

/** The certificates alone, each on lines of its own; "" where there are none. */
export const certificatesIn = (text: string): string => joined(blocksOf(text, CERTIFICATE));
/** The private key alone. */
export const privateKeyIn = (text: string): string => joined(blocksOf(text, PRIVATE_KEY));
export const revocationsIn = (text: string): string => joined(blocksOf(text, CRL));

const joined = (blocks: readonly string[]) => blocks.map((block) => `${block}\n`).join("");

/** Whether `text` holds nothing that must stay unseen: certificates or revocation lists, and no key. */
export function isPublicPem(text: string): boolean {
  return text.replaceAll(BLOCK, (block, name: string) => (CERTIFICATE.test(name) || CRL.test(name) ? "" : block)).trim() === "";
}

export interface Trouble {
  readonly code: "badPem" | "keyMismatch";
  readonly message: string;
}

/** What keeps `text` from being certificates; undefined where nothing does. */
export function certificateTrouble(text: string): Trouble | undefined {
  return readCertificates(text).trouble;
}

/** What keeps `text` from being a list of revoked certificates. Only its form is looked at. */
export function revocationTrouble(text: string): Trouble | undefined {
  return blocksOf(text, CRL).length > 0 ? undefined : bad("holds no X509 CRL in PEM");
}

/** What keeps the first of `certificates` from being served with `key`. */
export function pairTrouble(certificates: string, key: string): Trouble | undefined {
  const [leaf] = readCertificates(certificates).found;
  const blocks = blocksOf(key, PRIVATE_KEY);
  if (blocks.length === 0) return bad("holds no private key in PEM");
  if (blocks.length > 1) return bad(`holds ${blocks.length} private keys, where one is due`);
  let parsed: KeyObject;
  try {
    parsed = createPrivateKey(joined(blocks));
  } catch {
    const isLocked = /ENCRYPTED/.test(key);
    return bad(isLocked ? "is an encrypted key, and nobody is there to type its passphrase" : "is no private key that can be read");
  }
  const unfit = unfitKey(parsed);
  if (unfit) return bad(unfit);
  if (leaf && !leaf.checkPrivateKey(parsed)) {
    return { code: "keyMismatch", message: "is the key of another certificate than the first of the chain" };
  }
  return undefined;
}

/** BoringSSL's curves that Envoy takes, and its shortest RSA key (source/common/tls/context_impl.cc). */
const CURVES = ["prime256v1", "secp384r1", "secp521r1"];
const RSA_BITS = 2048;

function unfitKey({ asymmetricKeyType: type, asymmetricKeyDetails: details = {} }: KeyObject): string | undefined {
  if (type === "rsa") {
    const bits = details.modulusLength ?? 0;
    return bits < RSA_BITS ? `is an RSA key of ${bits} bits, and Envoy takes none below ${RSA_BITS}` : undefined;
  }
  if (type === "ec") {
    return CURVES.includes(details.namedCurve ?? "") ? undefined : `is a key on curve ${details.namedCurve}, which Envoy does not take`;
  }
  return `is a key of type ${type}, and Envoy takes RSA and ECDSA`;
}

export interface Validity {
  readonly subject: string;
  /** Milliseconds since the epoch. */
  readonly notBefore: number;
  readonly notAfter: number;
}

/** Of each certificate in `text` that can be read. */
export function validityOf(text: string): readonly Validity[] {
  return readCertificates(text).found.map(({ subject, validFrom, validTo }) => {
    return { subject: subject.replaceAll("\n", ", "), notBefore: Date.parse(validFrom), notAfter: Date.parse(validTo) };
  });
}

function readCertificates(text: string): { readonly found: readonly X509Certificate[]; readonly trouble?: Trouble } {
  const blocks = blocksOf(text, CERTIFICATE);
  if (blocks.length === 0) return { found: [], trouble: bad("holds no certificate in PEM") };
  const found: X509Certificate[] = [];
  for (const [index, block] of blocks.entries()) {
    try {
      found.push(new X509Certificate(block));
    } catch {
      return { found, trouble: bad(blocks.length > 1 ? `certificate ${index + 1} cannot be read` : "its certificate cannot be read") };
    }
  }
  return { found };
}

const bad = (message: string): Trouble => ({ code: "badPem", message });
