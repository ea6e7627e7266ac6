/** TLS as weft serves it: one certificate that is renewed while connections stand, and clients that may present one of their own. */
import { constants } from "node:crypto";
import { createServer, type DetailedPeerCertificate, type Server, type TLSSocket, type TlsOptions } from "node:tls";

/** The certificate that weft serves with. */
export interface ServerCertificate {
  /** PEM: the chain, leaf first, and its key. Undefined while there is none yet: handshakes fail until there is. */
  current(): { readonly chain: string; readonly key: string } | undefined;
  /** Calls `listener` after each renewal, until the returned function is called. */
  onRenewal(listener: () => void): () => void;
}

/** How long a client may take over its handshake, milliseconds. */
const HANDSHAKE_MS = 10_000;

/**
 * TLS 1.2 with forward secrecy and authenticated encryption only (RFC 9325, 4.2.1); TLS 1.3 has no others. A client's certificate is asked
 * for and not judged here: who it is may be proved by a token instead, and whose authorities are trusted changes while connections stand.
 */
export function serverTlsOptions(certificate: ServerCertificate, protocol: "h2" | "http/1.1"): TlsOptions {
  const own = certificate.current();
  return {
    ...(own ? { cert: own.chain, key: own.key } : {}),
    minVersion: "TLSv1.2",
    ciphers: [
      ...["ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES256-GCM-SHA384", "ECDHE-ECDSA-CHACHA20-POLY1305"],
      ...["TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"],
    ].join(":"),
    ALPNProtocols: [protocol],
    requestCert: true,
    rejectUnauthorized: false,
    handshakeTimeout: HANDSHAKE_MS,
    // A resumed session would present the certificate of its first handshake, which may have been renewed since.
    secureOptions: constants.SSL_OP_NO_TICKET,
  };
}

/** Follows the certificate's renewals and ends handshakes that fail. @returns how to stop following */
export function keepServing(
  server: Pick<Server, "setSecureContext" | "on">,
  certificate: ServerCertificate,
  protocol: "h2" | "http/1.1",
): () => void {
  // The runtime tells of a handshake that took too long, and leaves the connection open.
  server.on("tlsClientError", (_, socket: TLSSocket) => socket.destroy());
  return certificate.onRenewal(() => server.setSecureContext(serverTlsOptions(certificate, protocol)));
}

export function createTlsServer(
  certificate: ServerCertificate,
  protocol: "h2" | "http/1.1",
  onSocket: (socket: TLSSocket) => void,
): Server {
  return createServer(serverTlsOptions(certificate, protocol), onSocket);
}

/**
 * What a client presented in its handshake, DER, its own certificate first; it holds that one's key, and nothing else is known of it. Empty
 * where it presented none.
 */
export function presentedCertificates(socket: unknown): readonly Uint8Array[] {
  const { getPeerCertificate } = socket as Partial<TLSSocket>;
  const chain: Uint8Array[] = [];
  let next: Partial<DetailedPeerCertificate> | undefined = getPeerCertificate?.call(socket as TLSSocket, true);
  while (next?.raw) {
    const { raw } = next;
    // A root names itself as its issuer.
    if (chain.some((known) => raw.equals(known))) break;
    chain.push(raw);
    next = next.issuerCertificate;
  }
  return chain;
}
