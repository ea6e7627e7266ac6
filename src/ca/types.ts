/** What the CA gives to the rest of weft. */

/** An X.509-SVID with its key. The key leaves the process only inside an SDS secret. */
export interface X509Svid {
  /** spiffe://TRUST_DOMAIN/ns/NS/sa/SA */
  readonly spiffeId: string;
  /** Leaf first, then intermediates; PEM. */
  readonly chainPem: string;
  /** PKCS #8, PEM. */
  readonly privateKeyPem: string;
  /** Hex. */
  readonly serial: string;
  /** Milliseconds since the epoch. */
  readonly notBefore: number;
  readonly notAfter: number;
}

export interface CaReport {
  readonly trustDomain: string;
  readonly certificates: readonly {
    readonly subject: string;
    readonly serial: string;
    /** SHA-256 of the DER, hex. */
    readonly fingerprint: string;
    /** RFC 3339. */
    readonly notBefore: string;
    readonly notAfter: string;
  }[];
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

export interface Authority {
  readonly trustDomain: string;
  /** The CA certificates that peers must trust, PEM. */
  bundlePem(): string;
  report(): CaReport;
  issueX509(spiffeId: string): Promise<X509Svid>;
  /** Signs and verifies a throw-away certificate (health). @throws WeftError "unavailable" naming the mend. */
  check(): Promise<void>;
}
