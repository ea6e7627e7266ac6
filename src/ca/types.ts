/** What the CA gives to the rest of weft. Times are milliseconds since the epoch unless a field says else. */
import type { JWK } from "jose";

/** An X.509-SVID with its key. The key leaves the process only inside an SDS secret or a Workload API answer. */
export interface X509Svid {
  /** spiffe://TRUST_DOMAIN/ns/NS/sa/SA */
  readonly spiffeId: string;
  /** Leaf first, then intermediates; PEM. */
  readonly chainPem: string;
  /** PKCS #8, PEM. */
  readonly privateKeyPem: string;
  /** Hex. */
  readonly serial: string;
  readonly notBefore: number;
  readonly notAfter: number;
  /** Of the X.509 authority that signed it: AuthorityReport.id. */
  readonly authorityId: string;
  /** When to ask for another, where that is not by its age: it is an old one, and there is no new one to be had now. */
  readonly renewAt?: number;
}

/** The certificate of an X.509-SVID whose key is somebody else's. */
export type SignedX509 = Omit<X509Svid, "privateKeyPem">;

/** A JWT-SVID: a bearer token, as secret as a key until it expires. */
export interface JwtSvid {
  readonly spiffeId: string;
  readonly audience: readonly string[];
  /** JWS compact serialization. */
  readonly token: string;
  readonly issuedAt: number;
  readonly expiresAt: number;
  /** Of the JWT authority that signed it, which is its `kid`: AuthorityReport.id. */
  readonly authorityId: string;
  /** As X509Svid.renewAt. */
  readonly renewAt?: number;
}

/** What a JWT-SVID says, after its signature, algorithm, times, audience and subject were found good. */
export interface VerifiedJwtSvid {
  readonly spiffeId: string;
  readonly audience: readonly string[];
  readonly expiresAt: number;
  /** Every claim of the token. */
  readonly claims: Readonly<Record<string, unknown>>;
}

/**
 * What peers must trust now, of one trust domain: a new object whenever anything in it changes, and never changed itself. It holds the
 * authorities that are published and not yet active, the active ones, and those whose last SVID has not expired.
 */
export interface TrustBundle {
  readonly trustDomain: string;
  /** Grows with each change (SPIFFE Trust Domain and Bundle, 4.1.1). */
  readonly sequence: number;
  /** Seconds (4.1.2). */
  readonly refreshHint: number;
  /** Root certificates, each one PEM block with a newline at its end; for X509-SVIDs. */
  readonly x509: readonly string[];
  /** The same in one text. */
  readonly x509Pem: string;
  /** Public keys for JWT-SVIDs: kty, crv, x, y, kid, alg. */
  readonly jwt: readonly JWK[];
}

/** Which SVIDs an authority signs. */
export type SvidType = "x509" | "jwt";

/**
 * prepared: in the bundle, signs nothing yet. active: signs. retiring: signs nothing any more, in the bundle until the last SVID under it
 * has expired.
 */
export type AuthorityState = "prepared" | "active" | "retiring";

export interface AuthorityReport {
  /** x509: SHA-1 of the public key, hex (the subject key identifier); jwt: the key's RFC 7638 thumbprint, which is the kid. */
  readonly id: string;
  readonly state: AuthorityState;
  /** RFC 3339. */
  readonly notBefore: string;
  readonly notAfter: string;
  /** When it takes the next step in its life, and which; absent where it waits for proxies or for an operator. */
  readonly next?: { readonly step: "prepare-next" | "activate" | "retire"; readonly at: string };
  /** x509 only. */
  readonly subject?: string;
  /** x509 only; hex. */
  readonly serial?: string;
  /** x509 only: SHA-256 of the DER, hex. */
  readonly fingerprint?: string;
  /** In a mesh with several authorities: the node that holds it. */
  readonly node?: string;
  /** x509 only, with an upstream authority: the certificates above it, the root last. */
  readonly issuers?: readonly CertificateReport[];
}

export interface CertificateReport {
  readonly subject: string;
  readonly serial: string;
  readonly fingerprint: string;
  readonly notBefore: string;
  readonly notAfter: string;
}

/** What runs out, or went wrong, long before it stops anything. */
export interface CaWarning {
  /** Stable, for metrics: "upstream-expires". */
  readonly code: string;
  readonly message: string;
  readonly help: string;
}

/** A change of authority that is under way. */
export interface RotationReport {
  readonly type: SvidType;
  readonly reason: "scheduled" | "forced" | "upstream" | "key-lost" | "expired";
  /** RFC 3339. */
  readonly since: string;
  /** RFC 3339: the new authority does not sign before, whoever knows it; absent until it is made. */
  readonly notBefore?: string;
  /** Who does not have the new authority yet. */
  readonly waitingFor: readonly string[];
}

export interface CaReport {
  readonly trustDomain: string;
  readonly sequence: number;
  readonly x509: readonly AuthorityReport[];
  readonly jwt: readonly AuthorityReport[];
  readonly rotations: readonly RotationReport[];
  readonly warnings: readonly CaWarning[];
}

/** Whose a token is: a workload's, or a WorkloadGroup's, by which instances register. */
export interface TokenHolder {
  readonly kind: "workload" | "WorkloadGroup";
  readonly namespace: string;
  readonly name: string;
}

/** Who a stream or caller is, after its workload token was verified. */
export interface WorkloadIdentity {
  readonly namespace: string;
  readonly name: string;
  /** Of an instance of a WorkloadGroup. */
  readonly registered?: Registered;
}

/** What an instance of a WorkloadGroup was granted: its token carries it, so it can say nothing else later. */
export interface Registered {
  /** Name of the group, in the workload's namespace. */
  readonly group: string;
  readonly serviceAccount: string;
  /** Which of those that may claim the address it is: chosen by the one process that runs it. */
  readonly instance: string;
  /** IP address. */
  readonly address: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly locality?: string;
}

/** Whose instances the bearer of a group token may register. */
export interface GroupIdentity {
  readonly namespace: string;
  readonly name: string;
  /** The group's when the token was issued. */
  readonly serviceAccount: string;
}

/**
 * Who does not trust `bundle` yet, so that the CA, which knows no proxies, can wait for them before it signs with what is new in it.
 * `connected` answer soon or have refused; `away` were here since weft started and are not now. Names are for people.
 */
export interface TrustPropagation {
  missing(bundle: TrustBundle, type: SvidType): { readonly connected: readonly string[]; readonly away: readonly string[] };
}

/** The SPIFFE authority of a trust domain. Others import this interface; openAuthority makes one. */
export interface SpiffeAuthority {
  readonly trustDomain: string;
  /** What peers must trust now. The same object until something changes. */
  bundle(): TrustBundle;
  /** Calls `listener` at each change of the bundle, after it, until the returned function is called; not at once. */
  onBundle(listener: (bundle: TrustBundle) => void): () => void;
  /** Made from the ID alone, with a new key. @throws WeftError "invalid" (no workload's ID in this trust domain), "unavailable" */
  issueX509(spiffeId: string): Promise<X509Svid>;
  /** @throws WeftError "invalid" (no workload's ID in this trust domain, no audience), "unavailable" */
  issueJwtSvid(spiffeId: string, audience: readonly string[]): Promise<JwtSvid>;
  /** Of this trust domain, for `audience`. @throws WeftError "unauthenticated" saying what is wrong with it */
  verifyJwtSvid(token: string, audience: string): Promise<VerifiedJwtSvid>;
  report(): CaReport;
  /** Signs and verifies a throw-away certificate with what is on disk (health). @throws WeftError "unavailable" naming the mend. */
  check(): Promise<void>;
}
