/**
 * An upstream authority: an operator's own intermediate CA, whose certificate and key are in files. It signs weft's X.509 authorities, which are
 * a day old at most; so the operator's key is used twice a day and weft's often. What peers must trust is the operator's root.
 */
import { WeftError } from "../lib/errors.ts";
import { sha256 } from "../lib/hash.ts";
import { importOperatorKey, x509 } from "./crypto.ts";
import type { Disk } from "./disk.ts";
import { fingerprintOf, keyIdOf, parseCertificates, toPem, uriNames } from "./pem.ts";
import { readPublic, readSecret } from "./secret-file.ts";
import { trustDomainId } from "./spiffe-id.ts";
import type { Certificate, Issuer } from "./template.ts";

export interface UpstreamFiles {
  /** PEM: the intermediate first, then those above it; the root may be among them. */
  readonly certificate: string;
  /** PEM, not encrypted. */
  readonly key: string;
  /** PEM: the root, or several; where absent, it is in `certificate`. */
  readonly roots?: string;
  /** Whether a path is among systemd's credentials. */
  readonly isCredential?: (path: string) => boolean;
}

export interface Upstream extends Issuer {
  /** What peers get after weft's own certificate; PEM, the intermediate first, no root. */
  readonly issuers: readonly string[];
  /** What peers must trust; PEM. */
  readonly roots: readonly string[];
  /** The end of that certificate of the chain that ends first. */
  readonly notAfter: number;
  /** The certificate that ends first, and the end's distance from its beginning. */
  readonly firstToEnd: { readonly subject: string; readonly lifeMs: number };
  /** Of all its certificates: another one means that the operator changed something. */
  readonly fingerprint: string;
}

/** Reads and checks the files. An expired chain is no error: it is told, and nothing is signed with it. @throws WeftError naming the file and its mend. */
export async function loadUpstream(disk: Disk, files: UpstreamFiles, trustDomain: string): Promise<Upstream> {
  const chainText = await read(disk, files.certificate, "certificate");
  const rootText = files.roots === undefined ? "" : await read(disk, files.roots, "roots");
  const keyPem = await readSecret(disk, files.key, "the upstream authority's key", files.isCredential?.(files.key));
  if (keyPem === undefined) throw missing(files.key, "key");
  const chain = parseCertificates(chainText, `the upstream authority's certificate ${files.certificate}`);
  const given = files.roots === undefined ? [] : parseCertificates(rootText, `the upstream authority's roots ${files.roots}`);
  const [certificate] = chain;
  if (!certificate) throw missing(files.certificate, "certificate");

  if (isRoot(certificate)) {
    throw new WeftError(
      "invalid",
      `the first certificate of ${files.certificate} is a root: weft would sign with the key of your whole mesh`,
      {
        help: "have an intermediate CA signed by it, with path length 1 or more, and give weft that one's certificate and key",
      },
    );
  }
  checkSigner(certificate, files.certificate, trustDomain);
  const operatorKey = await importOperatorKey(keyPem).catch((reason) => {
    const help = "it must be a PEM private key without a pass phrase: openssl pkey -in OLD -out NEW removes one";
    throw new WeftError("unavailable", `${files.key} does not hold a private key that weft can read`, { help, cause: reason });
  });
  if (!operatorKey) {
    throw new WeftError("invalid", `the key in ${files.key} is of a sort that weft does not sign with`, {
      help: "use RSA of 2048 bits or more, or ECDSA on P-256 or P-384",
    });
  }
  if (operatorKey.publicKeyHex !== Buffer.from(certificate.publicKey.rawData).toString("hex")) {
    throw new WeftError("invalid", `the key ${files.key} does not belong to the first certificate of ${files.certificate}`, {
      help: "write the intermediate first, then the certificates above it; and its own key",
    });
  }
  const issuers = chain.filter((one) => !isRoot(one));
  const roots = unique([...given, ...chain.filter(isRoot)]);
  await checkChain(issuers, roots, files);
  const all = [...issuers, ...roots];
  const first = all.reduce((least, one) => (one.notAfter < least.notAfter ? one : least));
  return {
    certificate,
    signingKey: operatorKey.key,
    signingAlgorithm: operatorKey.algorithm,
    issuers: issuers.map(toPem),
    roots: roots.map(toPem),
    notAfter: first.notAfter.getTime(),
    firstToEnd: { subject: first.subject, lifeMs: first.notAfter.getTime() - first.notBefore.getTime() },
    fingerprint: sha256(new TextEncoder().encode(all.map(fingerprintOf).join())),
  };
}

