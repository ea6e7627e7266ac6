/**
 * Whose X.509-SVID a certificate is: what a validator checks beyond RFC 5280's path validation (X509-SVID, 5.2), which whoever ended the TLS
 * connection has done.
 */
import { WeftError } from "../lib/errors.ts";
import { x509 } from "./crypto.ts";
import { uriNames } from "./pem.ts";
import { parseSpiffeId, type SpiffeId } from "./spiffe-id.ts";

const SIGNS = x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign;

/**
 * The SPIFFE ID of a leaf certificate (DER) whose chain is verified; of which trust domain's roots, the caller compares.
 * @throws WeftError "unauthenticated" saying what keeps it from being an X.509-SVID
 */
export function x509SvidId(der: Uint8Array<ArrayBuffer>): SpiffeId {
  const certificate = parse(der);
  if (certificate.getExtension(x509.BasicConstraintsExtension)?.ca) throw refuse("it is a CA's, and a CA authenticates nobody");
  const usages = certificate.getExtension(x509.KeyUsagesExtension)?.usages;
  if (usages === undefined) throw refuse("it has no key usage");
  if ((usages & SIGNS) !== 0) throw refuse("it may sign certificates, and so authenticates nobody");
  if ((usages & x509.KeyUsageFlags.digitalSignature) === 0) throw refuse("its key may not sign handshakes");
  const names = uriNames(certificate);
  const [name] = names;
  if (name === undefined) throw refuse("it has no URI SAN");
  if (names.length > 1) throw refuse(`it has ${names.length} URI SANs`);
  const id = idOf(name);
  if (id.path === "") throw refuse(`"${name}" names a trust domain, not a workload`);
  return id;
}

function parse(der: Uint8Array<ArrayBuffer>) {
  try {
    return new x509.X509Certificate(der);
  } catch (cause) {
    throw new WeftError("unauthenticated", "the certificate is no X.509-SVID: it cannot be read", { cause });
  }
}

function idOf(name: string): SpiffeId {
  try {
    return parseSpiffeId(name);
  } catch (reason) {
    throw refuse(WeftError.from(reason).message);
  }
}

function refuse(why: string): WeftError {
  return new WeftError("unauthenticated", `the certificate is no X.509-SVID: ${why}`);
}
