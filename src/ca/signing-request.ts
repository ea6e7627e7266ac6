/**
 * How a node asks for its first certificate: PKCS #10 (RFC 2986), which proves that who asks has the key. It names nobody: names are given by who
 * signs, and a request that asks for one is refused rather than read in part.
 */
import { WeftError } from "../lib/errors.ts";
import { importKeyPair, leafPublicKey, SIGNATURE, x509 } from "./crypto.ts";

/** DER. `keyPem`: the P-256 key, PKCS #8, PEM. */
export async function createSigningRequest(keyPem: string): Promise<Uint8Array> {
  const keys = await importKeyPair(keyPem);
  const request = await x509.Pkcs10CertificateRequestGenerator.create({ keys, signingAlgorithm: SIGNATURE });
  return new Uint8Array(request.rawData);
}

/** The public key that it is for: SubjectPublicKeyInfo, DER. @throws WeftError "invalid" saying what is wrong with it */
export async function readSigningRequest(der: Uint8Array): Promise<Uint8Array> {
  const request = parse(der);
  if (request.subjectName.toString() !== "" || request.extensions.length > 0 || request.attributes.length > 0) {
    throw refuse("it asks for names or extensions of its own: a node gets its name by its token, and nothing else");
  }
  const publicKey = leafPublicKey(new Uint8Array(request.publicKey.rawData));
  if (!(await request.verify().catch(() => false))) throw refuse("its signature is not that of its key");
  return publicKey;
}

function parse(der: Uint8Array) {
  try {
    return new x509.Pkcs10CertificateRequest(new Uint8Array(der));
  } catch (cause) {
    throw refuse("it cannot be read", cause);
  }
}

const refuse = (why: string, cause?: unknown) => new WeftError("invalid", `the certificate signing request is refused: ${why}`, { cause });