const isRoot = (one: Certificate): boolean => one.subject === one.issuer;

/** X509-SVID, 3.2, 4.1, 4.3; and room for weft's own certificate below it. */
function checkSigner(certificate: Certificate, path: string, trustDomain: string): void {
  const what = `the first certificate of ${path}`;
  const constraints = certificate.getExtension(x509.BasicConstraintsExtension);
  const usage = certificate.getExtension(x509.KeyUsagesExtension);
  if (!constraints?.ca || (usage && (usage.usages & x509.KeyUsageFlags.keyCertSign) === 0)) {
    throw new WeftError("invalid", `${what} may not sign certificates`, {
      help: "it must be a CA certificate (basicConstraints CA:TRUE, keyCertSign)",
    });
  }
  if (constraints.pathLength === 0) {
    throw new WeftError("invalid", `${what} has path length 0: it may sign no other CA, and weft's own stands below it`, {
      help: "have it signed with pathlen:1 or without one",
    });
  }
  if (keyIdOf(certificate) === undefined) {
    throw new WeftError("invalid", `${what} has no subject key identifier`, { help: "have it signed with subjectKeyIdentifier = hash" });
  }
  const names = uriNames(certificate);
  if (names.length > 0 && (names.length > 1 || names[0] !== trustDomainId(trustDomain))) {
    throw new WeftError("invalid", `${what} is for ${names.join(", ")}, not ${trustDomainId(trustDomain)}`, {
      help: "start weft with the trust domain that it names (--trust-domain), or have one signed for this one",
    });
  }
}

/** Each is signed by the next, the last by a root. Times are not looked at here. */
async function checkChain(issuers: readonly Certificate[], roots: readonly Certificate[], files: UpstreamFiles): Promise<void> {
  for (const [index, one] of issuers.entries()) {
    const next = issuers[index + 1];
    const above = next ? [next] : roots;
    const signed = await Promise.all(above.map((parent) => isSignedBy(one, parent)));
    if (signed.includes(true)) continue;
    const problem = next ? `is not signed by the one after it, ${next.subject}` : "is signed by none of the roots";
    throw new WeftError("invalid", `${files.certificate}: ${one.subject} ${problem}`, {
      help: next
        ? "write the intermediate first, then the one that signed it, and so on"
        : "give the root certificate too: --upstream-roots FILE",
    });
  }
}

async function isSignedBy(one: Certificate, parent: Certificate): Promise<boolean> {
  if (one.issuer !== parent.subject) return false;
  return await one.verify({ publicKey: parent.publicKey, signatureOnly: true }).catch(() => false);
}

async function read(disk: Disk, path: string, part: string): Promise<string> {
  const text = await readPublic(disk, path, `the upstream authority's ${part}`);
  if (text === undefined) throw missing(path, part);
  return text;
}

function missing(path: string, part: string): WeftError {
  return new WeftError("unavailable", `the upstream authority's ${part} ${path} is not there`, {
    help: "put it there, or run weft without an upstream authority (--upstream-certificate, --upstream-key)",
  });
}

function unique(certificates: readonly Certificate[]): Certificate[] {
  return [...new Map(certificates.map((one) => [fingerprintOf(one), one])).values()];
}
