/** Whom the command line trusts where the operator gave a root's SHA-256 in place of the root. */
import { X509Certificate } from "node:crypto";
import { connect } from "node:tls";
import type { Clock } from "../lib/clock.ts";
import { WeftError } from "../lib/errors.ts";
import { sha256 } from "../lib/hash.ts";
import { presentedCertificates } from "../lib/server-tls.ts";
import { UsageError } from "./verb.ts";

/** How long a server may take to present its certificate, milliseconds. */
const HANDSHAKE_MS = 10_000;

/**
 * The root of that SHA-256 above the certificate that `server` presents, PEM: nothing is said to it before. A root of the bundle that does not sign
 * now (prepared, retiring) stands above no certificate that a server holds, so that it proves nothing here.
 * @throws UsageError, WeftError "unavailable"
 */
export async function rootByFingerprint(server: URL, fingerprint: string, clock: Clock): Promise<string> {
  const wanted = fingerprint.toLowerCase().replaceAll(":", "");
  if (!/^[0-9a-f]{64}$/.test(wanted)) throw new UsageError("--ca-fingerprint must be the SHA-256 of a root: 64 hex digits");
  const presented = await presentedBy(server, clock);
  const found = presented.find((der) => sha256(der) === wanted);
  const root = found && new X509Certificate(found);
  if (root?.ca && isAbove(root, presented)) return root.toString();
  throw new WeftError("unavailable", `What answers at ${server.origin} does not have a root of that fingerprint above its certificate`, {
    help: 'where that weft runs, weft ca roots prints the fingerprint that it takes, marked "signs now"; weft replaces its root every day',
  });
}

/** Whether the first of `presented` was signed by `root`, or by others of them that were. */
function isAbove(root: X509Certificate, presented: readonly Uint8Array[]): boolean {
  const certificates = presented.map((der) => new X509Certificate(der));
  const isSigner = (issuer: X509Certificate, one: X509Certificate) => one.checkIssued(issuer) && one.verify(issuer.publicKey);
  const seen = new Set<string>();
  for (let next = certificates[0]; next && !seen.has(next.fingerprint256); ) {
    if (isSigner(root, next)) return true;
    const below = next;
    seen.add(below.fingerprint256);
    next = certificates.find((one) => one.ca && isSigner(one, below));
  }
  return false;
}

function presentedBy(server: URL, clock: Clock): Promise<readonly Uint8Array[]> {
  return new Promise((resolve, reject) => {
    const host = server.hostname.replace(/^\[|\]$/g, "");
    const fail = (cause: unknown) => {
      socket.destroy();
      reject(new WeftError("unavailable", `Cannot talk to weft at ${server.origin}: ${WeftError.from(cause).message}`, { cause }));
    };
    const cancel = clock.after(HANDSHAKE_MS, () => fail(new Error(`no handshake within ${HANDSHAKE_MS / 1000} s`)));
    const socket = connect({ host, port: Number(server.port || 443), rejectUnauthorized: false, ALPNProtocols: ["http/1.1"] }, () => {
      cancel();
      const presented = presentedCertificates(socket);
      socket.destroy();
      resolve(presented);
    });
    socket.once("error", (reason) => {
      cancel();
      fail(reason);
    });
  });
}
