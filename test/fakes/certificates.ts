/** Certificates for tests: two that never change, for goldens, and fresh ones. The keys belong to nothing and nobody. */
import "reflect-metadata";
import * as x509 from "@peculiar/x509";

export interface Pair {
  readonly certificate: string;
  readonly key: string;
}

/** Of a.example.com and b.example.com, ECDSA, signed by themselves, valid for a hundred years. */
export const FIXED: Readonly<Record<"a" | "b", Pair>> = {
  a: {
    certificate: `-----BEGIN CERTIFICATE-----
MIIBoDCCAUegAwIBAgIUPJBLacPL/fbrf+ohvax4Mm/1fAMwCgYIKoZIzj0EAwIw
GDEWMBQGA1UEAwwNYS5leGFtcGxlLmNvbTAgFw0yNjExMjMwMTExMTBaGA8yMTI2
MTAzMDAxMTExMFowGDEWMBQGA1UEAwwNYS5leGFtcGxlLmNvbTBZMBMGByqGSM49
AgEGCCqGSM49AwEHA0IABKx2Om9UkIYOlN2D7dCqXkjuyMusHaHNI4dGvd+6TsFZ
LFVx5Yrsx8sdWO5FjimiYm+jS1vCmUnKVrDaKcKLQWajbTBrMB0GA1UdDgQWBBTV
x1K9RIGhVzvevQ1kJMSNn1pktjAfBgNVHSMEGDAWgBTVx1K9RIGhVzvevQ1kJMSN
n1pktjAPBgNVHRMBAf8EBTADAQH/MBgGA1UdEQQRMA+CDWEuZXhhbXBsZS5jb20w
CgYIKoZIzj0EAwIDRwAwRAIgWl9o7tNFGOyp29L3AR5xMsVRmoAs5pQ1w8HWv+2C
8e0CIEkzX1uiN6xUTPG05zusSGluDhZRN0wxi2jZIYAM0O/n
-----END CERTIFICATE-----
`,
    key: `-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgDz8mewJ9t8C5NyZV
YhPKV0KR4VMUvqbIelu/s+6jTI+hRANCAASsdjpvVJCGDpTdg+3Qql5I7sjLrB2h
zSOHRr3fuk7BWSxVceWK7MfLHVjuRY4pomJvo0tbwplJylaw2inCi0Fm
-----END PRIVATE KEY-----
`,
  },
  b: {
    certificate: `-----BEGIN CERTIFICATE-----
MIIBoDCCAUegAwIBAgIUfGYregvnrFzroZiVxWhcGMadzUcwCgYIKoZIzj0EAwIw
GDEWMBQGA1UEAwwNYi5leGFtcGxlLmNvbTAgFw0yNjExMjMwMTExMTBaGA8yMTI2
MTAzMDAxMTExMFowGDEWMBQGA1UEAwwNYi5leGFtcGxlLmNvbTBZMBMGByqGSM49
AgEGCCqGSM49AwEHA0IABMMU5qoGIWn9WQ9zNKN1GkPSSRR0QF6ccBu/oFm2+nmy
+pDFUip1V4fRg5krhIZAgCNGkKlusYA4D5k8KHQ8+DOjbTBrMB0GA1UdDgQWBBS4
xG95cDlajO5J9+Qa39E5zgbvzzAfBgNVHSMEGDAWgBS4xG95cDlajO5J9+Qa39E5
zgbvzzAPBgNVHRMBAf8EBTADAQH/MBgGA1UdEQQRMA+CDWIuZXhhbXBsZS5jb20w
CgYIKoZIzj0EAwIDRwAwRAIgMNItotwahDSeJKF2Uc5jH8+F8ABvq7AAzrw5pcU9
vN8CIDGDTt8/YDXjWvDE+gbjTfWdna7NFwY5ecBBv50L7jvS
-----END CERTIFICATE-----
`,
    key: `-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgfjEFIWoZJQ67Z1H+
v1Jizp2JLxSZm+umTQXh6DwIpz+hRANCAATDFOaqBiFp/VkPczSjdRpD0kkUdEBe
nHAbv6BZtvp5svqQxVIqdVeH0YOZK4SGQIAjRpCpbrGAOA+ZPCh0PPgz
-----END PRIVATE KEY-----
`,
  },
};

export interface Issued extends Pair {
  readonly sign: CryptoKey;
  readonly name: string;
}

const algorithm = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };

/** A certificate for `name`, PEM: of `issuer`, or a CA's own. `days`: from when to when, around now. */
export async function issue(name: string, issuer?: Issued, days: readonly [number, number] = [-1, 30]): Promise<Issued> {
  const keys = await crypto.subtle.generateKey(algorithm, true, ["sign", "verify"]);
  const [notBefore, notAfter] = days.map((day) => new Date(Date.now() + day * 86_400_000));
  const certificate = await x509.X509CertificateGenerator.create(
    {
      subject: `CN=${name}`,
      issuer: `CN=${issuer?.name ?? name}`,
      notBefore,
      notAfter,
      publicKey: keys.publicKey,
      signingKey: issuer?.sign ?? keys.privateKey,
      signingAlgorithm: algorithm,
      extensions: [new x509.SubjectAlternativeNameExtension([{ type: "dns", value: name }]), new x509.BasicConstraintsExtension(!issuer)],
    },
    crypto,
  );
  const key = x509.PemConverter.encode(await crypto.subtle.exportKey("pkcs8", keys.privateKey), "PRIVATE KEY");
  return { certificate: certificate.toString("pem"), key: `${key}\n`, sign: keys.privateKey, name };
}

/** A Secret of type kubernetes.io/tls, as Kubernetes' tools write it; with CA certificates, of type Opaque. */
export function secretYaml(name: string, pair: Partial<Pair> & { readonly ca?: string }, namespace = "default"): string {
  const data = Object.entries({ "tls.crt": pair.certificate, "tls.key": pair.key, "ca.crt": pair.ca }).flatMap(([key, text]) =>
    text === undefined ? [] : [[key, Buffer.from(text).toString("base64")]],
  );
  const type = pair.key === undefined ? "Opaque" : "kubernetes.io/tls";
  return JSON.stringify({ apiVersion: "v1", kind: "Secret", metadata: { name, namespace }, type, data: Object.fromEntries(data) });
}
